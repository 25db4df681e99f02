"""Where a step that claims to be affine is tried."""

from __future__ import annotations

import numpy as np

STEPS = (0, 1, 2, 3, 10, 12, 100, 997, 1000, 65536, 10**6)
"""Numbers of steps: early ones, late ones, and multiples of common periods."""

_SCALES = (1.0, 1e-6, 1e-3, 1e3, 1e6, 1e12)
_MULTIPLES = (-1.0, 0.5, 2.0, 1e3)
_SEED = 20_231_116


def probing_points(size: int, reach: float) -> np.ndarray:
    """Return random points at distances from 1e-6 to 1e12 times `reach`, and some on one line, shape (points, size).

    The directions are normal, and so are in general position. Some points lie on one line through the origin, others on one
    that misses it. The first two are about as far as `reach`.

    Parameters
    ----------
    size : int
        The length of a point.
    reach : float
        The unit of distance.

    Examples
    --------
    >>> probing_points(2, 1.0).shape
    (14, 2)
    """
    rng = np.random.Generator(np.random.Philox(_SEED))
    apart = rng.standard_normal((len(_SCALES), size)) * np.array(_SCALES)[:, None]
    first, second = rng.standard_normal((2, size))
    through = np.array(_MULTIPLES)[:, None] * first
    between = first + np.array([0.0, 0.5, -3.0, 1.0])[:, None] * (second - first)
    return np.asarray(reach * np.concatenate([between[:1], apart, through, between[1:]]))
