"""Values and gradients of f_D whose errors are relative to f_D − f_D^inf and to ‖∇f_D‖, by the shortest sums that do."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from mastsim.backend import Array
from mastsim.expected.objective import Objective

LEVELS = (1e-6, 1e-9, 1e-12)
"""Accuracies between which sums differ much in length; each takes far fewer exponentials than the next."""
FINEST = 1e-14
"""The accuracy beyond which rounding is all that is left."""


class RelativeValues:
    """f_D and ∇f_D as accurate as records of the gap and of the gradient's norm are to be, relative to these.

    Every point takes the first level whose proven error is small enough beside what it finds, and where none is, rounding
    decides. Levels that cannot be enough, because f_D − f_D^inf ≤ ½L‖x − x_D*‖² and ‖∇f_D‖ ≤ L‖x − x_D*‖, are passed over.
    How a point is evaluated depends on the point alone.

    Parameters
    ----------
    objective : Objective
        The objective, on the host.
    accuracy : float
        The largest error of f_D(x), relative to f_D(x) − f_D^inf, and of ∇f_D(x), relative to its norm.
    minimized : bool
        Whether x_D* may be asked for; without it there are no gaps, and gradients are as accurate as can be.
    """

    def __init__(self, objective: Objective, accuracy: float, minimized: bool) -> None:
        self.objective, self.accuracy, self.minimized = objective, accuracy, minimized

    @cached_property
    def finest(self) -> Objective:
        """The objective as accurate as rounding allows; itself where it is, or is more accurate."""
        found = self.objective.at(FINEST)
        own = getattr(self.objective, "accuracy", FINEST)
        return self.objective if found is self.objective or own <= FINEST else found

    @cached_property
    def _levels(self) -> tuple[Objective, ...]:
        """The objective at all levels that are faster than the finest."""
        levels = (self.finest.at(level) for level in LEVELS)
        return tuple(level for level in levels if level is not self.finest) if self.minimized else ()

    @cached_property
    def _moved(self) -> float:
        """What makes values comparable with the least one that the objective has found, at its own accuracy."""
        if self.finest is self.objective or not self.minimized:
            return 0.0
        best = self.objective.minimize()
        return best.value - float(self.finest.value(best.x))

    def at(self, x: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return ``"value"``, ``"gradient"`` or both at points of shape (points, dim), values up to one constant of all.

        Raises
        ------
        OutOfReachError
            If a point is too far out for an exact value.
        """
        out = {name: np.empty(x.shape[: 2 if name == "gradient" else 1]) for name in names}
        left = np.arange(len(x))
        for level in (*self._levels, self.finest):
            last = level is self.finest
            here = left if last else left[self._is_enough(level, x[left], self._at_most(x[left], names))]
            if not len(here):
                continue
            found = evaluate(level, x[here], names)
            good = np.ones(len(here), dtype=bool) if last else self._is_enough(level, x[here], self._sizes(found))
            for name, values in found.items():
                out[name][here[good]] = values[good]
            left = np.setdiff1d(left, here[good], assume_unique=True)
        if "value" in out:
            out["value"] += self._moved
        return out

    def _is_enough(self, level: Objective, x: np.ndarray, sizes: dict[str, np.ndarray]) -> np.ndarray:
        """Say at which points the errors of a level are small beside what is recorded, shape (points,)."""
        errors = dict(zip(("value", "gradient"), level.inaccuracy(x), strict=True))
        # What is recorded is itself known up to the error.
        small = [errors[name] * (1 + self.accuracy) <= self.accuracy * size for name, size in sizes.items()]
        return np.asarray(np.all(small, axis=0))

    def _at_most(self, x: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return what the gap and the gradient's norm are at most."""
        away = x - self.objective.minimize().x
        square, L = (away * away).sum(axis=1), float(self.objective.smoothness)
        return {name: 0.5 * L * square if name == "value" else L * np.sqrt(square) for name in names}

    def _sizes(self, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the gap and the gradient's norm from values and gradients."""
        least = self.objective.minimize().value - self._moved
        return {
            name: values - least if name == "value" else np.sqrt((values * values).sum(axis=1))
            for name, values in found.items()
        }


def evaluate(objective: Objective, x: Array, names: tuple[str, ...]) -> dict[str, Array]:
    """Return ``"value"``, ``"gradient"`` or both in one pass."""
    if len(names) > 1:
        return dict(zip(names, objective.value_and_gradient(x), strict=True))
    return {name: getattr(objective, name)(x) for name in names}
