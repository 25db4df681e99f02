"""What a moment recursion is, and how it is followed for many steps with its rounding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from mastsim.linalg import Curvature, diagonal, outer, symmetric_part, transposed
from mastsim.validation import integer, vector

UNIT = 16 * float(np.finfo(float).eps)
"""What one step of a recursion rounds by, relative to dim and to the size of its terms; far more than is measured."""


class MomentState(NamedTuple):
    """First and second moment of what a method carries, from one start or from several.

    The first `dim` coordinates are y = x − x_D*.

    Parameters
    ----------
    mean : ndarray, shape (…, size)
        The expectation.
    second : ndarray, shape (…, size, size)
        The second-moment matrix.
    """

    mean: np.ndarray
    second: np.ndarray


class MomentRecursion(ABC):
    """A linear recursion that the moments of a method obey on a quadratic: second moments go M ↦ Φ(M) + what noise adds.

    Φ keeps positive semidefinite matrices positive semidefinite.
    """

    fields: ClassVar[tuple[str, ...]] = ("x",)
    """What is carried, in blocks of `dim`: points counted from x_D*, and "g", a gradient."""

    alike: ClassVar[bool] = True
    """Whether steps of one size are the same whatever their number."""

    keeps_range: bool = True
    """Whether a step only moves along range(H_D)."""

    reach: Literal["all", "starts", "some"] = "all"
    """Which states starts along range(H_D) lead to: all along it, combinations of starts only, or some, to be found out."""

    stepsize: float

    @property
    @abstractmethod
    def hessian(self) -> np.ndarray:
        """H_D, shape (dim, dim)."""

    @property
    @abstractmethod
    def curvature_size(self) -> float:
        """At least E‖H‖² in the Frobenius norm for every random H that a step multiplies by."""

    @property
    def noise_size(self) -> float:
        """The size of the terms that noise adds to second moments in one step."""
        return 0.0

    def start(self, y0: np.ndarray) -> MomentState:
        """Return the moments at the deterministic start y⁰ = x⁰ − x_D*, shape (…, dim)."""
        return started(y0)

    def step(self, state: MomentState) -> MomentState:
        """Return the moments after one more step; the second is symmetric, since some maps amplify what is not."""
        return MomentState(self.mean_after(state.mean), symmetric_part(self._second_after(state)))

    @abstractmethod
    def mean_after(self, mean: np.ndarray) -> np.ndarray:
        """Return the mean after one more step, an affine image of the mean before, shape (…, size)."""

    @abstractmethod
    def _second_after(self, state: MomentState) -> np.ndarray:
        """Return the second moment after one more step, symmetric up to rounding."""

    @abstractmethod
    def linear(self, X: np.ndarray) -> np.ndarray:
        """Return Φ(X), what a step does to symmetric second moments, shape (…, size, size), apart from noise."""

    def at(self, step: int, stepsize: float | None = None) -> MomentRecursion:
        """Return the recursion of one step, from 0, at a step size: this one, where steps are alike."""
        return self if stepsize is None else replace(self, stepsize=stepsize)  # type: ignore[type-var]

    @property
    def units(self) -> np.ndarray:
        """What one coordinate of every field counts, shape (fields·dim,): one for points, 1/γ for gradients."""
        each = [1 / self.stepsize if name == "g" else 1.0 for name in self.fields]
        return np.repeat(each, len(self.hessian))

    @cached_property
    def amplification(self) -> float:
        """At least the sum of the sizes of the terms of Φ(X), for ‖X‖ = 1 in balanced units."""
        gamma, H = self.stepsize, self.hessian
        plain = (1 + gamma * float(np.linalg.norm(H))) ** 2 * (1 if len(self.fields) == 1 else 4)
        return plain + gamma**2 * self.curvature_size

    @property
    def rounding_rate(self) -> float:
        """What one step rounds by, relative to the trace of the second moment in balanced units."""
        return UNIT * len(self.hessian) * self.amplification


def started(*fields: np.ndarray) -> MomentState:
    """Return the moments of known vectors, one a field, shape (…, dim) each."""
    whole = np.concatenate(fields, axis=-1)
    return MomentState(whole, outer(whole, whole))


def blocks_of(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the blocks of matrices [[Y, C], [Cᵀ, U]] of two fields of one length."""
    d = X.shape[-1] // 2
    return X[..., :d, :d], X[..., :d, d:], X[..., d:, d:]


def from_blocks(first: np.ndarray, cross: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return [[first, cross], [crossᵀ, last]]."""
    above = np.concatenate([first, cross], axis=-1)
    return np.concatenate([above, np.concatenate([transposed(cross), last], axis=-1)], axis=-2)


class Range(NamedTuple):
    """The range of H_D.

    Parameters
    ----------
    values : ndarray, shape (rank,)
        The eigenvalues that are not zero.
    vectors : ndarray, shape (dim, rank)
        Their eigenvectors.
    uncertain : bool
        Whether rounding leaves open that an eigenvalue that counts as zero is not.
    """

    values: np.ndarray
    vectors: np.ndarray
    uncertain: bool


def range_of(H: np.ndarray) -> Range:
    """Return the eigenvalues and eigenvectors of H_D on its range: those beyond the rounding of a symmetric eigensolver."""
    values, vectors = np.linalg.eigh(symmetric_part(H))
    top = float(np.abs(values).max())
    if values[0] < -1e-10 * top:
        raise ValueError(f"H_D has the eigenvalue {values[0]:.3g}, but it must be positive semidefinite: f_D is not convex")
    keep = values > 4 * len(H) * np.finfo(float).eps * top
    # Small eigenvalues may be zeros that rounding has moved, or not: the exact rank of the matrix says.
    kept = int(keep.sum())
    return Range(values[keep], vectors[:, keep], kept < len(H) and Curvature(symmetric_part(H)).rank != kept)


@dataclass(frozen=True, eq=False)
class Followed:
    """What was seen along the steps of a recursion from every start.

    Parameters
    ----------
    values : ndarray, shape (…, steps + 1, forms)
        E(s, 1)ᵀQ(s, 1) for every form Q of the state s with a 1 appended; infinite from where they overflow.
    sizes : ndarray, shape (…, steps + 1)
        What rounding is relative to: the trace of the second moment in balanced units.
    """

    values: np.ndarray
    sizes: np.ndarray


@dataclass(frozen=True, eq=False)
class MomentPath:
    """The moments along the steps of a recursion from every start; what never moves is split off and kept exactly.

    Parameters
    ----------
    chain : MomentRecursion
        The recursion.
    y0 : ndarray, shape (…, dim)
        x⁰ − x_D*.
    forms : list of ndarray, shape (size + 1, size + 1)
        Quadratic forms of the state with a 1 appended.
    stepsizes : callable, optional
        Maps the number of a step, from 0, to its size, none above that of the recursion, which all have when left out.
    """

    chain: MomentRecursion
    y0: np.ndarray
    forms: list[np.ndarray]
    stepsizes: Callable[[int], float] | None = None

    @property
    def alike(self) -> bool:
        """Whether every step is the same."""
        return self.chain.alike and self.stepsizes is None

    def at(self, step: int) -> MomentRecursion:
        """Return the recursion of one step."""
        if self.stepsizes is None:
            return self.chain.at(step)
        stepsize = self.stepsizes(step)
        if stepsize > self.chain.stepsize:
            most = f"that its rule gives as the largest, {self.chain.stepsize:g}"
            raise ValueError(f"step {step} has the size {stepsize:g}, which is above the one {most}")
        return self.chain.at(step, stepsize)

    @cached_property
    def _projector(self) -> np.ndarray | None:
        if not self.chain.keeps_range:
            return None
        U = range_of(self.chain.hessian).vectors
        return None if U.shape[1] == len(U) else U @ U.T

    @cached_property
    def still(self) -> np.ndarray:
        """The part of the state that no step changes, along the kernel of H_D, shape (…, fields·dim)."""
        P = self._projector
        rest = np.zeros_like(self.y0) if P is None else self.y0 - self.y0 @ P
        return np.concatenate([np.zeros_like(rest) if name == "g" else rest for name in self.chain.fields], axis=-1)

    def states(self, steps: int) -> Iterator[MomentState]:
        """Yield the moments of the moving part after 0, 1, …, `steps` steps; not finite from where they overflow."""
        state = self.chain.start(self.y0 - self.still[..., : self.y0.shape[-1]])
        whole = None if self._projector is None else np.kron(np.eye(len(self.chain.fields)), self._projector)
        for t in range(steps + 1):
            yield state
            if t < steps:
                state = self.at(t).step(state)
                if whole is not None:
                    state = MomentState(state.mean @ whole, symmetric_part(whole @ state.second @ whole))

    def follow(self, steps: int) -> Followed:
        """Return what is seen in the first `steps` steps."""
        flat, (pulls, rests) = np.stack([Q[:-1, :-1].ravel() for Q in self.forms]).T, self._split()
        values = np.full((*self.y0.shape[:-1], steps + 1, len(self.forms)), np.inf)
        sizes, units = np.full(values.shape[:-1], np.inf), self.chain.units
        for t, (mean, second) in enumerate(self.states(steps)):
            found = second.reshape(*mean.shape[:-1], -1) @ flat + np.einsum("...qs,...s->...q", pulls, mean) + rests
            if not np.isfinite(found).any():
                break
            values[..., t, :] = np.where(np.isfinite(found), found, np.inf)
            sizes[..., t] = np.sum(np.abs(diagonal(second)) / units**2, axis=-1)
        return Followed(values, sizes + np.sum(self.still**2, axis=-1)[..., None])

    def _split(self) -> tuple[np.ndarray, np.ndarray]:
        # (m + n, 1)ᵀQ(m + n, 1) = mᵀQm + pull·m + rest for the still part n; Qn is zero where it is zero up to rounding.
        n, split = self.still, []
        for whole in self.forms:
            Q, both = whole[:-1, :-1], whole[:-1, -1] + whole[-1, :-1]
            image = n @ symmetric_part(Q)
            least = 16 * n.shape[-1] * np.finfo(float).eps * np.linalg.norm(Q) * np.linalg.norm(n, axis=-1)
            image[np.linalg.norm(image, axis=-1) <= least] = 0.0
            split.append((both + 2 * image, np.sum(n * image, axis=-1) + n @ both + whole[-1, -1]))
        pulls, rests = zip(*split, strict=True)
        return np.stack(pulls, axis=-2), np.stack(rests, axis=-1)

    def rounding(self, seen: Followed, misplaced: float = 0.0) -> np.ndarray:
        """Return bounds on the rounding of what was seen, shape (…, steps + 1, forms).

        A matrix E with −E ⪯ error ⪯ E obeys E⁺ = Φ(E) + (what one step rounds by), since Φ keeps the order. Every step
        rounds by a multiple of one matrix, the units, and steps of smaller size by no more than those of the largest.
        """
        chain, steps = self.chain, seen.sizes.shape[-1]
        unit, rate = UNIT * self.y0.shape[-1], chain.rounding_rate
        N, curvature = chain.noise_size, chain.stepsize**2 * chain.curvature_size
        noise = unit * N + misplaced * (2 * np.sqrt(N * curvature) + curvature * misplaced)
        weights = rate * np.arange(steps)
        first = unit * (np.sum(self.y0**2, axis=-1) + np.sum(self.still**2, axis=-1))[..., None]
        added = np.concatenate([first, (weights * N + rate * seen.sizes + noise)[..., :-1]], axis=-1)
        sizes = [absolute(Q) for Q in self.forms]
        own = convolved(added, self._spread(steps, sizes)) if self.alike else self._carried(added, sizes)
        local = unit * seen.sizes[..., None] * np.array([Q[:-1, :-1].diagonal() @ chain.units**2 for Q in sizes])
        fixed = (weights + unit)[:, None] * np.array([Q[-1, -1] for Q in sizes])
        return np.where(np.isnan(found := own + local + fixed), np.inf, found)

    def _spread(self, steps: int, sizes: list[np.ndarray]) -> np.ndarray:
        """Return what forms measure of Φᵏ(units), which serves all steps and all starts, shape (steps, forms)."""
        flat, E, out = np.stack([Q[:-1, :-1].ravel() for Q in sizes]), np.diag(self.chain.units**2), []
        for _ in range(steps):
            out.append(flat @ E.ravel())
            E = symmetric_part(self.chain.linear(E))
        return np.array(out)

    def _carried(self, added: np.ndarray, sizes: list[np.ndarray]) -> np.ndarray:
        """Return what forms measure of E where steps are not alike, shape (…, steps + 1, forms)."""
        flat, units = np.stack([Q[:-1, :-1].ravel() for Q in sizes]), np.diag(self.chain.units**2)
        E, out = np.zeros((*added.shape[:-1], *units.shape)), np.empty((*added.shape, len(sizes)))
        for t in range(added.shape[-1]):
            E = E + added[..., t, None, None] * units
            out[..., t, :] = E.reshape(*added.shape[:-1], -1) @ flat.T
            E = symmetric_part(self.at(t).linear(E))
        return out


def convolved(added: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return Σ_k added_{t−k} spread_k for every start and form, by plain sums: all terms are positive, of any size."""
    rows = added.reshape(-1, added.shape[-1])
    each = [[np.convolve(row, column)[: len(column)] for column in spread.T] for row in rows]
    return np.moveaxis(np.array(each), 1, 2).reshape(*added.shape, spread.shape[1])


def absolute(Q: np.ndarray) -> np.ndarray:
    """Return |Q|, the least positive semidefinite matrix with the eigenvectors of Q and −|Q| ⪯ Q ⪯ |Q|."""
    values, vectors = np.linalg.eigh(symmetric_part(Q))
    return np.asarray((vectors * np.abs(values)) @ vectors.T)


def nonnegative_values(values: np.ndarray, rounding: Callable[[], np.ndarray]) -> np.ndarray:
    """Return expectations of nonnegative quantities, where what is below zero by no more than rounding is zero.

    The rounding, of the shape of the values, (…, steps + 1, forms), is only looked at where one is below zero.
    """
    if not (values < 0).any():
        return values
    most = values + rounding()
    worst = np.unravel_index(int(np.argmin(most)), values.shape)
    if most[worst] < 0:
        raise ArithmeticError(
            f"a squared length has the expectation {values[worst]:.3g} after {worst[-2]} steps, and rounding explains only "
            f"{most[worst] - values[worst]:.3g}: the recursion is wrong"
        )
    return np.maximum(values, 0.0)


def run(recursion: MomentRecursion, y0: np.ndarray, steps: int) -> np.ndarray:
    """Return the three functionals at every step.

    Parameters
    ----------
    recursion : MomentRecursion
        Of any method.
    y0 : array, shape (dim,)
        x⁰ − x_D*.
    steps : int
        Number of steps T ≥ 0.

    Returns
    -------
    ndarray, shape (steps + 1, 3)
        E‖x^t − x_D*‖², E f_D(x^t) − f_D^inf, E‖∇f_D(x^t)‖²; infinite from where they overflow.

    Raises
    ------
    ValueError
        If `steps` is negative or `y0` is not a finite vector of length dim.
    ArithmeticError
        If one of them comes out below zero by more than rounding can explain.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> from mastsim.recursions import GradientRecursion, SketchedGradient
    >>> half = ms.Bernoulli(1, 0.5).moment_operators(np.eye(1))
    >>> gradient = SketchedGradient(half, np.zeros(1), np.zeros(1))
    >>> run(GradientRecursion(gradient, 0.25), np.ones(1), 2)[:, 0]
    array([1.  , 0.5 , 0.25])
    """
    steps = integer("steps", steps, 0)
    H = symmetric_part(recursion.hessian)
    forms = [padded(Q, len(recursion.fields) * len(H)) for Q in (np.eye(len(H)), H / 2, H @ H)]
    path = MomentPath(recursion, vector("y0", y0, len(H)), forms)
    with np.errstate(over="ignore", invalid="ignore"):
        seen = path.follow(steps)
        return nonnegative_values(seen.values, lambda: path.rounding(seen))


def padded(Q: np.ndarray, size: int) -> np.ndarray:
    """Return the form of a state with a 1 appended that is Q on the iterate."""
    whole = np.zeros((size + 1, size + 1))
    whole[: len(Q), : len(Q)] = Q
    return whole
