"""What a sketch distribution is: unbiased random matrices S with known matrix moments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from mastsim.backend import Array
from mastsim.linalg import symmetric_part, transposed
from mastsim.memory import check_room, check_square
from mastsim.provenance import Constant
from mastsim.readonly import ReadOnly
from mastsim.sketches.batches import DiagonalBatch, MatrixBatch, SketchBatch
from mastsim.sketches.laws import DiagonalLaw, Law, MomentOperators
from mastsim.sketches.laws.listed import EnumeratedOperators, can_be_enumerated, few, largest_curvature
from mastsim.validation import HESSIANS, entries, floats, integer, shown, vector

SUPPORT_LIMIT = 1 << 20
CACHED_SUPPORT = 4096
ENUMERATION_LIMIT = 1 << 24
"""The most matrix entries of a support that is enumerated."""
_SYMMETRIC = 1e-12


class Sketch(ReadOnly, ABC):
    """A distribution D of random matrices S of shape (dim, dim): a law, and a draw from it.

    A draw is a deterministic function of a fixed number of uniform random numbers, which is what makes simulations
    repeatable on any device. Subclasses are frozen dataclasses with a field ``dim``; they give `uniforms` and
    `from_uniforms`, and as `law` what they know. Everything else follows from the law and may be overridden.

    References
    ----------
    Demidovich, Malinovsky, Shulgin, Richtárik, MAST, arXiv 2311.16086, Assumption 1.

    Examples
    --------
    A mask of one's own, which keeps one of two halves, has every exact moment and every exact objective:

    >>> from mastsim.sketches import SelectionSketch
    >>> from mastsim.sketches.laws import Selection
    >>> class Halves(SelectionSketch):
    ...     dim = 4
    ...     law = Selection(np.array([0, 0, 1, 1]), np.zeros(2, dtype=int), np.array([2]), np.array([1.0]))
    >>> Halves().L_D, Halves().support_size
    (2.0, 2.0)
    """

    noun = "sketch"
    example = "RandK(dim, k=3)"

    dim: int
    keyword: ClassVar[str] = ""
    """The family's name on the command line; empty for families that cannot be written in one word."""
    form: ClassVar[str] = ""
    """How its arguments are written after the keyword, with an example: ``randk:KEEP, for example randk:0.1``."""

    @classmethod
    def from_text(cls, argument: str, dim: int) -> Sketch:
        """Return the sketch that the text after the colon of ``keyword:argument`` names."""
        raise ValueError(f"{cls.__name__} cannot be named in a text; build it in Python")

    @classmethod
    def examples(cls, dim: int) -> Sequence[Sketch]:
        """Return a few members of the family in a dimension, for tests and checks; none unless a family gives some."""
        return ()

    @property
    def law(self) -> Law:
        """What is known about S; nothing, unless a family says so."""
        return Law(self.dim)

    @property
    @abstractmethod
    def uniforms(self) -> int:
        """How many uniform random numbers one draw takes."""

    @abstractmethod
    def from_uniforms(self, u: Array) -> SketchBatch:
        """Return one sketch per row of `u`, shape (replicas, uniforms), entries in [0, 1)."""

    @property
    def name(self) -> str:
        """A short text that says which distribution this is."""
        return repr(self)

    @property
    def unbiased(self) -> bool:
        """Whether E[S] = I, which every theorem needs."""
        return self.law.unbiased

    @property
    def is_diagonal(self) -> bool:
        """Whether every S is known to be a diagonal matrix."""
        return isinstance(self.law, DiagonalLaw)

    @property
    def L_max(self) -> float:
        """L_S^max, the essential supremum of λ_max(SᵀS); infinite for unbounded sketches."""
        return self.law.L_max

    @property
    def L_max_is_exact(self) -> bool:
        """Whether `L_max` is L_S^max itself; otherwise it is an upper bound."""
        return self.law.L_max_is_exact

    @property
    def L_D(self) -> float:
        """λ_max(E[SᵀS])."""
        return self.law.L_D

    @property
    def mu_D(self) -> float:
        """λ_min(E[SᵀS])."""
        return self.law.mu_D

    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS], shape (dim, dim)."""
        check_square(f"the second moment of {self.name}", self.dim, change="use a sketch of fewer dimensions")
        return self.law.second_moment()

    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS] for a square matrix `A` of shape (dim, dim)."""
        return self.law.quadratic_moment(self.check_matrix(A))

    def moment_operators(self, A: np.ndarray) -> MomentOperators:
        """Return the maps M ↦ E[HMH], E[HMS], E[SᵀMS] for H = SᵀAS and a symmetric `A` of shape (dim, dim).

        Of several, shape (count, dim, dim), the maps of each are returned together.

        Raises
        ------
        ValueError
            If `A` is not symmetric, or they are not known in closed form and the sketch has too many values to enumerate.
        """
        A = self.check_symmetric(A)
        if self.support_size != 1 and (known := self.law.moment_operators(A)) is not None:
            return known
        if not can_be_enumerated(self.support_size * A[..., 0, 0].size, self.dim):
            raise ValueError(
                f"E[HMH] is not known in closed form for {self.name}, whose {self.support_size:.6g} values are too many to "
                f"enumerate in dimension {self.dim}; simulate it instead"
            )
        batch, weights = self.support()
        return EnumeratedOperators(self.law, A, np.asarray(batch.matrices()), weights)

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀASSᵀAS] for a symmetric matrix `A` of shape (dim, dim).

        Raises
        ------
        ValueError
            If `A` is not symmetric, or it is not known in closed form and the support is too large to enumerate.
        """
        A = self.check_symmetric(A)
        if (known := self.law.fourth_moment(A)) is not None:
            return known
        if self.support_size * self.dim**2 > ENUMERATION_LIMIT:
            raise ValueError(
                f"E[SᵀASSᵀAS] is not known in closed form for {self.name}, whose {self.support_size:.6g} values are too "
                "many to enumerate: use the mean of (SᵀAS)² over draws from sample(rng, size), with its standard error, as "
                "an estimate"
            )
        batch, weights = self.support()
        S = np.asarray(batch.matrices())
        H = S.transpose(0, 2, 1) @ A @ S
        total: np.ndarray = np.tensordot(weights, H @ H, axes=1)
        return total

    def supremum_curvature(self, A: np.ndarray) -> Constant:
        """Return sup_S λ_max(SᵀAS) for a positive semidefinite `A`, exactly or as an upper bound.

        Parameters
        ----------
        A : ndarray, shape (dim, dim)
            Symmetric positive semidefinite matrix.

        Returns
        -------
        Constant
            Exact when the law knows it or the support can be enumerated, otherwise the upper bound L_S^max·λ_max(A).
        """
        A = self.check_matrix(A)
        if (known := self.law.supremum_curvature(A)) is not None:
            return known
        if not few(self.support_size, self.dim):
            top = max(float(np.linalg.eigvalsh(A)[-1]), 0.0)
            return Constant(self.L_max * top if top > 0 else 0.0, "upper", "L_S^max·λ_max(L)")
        batch, weights = self.support()
        top = largest_curvature(np.asarray(batch.matrices()), weights, A)
        return Constant(top, "exact", "enumeration of the support")

    def projection(self, a: Array, z: Array) -> Any:
        """Return the law of the scalar aᵀSz.

        Parameters
        ----------
        a, z : array, shape (dim,)
            The two vectors.

        Returns
        -------
        ScalarLaw or a law with the same members
            With mean, variance, bounds, characteristic and moment generating functions, and support.

        Raises
        ------
        ValueError
            If it is not known in closed form.
        """
        found = self.law.scalar(vector("a", a, self.dim), vector("z", z, self.dim))
        if found is None:
            raise ValueError(f"the law of aᵀSz is not known in closed form for {self.name}; sample it instead")
        return found

    @property
    def support_size(self) -> float:
        """How many different matrices S can be; infinite for continuous laws."""
        return self.law.support_size

    def enumerate(self) -> tuple[SketchBatch, np.ndarray]:
        """Return all matrices and their probabilities, however many; `support` is what to call."""
        what, change = f"the support of {self.name}", "sample the sketch instead"
        check_room(what, self.support_size, self.dim, change=change, itemsize=32)
        values, weights = self.law.values()
        if values.ndim == 2:
            return DiagonalBatch(values), weights
        return MatrixBatch(values, np.arange(len(values))), weights

    def support(self) -> tuple[SketchBatch, np.ndarray]:
        """Return every value of S and its probability.

        Returns
        -------
        SketchBatch
            The values, in compact form.
        ndarray, shape (support_size,)
            Their probabilities, which add up to 1.

        Raises
        ------
        ValueError
            If there are more than 2**20 values.
        """
        if self.support_size > SUPPORT_LIMIT:
            raise ValueError(
                f"the support of {self.name} has {self.support_size:.6g} values and cannot be enumerated; "
                f"at most {SUPPORT_LIMIT} are accepted"
            )
        return self._few_values if self.support_size <= CACHED_SUPPORT else self.enumerate()

    @cached_property
    def _few_values(self) -> tuple[SketchBatch, np.ndarray]:
        """The values, where they are few enough to be kept."""
        return self.enumerate()

    def require_uniform_support(self, what: str, least: int) -> None:
        """Refuse a sketch that does not take finitely many values, all equally likely, and at least so many.

        Parameters
        ----------
        what : str
            What needs it, for the message.
        least : int
            The least number of values.
        """
        weights = self.support()[1]
        if np.ptp(weights) > 1e-12 * weights.max():
            raise ValueError(f"{what} needs a sketch whose values are all equally likely, but those of {self.name} are not")
        if least > len(weights):
            raise ValueError(f"{what} of {least} values is not accepted: {self.name} has only {len(weights)}")

    def sample(self, rng: np.random.Generator, size: int) -> SketchBatch:
        """Return `size` independent sketches drawn with a NumPy generator.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness; only this object is advanced.
        size : int
            Number of sketches, at least 1.

        Returns
        -------
        SketchBatch
            The draws in compact form.

        Raises
        ------
        TypeError
            If `rng` is not a Generator.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng={shown(rng)} is not accepted: it must be a numpy.random.Generator")
        size, numbers = integer("size", size, 1), max(self.uniforms, self.dim)
        check_room(f"samples of {self.name}", size, numbers, change="draw fewer at once (size)", itemsize=32)
        return self.from_uniforms(rng.random((size, self.uniforms)))

    def check_matrix(self, A: np.ndarray) -> np.ndarray:
        """Return `A` as a float array, refusing anything but a finite (dim, dim) matrix."""
        A = self._check_matrices(A)
        if A.ndim != 2:
            raise ValueError(f"A has shape {A.shape}, but this sketch needs ({self.dim}, {self.dim})")
        return entries("A", A, HESSIANS)

    def check_symmetric(self, A: np.ndarray) -> np.ndarray:
        """Return the symmetric part of `A`, one matrix or several, refusing what is not symmetric and saying by how much."""
        A = self._check_matrices(A)
        off = float(np.abs(A - transposed(A)).max(initial=0.0))
        if off > _SYMMETRIC * float(np.abs(A).max(initial=0.0)):
            raise ValueError(f"A is not symmetric: an entry differs from its mirror image by {off:.3g}; pass (A + A.T)/2")
        return symmetric_part(A)

    def _check_matrices(self, A: np.ndarray) -> np.ndarray:
        A = floats("A", A)
        if A.shape[-2:] != (self.dim, self.dim):
            raise ValueError(f"A has shape {A.shape}, but this sketch needs ({self.dim}, {self.dim})")
        return entries("A", A, HESSIANS)
