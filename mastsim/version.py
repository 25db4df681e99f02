"""The version of the package, which documents and records name."""

__version__ = "0.1.0"
