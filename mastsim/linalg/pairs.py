"""Arrays of about 32 digits as pairs of floats, with the operators that formulas need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mastsim.readonly import ReadOnly, frozen


@dataclass(frozen=True, eq=False)
class Pair(ReadOnly, copy=False):
    """An array hi + lo, each entry the unevaluated sum of two floats.

    Parameters
    ----------
    hi, lo : ndarray
        Leading and trailing parts, of one shape.

    Examples
    --------
    >>> third = Pair.of(1.0) / Pair.of(3.0)
    >>> float((third * Pair.of(3.0) - Pair.of(1.0)).hi) == 0.0, float(third.lo) != 0.0
    (True, True)
    """

    hi: np.ndarray
    lo: np.ndarray

    def __post_init__(self) -> None:
        # Formulas make pairs by the million: nothing but the two parts is looked at, and what is read-only is not copied.
        for name in ("hi", "lo"):
            if isinstance(part := getattr(self, name), np.ndarray):
                object.__setattr__(self, name, frozen(part, copy=not part.flags.owndata))

    @classmethod
    def of(cls, value: Any) -> Pair:
        """Return floats as they are, with nothing behind them; a pair is returned itself."""
        if isinstance(value, Pair):
            return value
        hi = np.array(value, dtype=float)
        return cls(hi, np.zeros_like(hi))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return tuple(self.hi.shape)

    def __getitem__(self, key: Any) -> Pair:
        return Pair(np.asarray(self.hi[key]), np.asarray(self.lo[key]))

    def __neg__(self) -> Pair:
        return Pair(-self.hi, -self.lo)

    def __add__(self, other: Any) -> Pair:
        return self._entrywise("add", Pair.of(other))

    def __sub__(self, other: Any) -> Pair:
        return self + (-Pair.of(other))

    def __mul__(self, other: Any) -> Pair:
        return self._entrywise("multiply", Pair.of(other))

    def __truediv__(self, other: Any) -> Pair:
        return self._entrywise("divide", Pair.of(other))

    def __matmul__(self, other: Any) -> Pair:
        from mastsim.linalg.double_double import product

        right = Pair.of(other)
        left, columns = self.hi.ndim == 1, right.hi.ndim == 1
        a, a_lo = (np.ascontiguousarray(np.atleast_2d(part)) for part in (self.hi, self.lo))
        b, b_lo = (np.ascontiguousarray(part[:, None] if columns else part) for part in (right.hi, right.lo))
        hi, lo = (frozen(part, copy=False) for part in product(a, a_lo, b, b_lo))
        if left:
            hi, lo = hi[0], lo[0]
        return Pair(hi[..., 0], lo[..., 0]) if columns else Pair(hi, lo)

    def _entrywise(self, operation: str, other: Pair) -> Pair:
        from mastsim.linalg import double_double

        shape, parts = self.shape, [self.hi, self.lo, other.hi, other.lo]
        if other.shape != shape:
            shape = np.broadcast_shapes(shape, other.shape)
            parts = [np.broadcast_to(part, shape) for part in parts]
        found = getattr(double_double, operation)(*(part.ravel() for part in parts))
        return Pair(*(frozen(part, copy=False).reshape(shape) for part in found))

    @property
    def rounded(self) -> np.ndarray:
        """The nearest floats."""
        return self.hi + self.lo

    @property
    def size(self) -> np.ndarray:
        """Absolute values, as floats."""
        return np.abs(self.rounded)

    @property
    def T(self) -> Pair:
        """The transpose."""
        return Pair(self.hi.T, self.lo.T)
