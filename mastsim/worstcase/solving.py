"""cvxpy, through which semidefinite programs are stated and solved; imported when one is."""

from __future__ import annotations

from typing import Any

from mastsim.dependencies import needed


def modelling() -> Any:
    """Return cvxpy, whose stubs lack most atoms.

    Raises
    ------
    ImportError
        If it is missing or broken.
    """
    return needed("cvxpy", "finding worst cases")
