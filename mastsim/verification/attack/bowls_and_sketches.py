"""What an instance of an attack is made of: bowls, sketches and settings, as plain numbers that go to JSON and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mastsim.methods import (
    Compressor,
    FullBatch,
    IndependentSampling,
    Nice,
    Sampling,
    SketchCompressor,
    Uncompressed,
    WithReplacement,
    importance_sampling,
)
from mastsim.problems import Quadratic
from mastsim.sketches import Bernoulli, FiniteSupport, Identity, PermK, RandK, Sketch
from mastsim.validation import one_of

Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]

SKETCHES = ("finite", "bernoulli", "randk", "permk", "identity")
SAMPLINGS = ("full", "nice", "independent", "replacement", "importance")
_BIAS = 1e-13


@dataclass(frozen=True)
class Bowl:
    """The quadratic ½(x − x*)ᵀA(x − x*): up to a constant every quadratic that is bounded below.

    Parameters
    ----------
    curvature : tuple of tuples of float, shape (dim, dim)
        A, symmetric and positive semidefinite.
    best : tuple of float, shape (dim,)
        A minimiser x*.

    Examples
    --------
    >>> float(Bowl(((2.0,),), (3.0,)).problem().L_f)
    2.0
    """

    curvature: Matrix
    best: Vector

    def problem(self) -> Quadratic:
        """Return f as a `Quadratic`; raises ValueError if A is not positive semidefinite."""
        A, best = np.array(self.curvature), np.array(self.best)
        return Quadratic(A, A @ best, 0.5 * float(best @ A @ best))

    def tidy(self) -> Bowl:
        """Return the bowl with the upper triangle of A copied to the lower one."""
        upper = np.triu(np.array(self.curvature))
        return replace(self, curvature=tuples_of(upper + np.triu(upper, 1).T))

    def rounder(self) -> Iterator[Bowl]:
        """Yield bowls with A = 0, I, its diagonal, or from factors of few digits, which keeps A positive semidefinite."""
        A, d = np.array(self.curvature), len(self.best)
        spectrum, basis = np.linalg.eigh(A)
        factor = basis * np.sqrt(np.maximum(spectrum, 0.0))
        rounded = [np.array([[float(f"{x:.{n}g}") for x in row] for row in factor]) for n in (1, 2)]
        for simple in (np.zeros((d, d)), np.eye(d), np.diag(np.diag(A)), *(b @ b.T for b in rounded)):
            if not np.array_equal(simple, A):
                yield replace(self, curvature=tuples_of(simple))

    def without(self, i: int) -> Bowl:
        """Return the bowl on the coordinates other than `i`."""
        return Bowl(submatrix(self.curvature, i), self.best[:i] + self.best[i + 1 :])


@dataclass(frozen=True)
class SketchPart:
    """A sketch as numbers.

    Parameters
    ----------
    kind : {"finite", "bernoulli", "randk", "permk", "identity"}
        Which family.
    matrices, weights : tuples of float, shapes (values, dim, dim) and (values,)
        The values of a finite support and their probabilities.
    keep : tuple of float, shape (dim,)
        The keep fractions of a Bernoulli sketch.
    k : int
        How many coordinates Rand-K keeps.

    Raises
    ------
    ValueError
        If `kind` is unknown.

    Examples
    --------
    >>> SketchPart("finite", matrices=(((0.0,),), ((4.0,),)), weights=(0.5, 0.25)).tidy()
    SketchPart(kind='finite', matrices=(((0.0,),), ((4.0,),)), weights=(0.75, 0.25), keep=(), k=0)
    """

    kind: str
    matrices: tuple[Matrix, ...] = ()
    weights: Vector = ()
    keep: Vector = ()
    k: int = 0

    def __post_init__(self) -> None:
        one_of("kind", self.kind, SKETCHES)

    def sketch(self, dim: int, clients: int) -> Sketch:
        """Return the sketch; raises ValueError where it is none, or E[S] = I holds only to more than rounding."""
        if self.kind == "finite":
            S, w = np.array(self.matrices), np.array(self.weights)
            bias = np.abs(np.tensordot(w, S, 1) - np.eye(dim)).max()
            if not bias <= _BIAS * max(1.0, float(np.tensordot(w, np.abs(S), 1).max())):
                raise ValueError(f"matrices is not accepted: E[S] differs from the identity by {bias:.3g}")
            return FiniteSupport(S, w)
        if self.kind == "bernoulli":
            return Bernoulli(dim, np.array(self.keep))
        if self.kind == "randk":
            return RandK(dim, k=self.k)
        return PermK(dim, clients=clients) if self.kind == "permk" else Identity(dim)

    def tidy(self) -> SketchPart:
        """Return a finite support whose likeliest value makes the weights add up to 1 and E[S] the identity."""
        if self.kind != "finite":
            return self
        S, w = np.array(self.matrices), np.array(self.weights)
        top = int(np.argmax(w))
        others = np.arange(len(w)) != top
        w[top] = 1 - w[others].sum()
        S[top] = (np.eye(S.shape[1]) - np.tensordot(w[others], S[others], 1)) / w[top]
        return replace(self, matrices=tuple(tuples_of(m) for m in S), weights=tuple_of(w))

    def without(self, i: int) -> SketchPart:
        """Return the sketch on the coordinates other than `i`."""
        fewer = tuple(submatrix(m, i) for m in self.matrices)
        return replace(self, matrices=fewer, keep=self.keep[:i] + self.keep[i + 1 :], k=max(self.k - 1, min(self.k, 1)))

    def without_value(self, j: int) -> SketchPart:
        """Return a finite support without its value `j`."""
        rest = self.weights[:j] + self.weights[j + 1 :]
        left = tuple(w / sum(rest) for w in rest)
        return replace(self, matrices=self.matrices[:j] + self.matrices[j + 1 :], weights=left).tidy()


def sampling(name: str, smoothness: np.ndarray) -> Sampling:
    """Return a sampling of one component, or with uneven probabilities, by its name in an instance."""
    n, uneven = len(smoothness), np.arange(1.0, len(smoothness) + 1)
    table: dict[str, Any] = {
        "full": FullBatch,
        "nice": lambda: Nice(max(1, n // 2)),
        "independent": lambda: IndependentSampling(uneven / n),
        "replacement": lambda: WithReplacement(2, uneven / uneven.sum()),
        "importance": lambda: importance_sampling(smoothness, 1),
    }
    found: Sampling = table[one_of("sampling", name, SAMPLINGS)]()
    return found


def compressor(k: int, dim: int) -> Compressor:
    """Return Rand-k as a compressor of gradients; none for k = 0 or k ≥ dim."""
    return SketchCompressor(RandK(dim, k=k)) if 0 < k < dim else Uncompressed()


def tuple_of(values: np.ndarray) -> Vector:
    """Return an array as a tuple of Python numbers."""
    return tuple(float(value) for value in values)


def tuples_of(values: np.ndarray) -> Matrix:
    """Return a matrix as tuples of Python numbers."""
    return tuple(tuple_of(row) for row in values)


def submatrix(values: Matrix, i: int) -> Matrix:
    """Return a matrix without row and column `i`."""
    return tuple(row[:i] + row[i + 1 :] for j, row in enumerate(values) if j != i)
