"""What a sketch distribution is: unbiased random matrices S with known matrix moments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from mastsim.backend import Array, asnumpy, namespace, rows_at, rows_times
from mastsim.devices import Device
from mastsim.memory import check_room
from mastsim.provenance import Constant
from mastsim.readonly import ReadOnly
from mastsim.sketches.fourth_moment import enumerated_fourth_moment
from mastsim.validation import HESSIANS, array, entries, floats, integer, shown

SUPPORT_LIMIT = 1 << 20
CACHED_SUPPORT = 4096
SPECTRA_LIMIT = 1 << 20


class SketchBatch(ABC):
    """A batch of drawn sketches, one per replica, in a compact form."""

    @abstractmethod
    def apply(self, z: Array) -> Array:
        """Return S z for every replica; `z` has shape (replicas, dim) or (dim,)."""

    @abstractmethod
    def apply_transpose(self, g: Array) -> Array:
        """Return Sᵀ g for every replica; `g` has shape (replicas, dim) or (dim,)."""

    @abstractmethod
    def take(self, index: Array) -> SketchBatch:
        """Return the sketches at the given positions, shape of `index` (replicas,)."""

    @abstractmethod
    def matrices(self) -> Array:
        """Return the sketches written out, shape (replicas, dim, dim): for small checks only."""

    @abstractmethod
    def square_norms(self) -> tuple[Array, Array]:
        """Return λ_min(SᵀS) and λ_max(SᵀS) of every sketch, each of shape (replicas,)."""

    def on(self, device: Device) -> SketchBatch:
        """Return the same sketches with their arrays on a device."""
        there: SketchBatch = device.copy(self)
        return there


@dataclass(frozen=True, eq=False)
class DiagonalBatch(SketchBatch):
    """Diagonal sketches, stored as their diagonals.

    Parameters
    ----------
    diagonals : array, shape (replicas, dim)
        One diagonal per replica.

    Examples
    --------
    >>> DiagonalBatch(np.array([[2.0, 0.0]])).apply(np.array([3.0, 5.0]))
    array([[6., 0.]])
    """

    diagonals: Array

    def __post_init__(self) -> None:
        array("diagonals", self.diagonals)

    def apply(self, z: Array) -> Array:
        """Return S z for every replica."""
        return self.diagonals * z

    def apply_transpose(self, g: Array) -> Array:
        """Return Sᵀ g for every replica, which is S g."""
        return self.diagonals * g

    def take(self, index: Array) -> DiagonalBatch:
        """Return the sketches at the given positions."""
        return DiagonalBatch(rows_at(self.diagonals, index))

    def matrices(self) -> Array:
        """Return the sketches written out, shape (replicas, dim, dim)."""
        xp = namespace(self.diagonals)
        return self.diagonals[:, :, None] * xp.eye(self.diagonals.shape[-1])

    def square_norms(self) -> tuple[Array, Array]:
        """Return λ_min(SᵀS) and λ_max(SᵀS) of every sketch, each of shape (replicas,)."""
        xp = namespace(self.diagonals)
        return xp.min(self.diagonals**2, axis=-1), xp.max(self.diagonals**2, axis=-1)


@dataclass(frozen=True, eq=False)
class MatrixBatch(SketchBatch):
    """Sketches picked from a short list of explicit matrices.

    Parameters
    ----------
    atoms : array, shape (N, dim, dim)
        The list.
    index : array of int, shape (replicas,)
        Which matrix each replica drew.

    Examples
    --------
    >>> MatrixBatch(np.array([[[0.0, 1.0], [1.0, 0.0]]]), np.array([0])).apply(np.array([3.0, 5.0]))
    array([[5., 3.]])
    """

    atoms: Array
    index: Array

    def __post_init__(self) -> None:
        array("atoms", self.atoms)
        array("index", self.index)

    def apply(self, z: Array) -> Array:
        """Return S z for every replica."""
        return self._multiply(self.atoms, z)

    def apply_transpose(self, g: Array) -> Array:
        """Return Sᵀ g for every replica."""
        return self._multiply(namespace(self.atoms).matrix_transpose(self.atoms), g)

    def take(self, index: Array) -> MatrixBatch:
        """Return the sketches at the given positions."""
        return MatrixBatch(self.atoms, rows_at(self.index, index))

    def matrices(self) -> Array:
        """Return the sketches written out, shape (replicas, dim, dim)."""
        return rows_at(self.atoms, self.index)

    def square_norms(self) -> tuple[Array, Array]:
        """Return λ_min(SᵀS) and λ_max(SᵀS) of every sketch, each of shape (replicas,)."""
        xp = namespace(self.atoms)
        singular = xp.linalg.svdvals(self.atoms) ** 2
        return rows_at(singular[:, -1], self.index), rows_at(singular[:, 0], self.index)

    def _multiply(self, atoms: Array, z: Array) -> Array:
        # One drawn matrix at a time: gathering one matrix per replica would take replicas × dim² memory.
        xp = namespace(z)
        z = xp.broadcast_to(z, (self.index.shape[0], z.shape[-1]))
        out = xp.empty(z.shape, dtype=xp.result_type(atoms, z))
        for j in np.unique(asnumpy(self.index)).tolist():
            mine = self.index == j
            out[mine] = rows_times(atoms[j, ...], z[mine])
        return out


class Sketch(ReadOnly, ABC):
    """A distribution D of random matrices S of shape (dim, dim).

    Every sketch is a deterministic function of a fixed number of uniform random numbers, which is what makes simulations
    repeatable on any device. Subclasses are frozen dataclasses with a field ``dim``.

    References
    ----------
    Demidovich, Malinovsky, Shulgin, Richtárik, MAST, arXiv 2311.16086, Assumption 1.
    """

    dim: int
    keyword: ClassVar[str] = ""
    """The family's name on the command line; empty for families that cannot be written in one word."""

    @classmethod
    def from_text(cls, argument: str, dim: int) -> Sketch:
        """Return the sketch that the text after the colon of ``keyword:argument`` names."""
        raise ValueError(f"{cls.__name__} cannot be named in a text; build it in Python")

    @property
    def name(self) -> str:
        """A short text that says which distribution this is."""
        return repr(self)

    @property
    def unbiased(self) -> bool:
        """Whether E[S] = I, which every theorem needs."""
        return True

    @property
    def is_diagonal(self) -> bool:
        """Whether every S is a diagonal matrix."""
        return False

    @property
    @abstractmethod
    def L_max(self) -> float:
        """L_S^max, the essential supremum of λ_max(SᵀS); infinite for unbounded sketches."""

    @property
    def L_max_is_exact(self) -> bool:
        """Whether `L_max` is L_S^max itself; otherwise it is an upper bound."""
        return True

    @property
    @abstractmethod
    def L_D(self) -> float:
        """λ_max(E[SᵀS])."""

    @property
    @abstractmethod
    def mu_D(self) -> float:
        """λ_min(E[SᵀS])."""

    @abstractmethod
    def second_moment(self) -> np.ndarray:
        """Return E[SᵀS], shape (dim, dim)."""

    @abstractmethod
    def quadratic_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀAS] for a symmetric matrix `A` of shape (dim, dim)."""

    def fourth_moment(self, A: np.ndarray) -> np.ndarray:
        """Return E[SᵀASSᵀAS] for a symmetric matrix `A` of shape (dim, dim).

        Raises
        ------
        ValueError
            If it is not known in closed form and the support is too large to enumerate.
        """
        return enumerated_fourth_moment(self, self.check_matrix(A))

    def supremum_curvature(self, A: np.ndarray) -> Constant:
        """Return sup_S λ_max(SᵀAS) for a positive semidefinite `A`, exactly or as an upper bound.

        Parameters
        ----------
        A : ndarray, shape (dim, dim)
            Symmetric positive semidefinite matrix.

        Returns
        -------
        Constant
            Exact when the support can be enumerated, otherwise the upper bound L_S^max·λ_max(A).
        """
        A = self.check_matrix(A)
        if self.support_size * self.dim**2 > SPECTRA_LIMIT:
            top = max(float(np.linalg.eigvalsh(A)[-1]), 0.0)
            return Constant(self.L_max * top if top > 0 else 0.0, "upper", "L_S^max·λ_max(L)")
        S = np.asarray(self.support()[0].matrices())
        top = float(np.linalg.eigvalsh(S.transpose(0, 2, 1) @ A @ S)[:, -1].max())
        return Constant(top, "exact", "enumeration of the support")

    def projection(self, a: Array, z: Array) -> Any:
        """Return the law of the scalar aᵀSz, or refuse where it is not known in closed form."""
        raise ValueError(f"the law of aᵀSz is not known in closed form for {self.name}; sample it instead")

    @property
    @abstractmethod
    def uniforms(self) -> int:
        """How many uniform random numbers one draw takes."""

    @abstractmethod
    def from_uniforms(self, u: Array) -> SketchBatch:
        """Return one sketch per row of `u`, shape (replicas, uniforms), entries in [0, 1)."""

    @property
    @abstractmethod
    def support_size(self) -> float:
        """How many different matrices S can be; infinite for continuous laws."""

    @abstractmethod
    def _enumerate(self) -> tuple[SketchBatch, np.ndarray]:
        """Return all matrices and their probabilities; called only when `support_size` is within the limit."""

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
        return self._few_values if self.support_size <= CACHED_SUPPORT else self._enumerate()

    @cached_property
    def _few_values(self) -> tuple[SketchBatch, np.ndarray]:
        return self._enumerate()

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
        A = floats("A", A)
        if A.shape != (self.dim, self.dim):
            raise ValueError(f"A has shape {A.shape}, but this sketch needs ({self.dim}, {self.dim})")
        return entries("A", A, HESSIANS)
