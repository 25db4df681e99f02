"""Packages that are imported where they are used, and what is said where one of them is missing or broken."""

from __future__ import annotations

import importlib
from typing import Any

DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""What a package is installed as, where that is not the name it is imported by."""


def needed(name: str, purpose: str) -> Any:
    """Import a module of another package, or say in one sentence what it is needed for and why it cannot be imported.

    Parameters
    ----------
    name : str
        The module, as in an import statement.
    purpose : str
        What takes it, as the end of "…, which X needs".

    Raises
    ------
    ImportError
        If the import fails in whatever way: the package may be missing, or was built for other versions of what it uses.

    Examples
    --------
    >>> needed("math", "arithmetic").sqrt(4.0)
    2.0
    >>> needed("no_such_package", "this example")
    Traceback (most recent call last):
    ...
    ImportError: no_such_package, which this example needs, is not installed: pip install no_such_package
    """
    try:
        return importlib.import_module(name)
    except Exception as broken:
        package = name.partition(".")[0]
        listed = DISTRIBUTIONS.get(package, package)
        if isinstance(broken, ModuleNotFoundError) and broken.name == package:
            said = f"is not installed: pip install {listed}"
        else:
            reason = " ".join(str(broken).split()) or type(broken).__name__
            said = f"is installed but cannot be imported ({reason}): pip install --force-reinstall {listed}"
        raise ImportError(f"{listed}, which {purpose} needs, {said}", name=package) from broken
