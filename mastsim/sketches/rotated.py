"""Sketches in other coordinates: a fast or explicit rotation before and after."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft

from mastsim.backend import Array, contiguous, namespace, rows_times
from mastsim.namespaces import is_cupy
from mastsim.readonly import frozen
from mastsim.sketches.base import Sketch
from mastsim.sketches.batches import SketchBatch
from mastsim.sketches.laws import RotatedLaw
from mastsim.validation import finite, floats, one_of

_ORTHOGONAL = 1e-10
_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class RotatedBatch(SketchBatch):
    """Sketches QᵀS₀Q, stored as the drawn S₀.

    Parameters
    ----------
    inner : SketchBatch
        The drawn S₀.
    forward, backward : callable
        Multiplication of the last axis by Q and by Qᵀ.
    """

    inner: SketchBatch
    forward: Callable[[Array], Array]
    backward: Callable[[Array], Array]

    def apply(self, z: Array) -> Array:
        """Return S z for every replica."""
        return self.backward(self.inner.apply(self.forward(z)))

    def apply_transpose(self, g: Array) -> Array:
        """Return Sᵀ g for every replica."""
        return self.backward(self.inner.apply_transpose(self.forward(g)))

    def take(self, index: Array) -> RotatedBatch:
        """Return the sketches at the given positions."""
        return RotatedBatch(self.inner.take(index), self.forward, self.backward)

    def matrices(self) -> Array:
        """Return the sketches written out, shape (replicas, dim, dim)."""
        right = self.backward(self.inner.matrices())
        xp = namespace(right)
        return xp.matrix_transpose(self.backward(contiguous(xp.matrix_transpose(right))))

    def square_norms(self) -> tuple[Array, Array]:
        """Return λ_min(SᵀS) and λ_max(SᵀS) of every sketch, those of S₀, each of shape (replicas,)."""
        return self.inner.square_norms()


@dataclass(frozen=True, eq=False)
class Rotated(Sketch):
    """S = QᵀS₀Q: the sketch S₀ in the coordinates Qx.

    Parameters
    ----------
    sketch : Sketch
        The sketch S₀.
    rotation : {"hadamard", "dct"} or array of float, shape (dim, dim)
        The orthogonal matrix Q: the Walsh–Hadamard matrix divided by √d (d must be a power of two), the discrete cosine
        transform of type II, or any other written out. The first two are applied in O(d log d).

    Raises
    ------
    TypeError
        If `sketch` is not a sketch.
    ValueError
        If the name is unknown, the shape does not fit, the matrix is not orthogonal, or d is not a power of two.

    References
    ----------
    This package; sketching after a Hadamard transform is due to Ailon, Chazelle, The fast Johnson–Lindenstrauss transform
    and approximate nearest neighbors, SIAM J. Comput. 39 (2009).

    Examples
    --------
    >>> import mastsim as ms
    >>> S = Rotated(ms.RandK(4, k=2), "hadamard")
    >>> S.L_D, S.L_max
    (2.0, 4.0)
    >>> S.rotate(np.array([1.0, 1.0, 1.0, 1.0]))
    array([2., 0., 0., 0.])
    """

    sketch: Sketch
    rotation: str | np.ndarray
    dim: int = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.sketch, Sketch):
            raise TypeError(f"sketch must be a sketch such as RandK(dim, k), not {type(self.sketch).__name__}")
        object.__setattr__(self, "dim", self.sketch.dim)
        object.__setattr__(self, "rotation", _checked_rotation(self.rotation, self.dim))

    @property
    def name(self) -> str:
        """For example ``hadamard-rotated Rand-2 of 4``."""
        how = f"{self.rotation}-" if isinstance(self.rotation, str) else ""
        return f"{how}rotated {self.sketch.name}"

    def rotate(self, x: Array) -> Array:
        """Return Qx along the last axis.

        Parameters
        ----------
        x : array, shape (..., dim)
            Vectors in the original coordinates.

        Returns
        -------
        array, shape (..., dim)
            The vectors in the coordinates where S₀ acts.
        """
        if isinstance(self.rotation, str):
            return _FORWARD[self.rotation](x)
        return rows_times(namespace(x).asarray(self.rotation), x)

    def rotate_back(self, y: Array) -> Array:
        """Return Qᵀy along the last axis, which undoes `rotate`.

        Parameters
        ----------
        y : array, shape (..., dim)
            Vectors in the coordinates where S₀ acts.

        Returns
        -------
        array, shape (..., dim)
            The vectors in the original coordinates.
        """
        if isinstance(self.rotation, str):
            return _BACKWARD[self.rotation](y)
        return rows_times(namespace(y).asarray(np.ascontiguousarray(self.rotation.T)), y)

    @cached_property
    def law(self) -> RotatedLaw:
        """That of S₀ in other coordinates."""
        return RotatedLaw(self.sketch.law, self.rotate, self.rotate_back, _departure(self.rotation, self.dim))

    @property
    def uniforms(self) -> int:
        """As many as S₀ takes."""
        return self.sketch.uniforms

    def from_uniforms(self, u: Array) -> RotatedBatch:
        """Return one sketch per row of `u`, shape (replicas, uniforms)."""
        return RotatedBatch(self.sketch.from_uniforms(u), self.rotate, self.rotate_back)

    def enumerate(self) -> tuple[RotatedBatch, np.ndarray]:
        """Return all matrices, as those of S₀, and their probabilities."""
        batch, weights = self.sketch.support()
        return RotatedBatch(batch, self.rotate, self.rotate_back), weights


def _checked_rotation(rotation: str | np.ndarray, dim: int) -> str | np.ndarray:
    if isinstance(rotation, str):
        if one_of("rotation", rotation, _FORWARD) == "hadamard" and dim & (dim - 1):
            raise ValueError(f"dim={dim} is not accepted: the rotation 'hadamard' needs a power of two; 'dct' takes any dim")
        return rotation
    Q = floats("rotation", rotation)
    if Q.shape != (dim, dim):
        raise ValueError(f"rotation has shape {Q.shape}, but this sketch needs ({dim}, {dim})")
    off = float(np.abs(finite("rotation", Q) @ Q.T - np.eye(dim)).max())
    if off > _ORTHOGONAL:
        raise ValueError(f"rotation is not orthogonal: QQᵀ differs from I by {off:.3g} (largest entry); pass the Q of a QR")
    return frozen(Q, copy=False)


def _departure(rotation: str | np.ndarray, dim: int) -> float:
    """Return how far Q as it is computed may be from an orthogonal matrix, relative to what it is applied to."""
    if isinstance(rotation, str):
        # Fast transforms take log₂ d rounds, and some for tables of cosines.
        return 8 * _EPS * (math.log2(dim) + 4)
    return math.sqrt(dim) * (dim + 4) * _EPS + float(np.linalg.norm(rotation.T @ rotation - np.eye(dim)))


def _hadamard(x: Array) -> Array:
    # Every pass combines the two halves and interleaves the results: after log₂ d of them all entries are in order again.
    xp = namespace(x)
    shape, dim = x.shape, x.shape[-1]
    for _ in range(dim.bit_length() - 1):
        first, second = x[..., : dim // 2], x[..., dim // 2 :]
        x = xp.reshape(xp.stack([first + second, first - second], axis=-1), shape)
    return x / dim**0.5


def _dct(x: Array) -> Array:
    return _transforms(x).dct(x, type=2, norm="ortho", axis=-1)


def _idct(y: Array) -> Array:
    return _transforms(y).idct(y, type=2, norm="ortho", axis=-1)


def _transforms(x: Array) -> Any:
    if is_cupy(x):
        return importlib.import_module("cupyx.scipy.fft")
    if isinstance(x, np.ndarray) or not hasattr(x, "__array_namespace__"):
        return scipy.fft
    raise TypeError(
        f"the rotation 'dct' needs NumPy or CuPy arrays, not {type(x).__name__}; 'hadamard' or a matrix takes any"
    )


_FORWARD: dict[str, Callable[[Array], Array]] = {"hadamard": _hadamard, "dct": _dct}
_BACKWARD: dict[str, Callable[[Array], Array]] = {"hadamard": _hadamard, "dct": _idct}
