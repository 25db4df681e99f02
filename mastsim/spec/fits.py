"""What of a description its data must fit, checked before anything is computed of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mastsim.problems import Dataset, family_for
from mastsim.problems.row_weights import weights_for
from mastsim.spec.keys import POINTS
from mastsim.validation import integer
from mastsim.vectors import read_vector


class Fit(NamedTuple):
    """One check of a description against its data.

    Parameters
    ----------
    key : str
        The key that is at fault.
    reads : tuple of str
        All keys that the outcome depends on, besides the data.
    check : callable
        Takes the description and the data, and refuses with a ValueError.
    """

    key: str
    reads: tuple[str, ...]
    check: Callable[[Any, Dataset], None]


class _Shape(NamedTuple):
    """What samplings and compressors ask of a problem, known before there is one."""

    components: int
    dim: int
    component_smoothness: np.ndarray


def _fit_problem(spec: Any, data: Dataset) -> None:
    labelled, family = family_for(data, spec.problem, spec.positive, spec.own.families)
    weights = weights_for(spec.weights, labelled)
    family(np.ones((data.n, 1)), labelled.y, l2=1.0, weights=weights, **dict(spec.problem_settings))


def _fit_sketch(spec: Any, data: Dataset) -> None:
    spec.sketch_in(data.d + spec.intercept)


def _fit_shift(spec: Any, data: Dataset) -> None:
    if spec.shift not in POINTS:
        read_vector("shift", spec.shift, data.d + spec.intercept)


def _fit_clients(spec: Any, data: Dataset) -> None:
    if spec.clients is not None:
        integer("clients", spec.clients, 1, data.n)


def _fit_method(spec: Any, data: Dataset) -> None:
    if spec.method is None or not spec.settings:
        return
    rows = data.n // (spec.clients or 1)
    shape: Any = _Shape(rows, data.d + spec.intercept, np.ones(rows))
    spec.kind.from_settings(1.0, spec.settings, shape).check(shape)


FITS = (
    Fit("problem", ("problem", "problem_settings", "positive", "weights"), _fit_problem),
    Fit("shift", ("shift", "intercept"), _fit_shift),
    Fit("sketch", ("sketch", "intercept"), _fit_sketch),
    Fit("clients", ("clients",), _fit_clients),
    Fit("method", ("method", "settings", "clients", "intercept"), _fit_method),
)
"""Every check of a description against its data."""
