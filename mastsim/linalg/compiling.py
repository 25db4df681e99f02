"""Compile everything at once that quadratics would otherwise compile when they are first used."""

from __future__ import annotations

from functools import cache

import numpy as np

from mastsim.linalg.curvature import Curvature
from mastsim.linalg.quadratic_form import QuadraticForm
from mastsim.linalg.rank import exact_rank
from mastsim.linalg.rows import gram_form


@cache
def compile_kernels() -> None:
    """Compile the kernels of matrices of 106 bits and of exact ranks, once a process; later processes find them cached."""
    A = np.array([[1.0, 2.0], [2.0, 4.0]])
    exact_rank([[A, A]])
    regular = gram_form(A, np.ones(2), 1.0, np.full(2, 0.5))
    for form in (QuadraticForm(Curvature(A), regular.slope, regular.constant), regular):
        form.around(np.ones(2)).minimize()
        form.through(A).minimize()
        _ = form.curvature.least_positive, form.curvature.smallest
