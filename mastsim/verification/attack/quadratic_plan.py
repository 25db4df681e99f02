"""How an attack draws instances: a structure at random, and real numbers that are decoded into the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np

from mastsim.theorems import LinearRate, Theorem
from mastsim.theorems.assumptions import DISTRIBUTED, NO_SKETCH, STRONGLY_CONVEX
from mastsim.theorems.preconditioned_subnetworks import ONE_COORDINATE_EACH
from mastsim.theorems.reshuffled import UNIFORM_LIST
from mastsim.verification.attack.bowls_and_sketches import SAMPLINGS, Bowl, SketchPart, tuple_of, tuples_of
from mastsim.verification.attack.quadratic_instance import Instance
from mastsim.verification.attack.sketch_plan import Numbers, SketchPlan

Regime = Literal["any", "interpolation", "noise"]
REGIMES: tuple[Regime, ...] = ("any", "interpolation", "noise")
"""Where instances start: anywhere, with all minimisers at the shift (no gap), or at x_D* (nothing but the gap)."""

SPANS: tuple[tuple[float, float], ...] = ((0.0, 1.0), (1.0, 2.5), (2.5, 4.0))
"""Ranges of log10 of the horizon."""

_LEAST_STEP = 0.05


@dataclass(frozen=True, eq=False)
class QuadraticPlan:
    """The structure of an instance; `decode` fills in the numbers.

    Parameters
    ----------
    distributed : bool
        Whether the bowls are clients, not components.
    dim, bowls : int
        The dimension and the number of bowls.
    live : ndarray of bool, shape (bowls, dim)
        Which eigenvalues of the curvatures differ from zero.
    turned : bool
        Whether the eigenvectors may differ from the axes.
    centred : bool
        Whether all minimisers are the origin.
    sketches : tuple of SketchPlan
        One a client, or one.
    full_step : bool
        Whether the step is the largest that the theorem allows.
    regime : {"any", "interpolation", "noise"}
        See `REGIMES`.
    span : tuple of float
        One of `SPANS`.
    decayed : bool
        As in `Instance`.
    equalised : float
        Every curvature is divided by L_D^(1 − e)·L_S^max^e of its sketch, for e in {½, 1}: bounds with a maximum over
        clients are tightest where its terms are alike. Not at all for 0.
    settings : dict
        As in `Instance`; a probability is found by the search.
    """

    distributed: bool
    dim: int
    bowls: int
    live: np.ndarray
    turned: bool
    centred: bool
    sketches: tuple[SketchPlan, ...]
    full_step: bool
    regime: Regime
    span: tuple[float, float]
    decayed: bool
    equalised: float
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def random(
        cls, kind: type[Theorem], rng: np.random.Generator, regime: Regime, span: tuple[float, float], sharp: bool
    ) -> QuadraticPlan:
        """Return a random structure on which a theorem has a chance to apply."""
        known, several = {f.name for f in fields(kind)}, DISTRIBUTED in kind.assumptions
        dim = int(rng.choice([1, 2, 3], p=[0.25, 0.55, 0.2]))
        bowls = int(rng.choice([1, 2, 3], p=[0.15, 0.6, 0.25])) if several or "sampling" in known else 1
        dealt = ONE_COORDINATE_EACH in kind.assumptions
        bowls = dim if dealt else bowls
        flat = 0.0 if STRONGLY_CONVEX in kind.assumptions else float(rng.choice([0.0, 0.0, 0.5]))
        shared = dealt or (several and rng.random() < 0.15)
        count = bowls if several and not shared else 1
        sketches = tuple(SketchPlan.random(rng, dim, bowls > 1) for _ in range(count))
        if NO_SKETCH in kind.assumptions or dealt or (shared and bowls == dim > 1):
            sketches = (replace(sketches[0], kind="permk" if several else "identity"),)
        settings = _settings(kind, known, rng, sharp)
        # A minibatch anchor, and a list in random order, take values that are equally likely.
        if settings.get("anchor") or UNIFORM_LIST in kind.assumptions:
            sketches = (replace(sketches[0], kind="finite", even=True),)
        return cls(
            distributed=several,
            dim=dim,
            bowls=bowls,
            live=rng.random((bowls, dim)) >= flat,
            turned=bool(rng.integers(2)),
            centred=bool(rng.integers(2)),
            sketches=sketches,
            full_step=bool(rng.random() < 0.6) or regime == "interpolation",
            regime=regime,
            span=span,
            equalised=float(rng.choice([0.0, 0.5, 1.0], p=[0.2, 0.4, 0.4])),
            decayed=issubclass(kind, LinearRate) and (regime == "interpolation" or bool(rng.integers(2))),
            settings=settings,
        )

    @property
    def stratum(self) -> Any:
        """What climbers are compared within."""
        return self.regime, self.span

    def size(self) -> int:
        """Return how many real numbers there are to choose."""
        numbers = Numbers(np.zeros(0))
        self._decode(numbers)
        return numbers.used

    def decode(self, values: np.ndarray) -> Instance:
        """Return the instance of a real vector of that size."""
        return self._decode(Numbers(values))

    def _decode(self, numbers: Numbers) -> Instance:
        d = self.dim
        sketches = tuple(plan.decode(numbers, d) for plan in self.sketches)
        units = [self._unit(part) for part in sketches]
        bowls = tuple(self._bowl(numbers, i, units[min(i, len(units) - 1)]) for i in range(self.bowls))
        shift, start = numbers.take(d), numbers.take(d) * numbers.decades(d, limit=3.0) ** 0.5
        fraction = 1.0 if self.full_step else max(float(10.0 ** -abs(numbers.take(1)[0])), _LEAST_STEP)
        low, high = self.span
        horizon = round(10.0 ** float(np.clip((low + high + (high - low) * numbers.take(1)[0]) / 2, low, high)))
        settings = dict(self.settings)
        if "probability" in settings:
            settings["probability"] = max(10.0 ** -abs(float(numbers.take(1)[0])), 1e-3)
        found = Instance(bowls, sketches, tuple_of(shift), tuple_of(start), fraction, horizon, settings, self.decayed)
        return _placed(found, self.regime, self.distributed)

    def _unit(self, part: SketchPart) -> float:
        if self.equalised == 0:
            return 1.0
        S = part.sketch(self.dim, self.bowls)
        return float(S.L_D ** (1 - self.equalised) * S.L_max**self.equalised)

    def _bowl(self, numbers: Numbers, i: int, unit: float) -> Bowl:
        spectrum = numbers.decades(self.dim, limit=4.0) * self.live[i]
        size = numbers.decades(1, limit=4.0)
        if self.equalised:
            spectrum, size = spectrum / max(float(spectrum.max()), 1e-12), size**0.2 / unit
        spectrum = spectrum * size
        basis = _rotation(numbers.take(self.dim * (self.dim - 1) // 2), self.dim) if self.turned else np.eye(self.dim)
        best = np.zeros(self.dim) if self.centred else numbers.take(self.dim)
        return Bowl(tuples_of((basis * spectrum) @ basis.T), tuple_of(best)).tidy()


def _placed(found: Instance, regime: Regime, distributed: bool) -> Instance:
    """Return the instance with its shift at the minimiser of f, or its start at x_D*."""
    if regime == "interpolation":
        return replace(found, bowls=tuple(replace(bowl, best=found.shift) for bowl in found.bowls))
    if regime == "noise":
        return replace(found, start=tuple_of(found.objective(distributed).minimize().x))
    return found


def _rotation(angles: np.ndarray, dim: int) -> np.ndarray:
    basis, pairs = np.eye(dim), [(i, j) for i in range(dim) for j in range(i)]
    for angle, (i, j) in zip(angles, pairs, strict=True):
        turn = np.eye(dim)
        turn[[i, j], [i, j]] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        basis = basis @ turn
    return basis


def _settings(kind: type[Theorem], known: set[str], rng: np.random.Generator, sharp: bool) -> dict[str, Any]:
    """Return random settings for those that a theorem has."""
    choices: dict[str, Callable[[], Any]] = {
        "sharp": lambda: sharp,
        "sampling": lambda: str(rng.choice(SAMPLINGS)),
        "compression": lambda: int(rng.integers(0, 3)) if rng.random() < 0.3 else 0,
        "probability": lambda: 1.0,
        "anchor": lambda: None if rng.random() < 0.5 else int(rng.integers(1, 3)),
        "sketches": lambda: int(rng.integers(1, 3)),
        "shift": lambda: str(rng.choice(getattr(kind, "tried"))),  # noqa: B009
        "participation": lambda: str(rng.choice(getattr(kind, "tried"))),  # noqa: B009
    }
    return {name: draw() for name, draw in choices.items() if name in known}
