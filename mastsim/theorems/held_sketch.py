"""A sketch and a shift that are held for τ steps: cycles of gradient descent in a random subspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from mastsim.backend import Array
from mastsim.expected import Objective
from mastsim.methods import DSGD, HeldSketch, Method
from mastsim.theorems.about_f import KNOWN_STEP, POLYAK_LOJASIEWICZ_F, SMALL, AboutF
from mastsim.theorems.assumptions import (
    BOUNDED,
    SINGLE_NODE,
    SMOOTH,
    UNBIASED,
    Assumption,
    AssumptionError,
)
from mastsim.theorems.linear_and_sublinear import LinearRate, SublinearRate
from mastsim.validation.words import described


@dataclass(frozen=True, eq=False)
class HeldSketchRate(AboutF):
    """What the theorems about a sketch and a shift that are held for τ steps share; a step is a cycle from x = v."""

    shift: HeldSketch = field(default_factory=lambda: HeldSketch(4), kw_only=True)

    tried: ClassVar[tuple[str, ...]] = ("held-sketch:1", "held-sketch:2", "held-sketch:5")
    """Rules that an attack tries, as texts."""

    def __post_init__(self) -> None:
        if not isinstance(self.shift, HeldSketch):
            raise AssumptionError(f"{self.title} is not about shift={described(self.shift)}: it must be HeldSketch")
        super().__post_init__()

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return a sketch that is held for one step, and for several."""
        if cls.refuse(objective) is not None:
            return []
        return [cls(objective, shift=HeldSketch(tau)) for tau in ((1, 4) if objective.dim <= SMALL else (4,))]

    @property
    def settings(self) -> str:
        """For example ``shift and sketch held for 4 steps``."""
        return self.shift.name

    def method_at(self, stepsize: float) -> Method:
        """Return `DSGD` with the shift rule of this record and a step size."""
        return DSGD(stepsize, shift=self.shift)

    @property
    def stepsize(self) -> float:
        """The largest step size 1/L."""
        return 1 / self.L if self.L > 0 else 1.0

    @property
    def mu_step(self) -> float:
        """μ′ = λ_min(E[SSᵀ])."""
        return self.constants.step_second_moment_least.value


@dataclass(frozen=True, eq=False)
class NonconvexHeldSketch(HeldSketchRate, SublinearRate):
    """The average of E‖∇f(v)‖² over N refreshes is at most 2(f(v⁰) − f^inf)/(γμ′N) for γ ≤ 1/L, any τ, μ′ = λ_min(E[SSᵀ]).

    A refresh follows τ ≥ 1 gradient steps with one sketch; it is training in random subspaces.

    Parameters
    ----------
    objective : Mast
        f must be smooth and bounded below, the sketch bounded and E[SSᵀ] known.
    sharp : bool, default False
        Use this package's L.
    shift : HeldSketch, optional
        How long the sketch is held; for 4 steps when left out.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> t = NonconvexHeldSketch(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, round(float(t.bound(10, initial=1.0)), 12)
    (0.25, 0.4)
    """

    id = "moving-shift-held-sketch"
    title = "Held sketch (nonconvex)"
    source = "this package"
    statement = (
        r"\gamma \le \frac 1L,\ \tau \ge 1 \Rightarrow \frac1N\sum_{n<N}\mathbb E\|\nabla f(v^n)\|^2 \le \frac{2(f(v^0) -"
        r" f^{\inf})}{\gamma\mu' N},\quad \mu' = \lambda_{\min}(\mathbb E[\mathbf S\mathbf S^\top]),\ L = L_f L_{\mathbf"
        r" S}^{"
        r"\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, BOUNDED, KNOWN_STEP, SMOOTH)
    constants_used = ("L_f", "L_S_max", "step_second_moment_least")
    measure = "f_gradient_norm2"
    over = "average"
    starts_from = "f_gap"

    def weight(self, steps: Array, stepsize: float) -> Array:
        """Return 2/μ′."""
        return np.full_like(steps, 2 / self.mu_step)


@dataclass(frozen=True, eq=False)
class PolyakLojasiewiczHeldSketch(HeldSketchRate, LinearRate):
    """E f(v_N) − f^inf ≤ (1 − γμ′μ)^N (f(v⁰) − f^inf) for γ ≤ 1/L, any τ ≥ 1, if ‖∇f‖² ≥ 2μ(f − f^inf), μ′ = λ_min(E[SSᵀ]).

    Parameters
    ----------
    objective : Mast
        f must be a quadratic, possibly singular, or strongly convex, the sketch bounded and E[SSᵀ] known.
    sharp : bool, default False
        Use this package's L.
    shift : HeldSketch, optional
        How long the sketch is held; for 4 steps when left out.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> t = PolyakLojasiewiczHeldSketch(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)))
    >>> t.stepsize, t.rate, t.radius
    (0.25, 0.5, 0.0)
    """

    id = "moving-shift-held-sketch-polyak-lojasiewicz"
    title = "Held sketch under the Polyak-Łojasiewicz condition"
    source = "this package"
    statement = (
        r"\|\nabla f\|^2 \ge 2\mu(f - f^{\inf}),\ \gamma \le \frac 1L,\ \tau \ge 1 \Rightarrow \mathbb E f(v^N) - f^{"
        r"\inf} \le"
        r" (1 - \gamma\mu'\mu)^N(f(v^0) - f^{\inf}),\quad \mu' = \lambda_{\min}(\mathbb E[\mathbf S\mathbf S^\top]),\ L ="
        r" L_f"
        r" L_{\mathbf S}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (
        SINGLE_NODE,
        UNBIASED,
        BOUNDED,
        KNOWN_STEP,
        SMOOTH,
        POLYAK_LOJASIEWICZ_F,
    )
    constants_used = ("L_f", "L_S_max", "step_second_moment_least", "mu_f_PL")
    measure = "f_gap"
    starts_from = "f_gap"

    @property
    def mu(self) -> float:
        """The Polyak-Łojasiewicz constant of f."""
        return self.constants.mu_f_PL.value

    def contraction(self, stepsize: float) -> float:
        """Return γμ′μ."""
        return min(stepsize * self.mu_step * self.mu, 1.0)
