"""Every constant of the theory for one objective, of one node or many, each with its tier of truth."""

from mastsim.constants.table import CLIENT_NAMES, NAMES, Constants

__all__ = ["CLIENT_NAMES", "NAMES", "Constants"]
