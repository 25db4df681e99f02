"""The head of a figure's numbers, and the words that are read from it."""

from __future__ import annotations

import platform
from typing import Any

import matplotlib
import numpy as np
import scipy

from mastsim.documents import header
from mastsim.problems import Dataset


def facts(name: str, data: Dataset, quick: bool, seed: int) -> dict[str, Any]:
    """Return the head of a figure's numbers: package, seed, data, versions of libraries, and whether it is a quick run.

    Parameters
    ----------
    name : str
        Name of the figure.
    data : Dataset
        The data.
    quick : bool
        Whether fewer steps, replicas and settings were used.
    seed : int
        The seed.

    Examples
    --------
    >>> import mastsim as ms
    >>> facts("gdci", ms.load("synthetic:n=9,d=2"), quick=True, seed=3)["seed"]
    3
    """
    versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
    versions["matplotlib"] = matplotlib.__version__
    return {**header(data, seed), "figure": name, "quick": bool(quick), "versions": versions}


def subtitle(numbers: dict[str, Any]) -> str:
    """Return the words that say which data, and which kind of run, a figure shows.

    Parameters
    ----------
    numbers : dict
        With the head that `facts` returned.

    Examples
    --------
    >>> import mastsim as ms
    >>> subtitle(facts("gdci", ms.load("breast-cancer"), quick=True, seed=3))
    'breast-cancer (n = 569, d = 30), seed 3, quick run'
    """
    data = numbers["data"]
    quick = ", quick run" if numbers["quick"] else ""
    return f"{data['name']} (n = {data['n']}, d = {data['d']}), seed {numbers['seed']}{quick}"


def setting(numbers: dict[str, Any]) -> str:
    """Return `subtitle` with the condition number L_f/μ_f of the problem.

    Parameters
    ----------
    numbers : dict
        With the head that `facts` returned, and ``condition_number``, perhaps under ``problem``.

    Examples
    --------
    >>> import mastsim as ms
    >>> setting(facts("gdci", ms.load("breast-cancer"), quick=True, seed=3) | {"condition_number": 100.0})
    'breast-cancer (n = 569, d = 30), seed 3, quick run, L_f/μ_f = 100'
    """
    return f"{subtitle(numbers)}, L_f/μ_f = {numbers.get('problem', numbers)['condition_number']:g}"
