"""The search for a minimiser: watched by a bar, ended by its certificate, and handed on where it is interrupted."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from mastsim.minimization import DENSE, Curvatures, find_stationary, minimize_convex
from mastsim.problems.certificates import Minimum, below, certified, report
from mastsim.provenance import Constant

_MOST_NUMBERS = 1 << 26  # that a root of the Hessian may hold
_SHARE = 0.9  # of an accuracy; the rest is for rounding

Evaluate = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Maps a point to value and gradient, which need not be finite far out."""


class MinimizationInterrupted(KeyboardInterrupt):
    """A search for a minimiser was interrupted (Ctrl-C); the best point so far is in `best`, with its certificate.

    It is a KeyboardInterrupt, so that ``except Exception`` does not take a part for the whole.

    Parameters
    ----------
    name : str
        What was being minimised.
    best : Minimum
        The best point so far.

    References
    ----------
    This package.

    Examples
    --------
    >>> best = Minimum(np.zeros(2), 1.0, 0.5, 1.0, "‖gradient‖²/(2μ)")
    >>> print(MinimizationInterrupted("f", best))
    minimisation of f interrupted: the best point so far, certified within 0.5, is the attribute best of this exception
    """

    def __init__(self, name: str, best: Minimum) -> None:
        super().__init__(name, best)
        self.name, self.best = name, best

    def __str__(self) -> str:
        best = f"the best point so far, certified within {self.best.excess_bound:.3g}"
        return f"minimisation of {self.name} interrupted: {best}, is the attribute best of this exception"


@dataclass(frozen=True)
class Search:
    """What is known of a function that is to be minimised.

    Parameters
    ----------
    function : Problem or Objective
        The function, with its derivatives and their errors.
    start : ndarray, shape (dim,)
        First point.
    known : Curvatures
        What is known of its Hessian.
    convexity : Constant
        A strong convexity constant, negative where it may not be convex.
    smoothness : float
        A smoothness constant.
    lower_bound : float
        A number that the search may take for a bound from below.
    evaluate : callable, optional
        Value and gradient of a trial point; those of the function when left out.
    certify : callable, optional
        Maps a point to a `Minimum`; `certified` when left out.
    """

    function: Any
    start: np.ndarray
    known: Curvatures
    convexity: Constant
    smoothness: float
    lower_bound: float = -math.inf
    evaluate: Evaluate | None = None
    certify: Callable[[np.ndarray], Minimum] | None = None

    def find(self, accuracy: float | None = None) -> Minimum:
        """Return a point that is certified within an accuracy, or as good as rounding allows; warn where it is neither."""
        found, early = self._from(self.start, accuracy)
        if accuracy is not None and early and found.excess_bound > accuracy:
            # What rounding adds to the certificate is known only now.
            found, _ = self._from(found.x, None)
        report(self.function, found, self._mu, accuracy)
        return found

    @property
    def _mu(self) -> float:
        return below(self.convexity) if self.convexity >= 0 else self.convexity.value

    def _from(self, start: np.ndarray, accuracy: float | None) -> tuple[Minimum, bool]:
        """Return the point that a search finds, and whether it could have gone on."""
        f, mu = self.function, self._mu
        certify = self.certify or (lambda x: certified(f, x, mu, self.smoothness))
        bar = tqdm(unit="pass", desc=f"minimising {f.name}", delay=2, disable=not sys.stderr.isatty(), file=sys.stderr)
        goal = mu, float(f.lower_bound), _SHARE * (accuracy or 0.0)
        watch = _Watch(self.evaluate or f.value_and_gradient, f.hessian_product, start, bar, *goal)
        with bar:
            try:
                if self.convexity < 0:
                    x = find_stationary(watch.evaluated, watch.multiplied, start)
                else:
                    enough = None if accuracy is None else watch.enough
                    x = minimize_convex(watch.evaluated, watch.multiplied, start, self.known, self.lower_bound, enough)
                return certify(x), watch.ended
            except KeyboardInterrupt as stop:
                raise MinimizationInterrupted(f.name, certify(watch.best)) from stop


@dataclass
class _Watch:
    """Counts what a search asks for, keeps the best point, and says when it is good enough."""

    evaluate: Evaluate
    product: Callable[[np.ndarray, np.ndarray], Any]
    best: np.ndarray
    bar: Any
    mu: float
    lower_bound: float
    accuracy: float
    least: float = math.inf
    ended: bool = False

    def evaluated(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return value and gradient."""
        value, gradient = self.evaluate(x)
        value, gradient = float(value), np.asarray(gradient)
        self.bar.update()
        # What the certificate is made of.
        size = float(np.linalg.norm(gradient)) if self.mu > 0 else value
        if size < self.least:
            self.least, self.best = size, np.array(x)
        return value, gradient

    def multiplied(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return the Hessian times w."""
        self.bar.update()
        return np.asarray(self.product(x, w))

    def enough(self, value: float, gradient: np.ndarray) -> bool:
        """Say whether value and gradient certify the accuracy asked for, but for rounding."""
        slope = math.sqrt(2 * self.mu * self.accuracy) if self.mu > 0 else 0.0
        self.ended = value - self.lower_bound <= self.accuracy or float(np.linalg.norm(gradient)) <= slope
        return self.ended


def curvatures(problem: Any) -> Curvatures:
    """Return what a search may know of the Hessian of f: all of it in low dimensions, otherwise its diagonal if possible."""
    if problem.dim > DENSE:
        diagonal: Any = getattr(problem, "hessian_diagonal", None)
        return Curvatures(model=diagonal, scale=problem.column_scale)
    root: Any = getattr(problem, "hessian_root", None)
    if root is not None and problem.components * problem.dim > _MOST_NUMBERS:
        root = None
    return Curvatures(hessian=problem.hessian, root=root, scale=problem.column_scale)
