"""A shift that is held for a cycle of steps, and then moves to the mean of their iterates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from mastsim.expected import Objective
from mastsim.methods import DSGD, Held, Method
from mastsim.theorems.about_f import AboutF
from mastsim.theorems.assumptions import (
    BOUNDED,
    SINGLE_NODE,
    SMOOTH,
    STRONGLY_CONVEX,
    UNBIASED,
    Assumption,
    AssumptionError,
)
from mastsim.theorems.linear_and_sublinear import LinearRate
from mastsim.validation.words import described

_SMALL, _SHORT = 2, 150
_LONGEST = 2.0**62
"""Steps of a cycle beyond which no machine counts."""


@dataclass(frozen=True, eq=False)
class StronglyConvexHeld(AboutF, LinearRate):
    """E f(v_N) − f^inf ≤ (1 − ρ)^N (f(v_0) − f^inf) after N cycles of τ steps; ρ ≥ 1/(2κ) for τ ≥ 16κL/μ, γ = 1/(4κL).

    κ = L_{f_D}/μ_f, and μ is that of f_D. For any τ, with φ = 1/(2(1 − γL)) and a = 2φ/(μγτ):
    1 − ρ = a + max(1 − a + 2γLφ, 0)(1 − 1/κ). After every cycle the shift moves to the mean of its τ iterates.

    Parameters
    ----------
    objective : Mast
        f must be strongly convex and the sketch bounded.
    sharp : bool, default False
        Use this package's L, L_{f_D} and μ.
    shift : Held, optional
        For how many steps the shift is held; for ⌈16κL/μ⌉ when left out.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy; also if τ is too small for a rate.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> t = StronglyConvexHeld(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.shift, t.kappa, t.stepsize, round(t.rate, 12)
    (Held(tau=64), 2.0, 0.03125, 0.714285714286)
    """

    shift: Held | None = field(default=None, kw_only=True)

    id = "moving-shift-held"
    title = "Held shift (strongly convex)"
    source = "this package"
    statement = (
        r"\gamma = \frac1{4\kappa L},\ \tau \ge \frac{16\kappa L}\mu \Rightarrow \mathbb E f(v_N) - f^{\inf} \le"
        r" \left(1 - \frac1{2\kappa}\right)^N(f(v_0) - f^{\inf}),\quad \kappa = \frac{L_{f_D}}{\mu_f},\ L = L_f L_{\mathbf"
        r" S}^{\max},\ \mu = \mu_D\mu_f"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("L_f", "mu_f", "L_S_max", "mu_D", "L_fD")
    measure = "f_gap"
    starts_from = "f_gap"
    longest = 4
    tried: ClassVar[tuple[str, ...]] = ("held:8", "held:32")
    """Rules that an attack tries, as texts."""

    def __post_init__(self) -> None:
        if self.shift is not None and not isinstance(self.shift, Held):
            raise AssumptionError(f"{self.title} is not about shift={described(self.shift)}: it must be Held")
        super().__post_init__()
        enough = 16 * self.kappa * self.L / self.mu_D
        if self.shift is None:
            if not enough < _LONGEST:
                raise AssumptionError(f"{self.title} needs {enough:.3g} steps a cycle, more than can be counted")
            object.__setattr__(self, "shift", Held(math.ceil(enough)))
        if self.contraction(self.stepsize) <= 0:
            raise AssumptionError(
                f"{self.title} has no rate for {self.cycle.name}: the mean of so few iterates may be no better than the "
                f"shift; hold it for {enough:.0f}"
            )

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return the theorem on quadratics in few dimensions where a cycle is short."""
        if cls.refuse(objective) is not None or not objective.is_quadratic or objective.dim > _SMALL:
            return []
        try:
            found = cls(objective)
        except AssumptionError:
            return []
        return [found] if found.cycle.tau <= _SHORT else []

    @property
    def cycle(self) -> Held:
        """The rule of the shift."""
        assert self.shift is not None
        return self.shift

    @property
    def settings(self) -> str:
        """For example ``shift held for 64 steps``."""
        return self.cycle.name

    @property
    def kappa(self) -> float:
        """κ = L_{f_D}/μ_f."""
        c = self.constants
        return (c.L_fD_sharp if self.sharp else c.L_fD).value / c.mu_f.value

    @property
    def mu_D(self) -> float:
        """The strong convexity constant of f_D, whatever the shift."""
        c = self.constants
        return c.mu_fD_sharp.value if self.sharp else c.mu_fD.value

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` whose shift is held, with a step size."""
        return DSGD(stepsize, shift=self.cycle)

    @property
    def stepsize(self) -> float:
        """The largest step size 1/(4κL)."""
        return 1 / (4 * self.kappa * self.L)

    def contraction(self, stepsize: float) -> float:
        """Return ρ, which is negative where a cycle is too short."""
        drift = stepsize * self.L
        if drift >= 1:
            return -math.inf
        half = 1 / (2 * (1 - drift))
        start = 2 * half / (self.mu_D * stepsize * self.cycle.tau)
        # Linear in the share of f(v) − f^inf that is left at the minimum of F(·, v): largest at one of its ends.
        return 1 - start - max(1 - start + 2 * drift * half, 0.0) * (1 - 1 / self.kappa)
