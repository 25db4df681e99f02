"""Means of curvature matrices and of quadratic forms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mastsim.linalg.curvature import Curvature
from mastsim.linalg.pairs import Pair
from mastsim.linalg.quadratic_form import QuadraticForm
from mastsim.rounding import PAIR_EPS


def mean_curvature(parts: Sequence[Curvature]) -> Curvature:
    """Return the mean of curvature matrices, with what is known of each.

    Parameters
    ----------
    parts : sequence of Curvature
        At least one, all of one dimension.
    """
    if len(parts) == 1:
        return parts[0]
    total = _mean([part.pair for part in parts])
    semidefinite = all(part.is_proven_semidefinite for part in parts)
    stacks = [part.kernel_stack for part in parts]
    known = semidefinite and all(stack is not None for stack in stacks)
    return Curvature(
        total.hi,
        total.lo,
        # Rounding of 106 bits is relative to the parts, which are not larger than the mean only where none is negative.
        max(part.doubt for part in parts) + (len(parts) * PAIR_EPS if semidefinite else np.finfo(float).eps),
        float(np.mean([part.floor for part in parts])) if semidefinite else 0.0,
        tuple(block for stack in stacks for block in (stack or ())) if known else None,
        semidefinite,
    )


def mean_form(parts: Sequence[QuadraticForm]) -> QuadraticForm:
    """Return the mean of quadratic forms.

    Parameters
    ----------
    parts : sequence of QuadraticForm
        At least one, all of one dimension.
    """
    if len(parts) == 1:
        return parts[0]
    slopes, constants = [part.slope for part in parts], [part.constant for part in parts]
    rounding = len(parts) * PAIR_EPS
    error = np.mean([part.slope_errors + rounding * part.slope.size for part in parts], axis=0)
    constant_error = np.mean([part.constant_error + rounding * float(part.constant.size) for part in parts])
    curvature = mean_curvature([part.curvature for part in parts])
    return QuadraticForm(curvature, _mean(slopes), _mean(constants), error, float(constant_error))


def _mean(parts: Sequence[Pair]) -> Pair:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total / Pair.of(float(len(parts)))
