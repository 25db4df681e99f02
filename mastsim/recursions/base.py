"""What a moment recursion is, and how it is followed for many steps with its rounding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from mastsim.linalg import Curvature, symmetric_part
from mastsim.validation import integer, vector

UNIT = 16 * float(np.finfo(float).eps)
"""What one step of a recursion rounds by, relative to dim and to the size of its terms; far more than is measured."""


class MomentState(NamedTuple):
    """First and second moment of what a method carries; the first `dim` coordinates are y = x − x_D*.

    Parameters
    ----------
    mean : ndarray, shape (size,)
        The expectation.
    second : ndarray, shape (size, size)
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
        """Return the moments at the deterministic start y⁰ = x⁰ − x_D*."""
        return MomentState(y0, np.outer(y0, y0))

    def step(self, state: MomentState) -> MomentState:
        """Return the moments after one more step; the second is symmetric, since some maps amplify what is not."""
        mean, second = self._advance(state)
        return MomentState(mean, symmetric_part(second))

    @abstractmethod
    def _advance(self, state: MomentState) -> MomentState:
        """Return the moments after one more step, symmetric up to rounding."""

    @abstractmethod
    def linear(self, X: np.ndarray) -> np.ndarray:
        """Return Φ(X), what a step does to a symmetric second moment apart from noise."""

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

    def functionals(self, state: MomentState) -> np.ndarray:
        """Return E‖y‖², ½E yᵀH_D y and E‖H_D y‖²."""
        d = len(self.hessian)
        M = state.second[:d, :d]
        slope = self.hessian @ M
        return np.array([np.trace(M), np.trace(slope) / 2, np.vdot(slope, self.hessian)])


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
class MomentPath:
    """The moments along the steps of a recursion from one start; what never moves is split off and kept exactly.

    Parameters
    ----------
    chain : MomentRecursion
        The recursion.
    y0 : ndarray, shape (dim,)
        x⁰ − x_D*.
    stepsizes : callable, optional
        Maps the number of a step, from 0, to its size, none above that of the recursion, which all have when left out.
    """

    chain: MomentRecursion
    y0: np.ndarray
    stepsizes: Callable[[int], float] | None = None

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
        """The part of the state that no step changes, along the kernel of H_D, shape (fields·dim,)."""
        P, d = self._projector, len(self.y0)
        rest = np.zeros(d) if P is None else self.y0 - P @ self.y0
        return np.concatenate([np.zeros(d) if name == "g" else rest for name in self.chain.fields])

    def states(self, steps: int) -> Iterator[MomentState]:
        """Yield the moments of the moving part after 0, 1, …, `steps` steps; not finite from where they overflow."""
        state = self.chain.start(self.y0 - self.still[: len(self.y0)])
        for t in range(steps + 1):
            yield state
            if t < steps:
                state = self._projected(self.at(t).step(state))

    def _projected(self, state: MomentState) -> MomentState:
        if self._projector is None:
            return state
        whole = np.kron(np.eye(len(self.chain.fields)), self._projector)
        return MomentState(whole @ state.mean, symmetric_part(whole @ state.second @ whole))

    def expectations(self, steps: int, forms: list[np.ndarray]) -> np.ndarray:
        """Return E(s, 1)ᵀQ(s, 1) for every form Q of the state s with a 1 appended, shape (steps + 1, forms)."""
        split = [self._split(Q) for Q in forms]
        history = np.full((steps + 1, len(forms)), np.inf)
        for t, state in enumerate(self.states(steps)):
            values = [np.vdot(Q, state.second) + pull @ state.mean + rest for Q, pull, rest in split]
            if not np.isfinite(values).any():
                break
            history[t] = np.where(np.isfinite(values), values, np.inf)
        return history

    def _split(self, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        # (m + n, 1)ᵀQ(m + n, 1) = mᵀQm + pull·m + rest for the still part n; Qn is zero where it is zero up to rounding.
        Q, both = whole[:-1, :-1], whole[:-1, -1] + whole[-1, :-1]
        n = self.still
        image = symmetric_part(Q) @ n
        if np.linalg.norm(image) <= 16 * len(n) * np.finfo(float).eps * np.linalg.norm(Q) * np.linalg.norm(n):
            image = np.zeros_like(n)
        return Q, both + 2 * image, float(n @ image + both @ n + whole[-1, -1])

    def rounding(self, steps: int, forms: list[np.ndarray], misplaced: float = 0.0) -> np.ndarray:
        """Return bounds on the rounding of `expectations`, shape (steps + 1, forms).

        A matrix E with −E ⪯ error ⪯ E obeys E⁺ = Φ(E) + (what one step rounds by), since Φ keeps the order. Steps of smaller
        size round by no more than those of the largest.
        """
        chain, d = self.chain, len(self.y0)
        sizes = [absolute(Q) for Q in forms]
        still, units = float(self.still @ self.still), chain.units
        N, curvature = chain.noise_size, chain.stepsize**2 * chain.curvature_size
        noise = UNIT * d * N + misplaced * (2 * np.sqrt(N * curvature) + curvature * misplaced)
        E, weight = np.diag(UNIT * d * (float(self.y0 @ self.y0) + still) * units**2), 0.0
        out = np.full((steps + 1, len(forms)), np.inf)
        for t, state in enumerate(self.states(steps)):
            size = float(np.sum(np.abs(state.second.diagonal()) / units**2)) + still
            local = UNIT * d * size
            own = [np.vdot(Q[:-1, :-1], E) + local * float(Q[:-1, :-1].diagonal() @ units**2) for Q in sizes]
            out[t] = own + np.array([Q[-1, -1] * (weight + UNIT * d) for Q in sizes])
            E = symmetric_part(self.at(t).linear(E)) + weight * N * np.diag(units**2)
            E += np.diag((chain.rounding_rate * size + noise) * units**2)
            weight += chain.rounding_rate
        return np.where(np.isnan(out), np.inf, out)


def absolute(Q: np.ndarray) -> np.ndarray:
    """Return |Q|, the least positive semidefinite matrix with the eigenvectors of Q and −|Q| ⪯ Q ⪯ |Q|."""
    values, vectors = np.linalg.eigh(symmetric_part(Q))
    return np.asarray((vectors * np.abs(values)) @ vectors.T)


def nonnegative_values(values: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """Return expectations of nonnegative quantities, where what is below zero by no more than rounding is zero."""
    worst = np.argmin(values + rounding)
    if (values + rounding).ravel()[worst] < 0:
        at = int(np.unravel_index(worst, values.shape)[0])
        raise ArithmeticError(
            f"a squared length has the expectation {values.ravel()[worst]:.3g} after {at} steps, and rounding explains only "
            f"{rounding.ravel()[worst]:.3g}: the recursion is wrong"
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
    path = MomentPath(recursion, vector("y0", y0, len(H)))
    return nonnegative_path(path, steps, [padded(Q, len(path.still)) for Q in (np.eye(len(H)), H / 2, H @ H)])


def padded(Q: np.ndarray, size: int) -> np.ndarray:
    """Return the form of a state with a 1 appended that is Q on the iterate."""
    whole = np.zeros((size + 1, size + 1))
    whole[: len(Q), : len(Q)] = Q
    return whole


def nonnegative_path(path: MomentPath, steps: int, forms: list[np.ndarray], misplaced: float = 0.0) -> np.ndarray:
    """Return the expectations of nonnegative forms along a path; rounding is only looked at where one is below zero."""
    with np.errstate(over="ignore", invalid="ignore"):
        history = path.expectations(steps, forms)
        return nonnegative_values(history, path.rounding(steps, forms, misplaced)) if (history < 0).any() else history
