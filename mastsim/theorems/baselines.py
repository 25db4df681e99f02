"""The baselines: SGD without sketches, and gradient descent with compressed iterates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from mastsim.expected import Objective
from mastsim.methods import GDCI, SGD, Compressor, FullBatch, Method, Sampling
from mastsim.methods.minibatch import Minibatch
from mastsim.theorems.assumptions import (
    NO_SKETCH,
    SINGLE_NODE,
    SMOOTH,
    STRONGLY_CONVEX,
    UNBIASED,
    Assumption,
    AssumptionError,
)
from mastsim.theorems.linear_and_sublinear import LinearRate
from mastsim.theorems.sampled import sampling_settings
from mastsim.validation import UNLIMITED, positive, settings

_BELOW_ONE = math.nextafter(1.0, 0.0)


CONVEX_COMPONENTS = Assumption(
    "convex components",
    lambda F: F.problem.components_are_convex,
    lambda F: f"f is convex, but a component of {F.problem.name} is not",
    "use convex components or more regularisation",
)


@dataclass(frozen=True, eq=False)
class StronglyConvexSGD(LinearRate):
    """E‖x^T − x*‖² ≤ (1 − γμ)^T ‖x^0 − x*‖² + 2γσ²/μ for γ ≤ 1/(2𝓛), 𝓛 = A + B·L_f, σ² = E‖g(x*)‖².

    Parameters
    ----------
    objective : Mast
        With the identity sketch; f must be strongly convex, and its components convex.
    sharp : bool, default False
        Has no effect: there is no sketch.
    sampling : Sampling, optional
        Which components a gradient sees; all by default.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.
    ValueError
        If the sampling does not fit the problem.

    References
    ----------
    Gower, Loizou, Qian, Sailanbayev, Shulgin, Richtárik, SGD: general analysis and improved rates, arXiv 1901.09401,
    Theorem 3.1, with the constants of its Section 3.

    Examples
    --------
    >>> import mastsim as ms
    >>> f = ms.FiniteSum([ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(3 * np.eye(2), np.ones(2))])
    >>> t = StronglyConvexSGD(ms.Mast(f, ms.Identity(2)), sampling=ms.Nice(1))
    >>> round(1 / t.stepsize, 12), round(t.variance, 12)
    (6.0, 0.5)
    """

    sampling: Sampling = field(default_factory=FullBatch, kw_only=True)

    id = "sgd"
    title = "SGD without sketches (baseline)"
    source = "Gower et al. (arXiv 1901.09401), Theorem 3.1"
    statement = (
        r"\gamma \le \frac{1}{2\mathcal L} \Rightarrow \mathbb E\|x^T - x^*\|^2 \le (1-\gamma\mu_f)^T\|x^0 - x^*\|^2"
        r" + \frac{2\gamma\sigma^2}{\mu_f},\quad \mathcal L = A + B L_f,\ \sigma^2 = \mathbb E\|g(x^*)\|^2"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, NO_SKETCH, SMOOTH, STRONGLY_CONVEX, CONVEX_COMPONENTS)
    constants_used = ("L_f", "mu_f", "L_i_max", "L_i_mean")
    method = "SGD"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sampling.check(self.objective.problem.components)

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return every sampling that fits the objective."""
        if cls.refuse(objective) is not None:
            return []
        return [cls(objective, sampling=s["sampling"]) for s in sampling_settings(objective) if set(s) == {"sampling"}]

    @property
    def settings(self) -> str:
        """The sampling."""
        return self.sampling.name

    def method_at(self, stepsize: float) -> Method:
        """Return `SGD` with the sampling of this record and a step size."""
        return SGD(stepsize, self.sampling)

    @property
    def expected_smoothness(self) -> float:
        """𝓛 = A + B·L_f."""
        A, B = self.sampling.expected_smoothness(self.objective.problem.component_smoothness)
        return A + B * self.constants.L_f

    @property
    def variance(self) -> float:
        """A proven upper bound on σ² = E‖g(x*)‖²: that at the certified minimiser, and what the certificate leaves open."""
        problem = self.objective.problem
        shares, _ = self.sampling.second_moment(problem.components)
        if not shares.any():
            return 0.0
        best = problem.minimize()
        noise = float(np.mean(shares * [self._norm(best.x, i) for i in range(problem.components)]))
        moved = float(np.mean(shares * problem.component_smoothness**2)) * 2 * best.excess_bound / self.constants.mu_f
        return (math.sqrt(noise) + math.sqrt(moved)) ** 2

    def _norm(self, x: np.ndarray, i: int) -> float:
        single = Minibatch(np.array([[i]]), np.ones((1, 1)))
        gradient = self.objective.problem.minibatch_gradient(x[None], single)[0]
        return float(gradient @ gradient)

    @property
    def stepsize(self) -> float:
        """The largest step size 1/(2𝓛)."""
        return 1 / (2 * self.expected_smoothness)

    def contraction(self, stepsize: float) -> float:
        """Return γμ_f."""
        return stepsize * self.constants.mu_f

    def neighbourhood(self, stepsize: float) -> float:
        """Return 2γσ²/μ_f."""
        return 2 * stepsize * self.variance / self.constants.mu_f


@dataclass(frozen=True, eq=False)
class CompressedIterates(LinearRate):
    """E‖x^T − x*‖² ≤ q^T ‖x^0 − x*‖² + 2ω(1 − γμ)²‖x* − v‖²/(1 − q), q = (1 − γμ)²(1 + 2ω), for γ ≤ 2/(L_f + μ_f).

    It says something only for ω below about γμ, that is, for compression of next to nothing; the neighbourhood does not
    vanish with γ, but is zero for v = x*. Both are what sketching the model inside the loss avoids.

    Parameters
    ----------
    objective : Mast
        f must be strongly convex; the sketch compresses the iterates unless a compressor is given.
    sharp : bool, default False
        Has no effect.
    compression : Compressor, optional
        The compressor C; the sketch of the objective when left out.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy; also when ω is too large for any step size.

    References
    ----------
    The method: Khaled, Richtárik, Gradient descent with compressed iterates, arXiv 1909.04716; this bound: this package, as
    E‖C(x) − x*‖² = ‖x − x*‖² + E‖C(x) − x‖² ≤ (1 + 2ω)‖x − x*‖² + 2ω‖x* − v‖².

    Examples
    --------
    >>> import mastsim as ms
    >>> t = CompressedIterates(ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.Bernoulli(2, 0.9)))
    >>> round(t.omega, 12), t.stepsize, t.radius
    (0.111111111111, 1.0, 0.0)
    """

    compression: Compressor | None = field(default=None, kw_only=True)

    id = "gdci"
    title = "Gradient descent with compressed iterates (baseline)"
    source = "method: Khaled & Richtárik (arXiv 1909.04716); bound: this package"
    statement = (
        r"\gamma \le \frac{2}{L_f + \mu_f},\ q = (1-\gamma\mu_f)^2(1+2\omega) < 1 \Rightarrow \mathbb E\|x^T - x^*\|^2 \le"
        r" q^T\|x^0 - x^*\|^2 + \frac{2\omega(1-\gamma\mu_f)^2}{1-q}\|x^* - v\|^2"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("L_f", "mu_f", "L_D")
    method = "GDCI"
    measure = "error"
    starts_from = "error"

    @classmethod
    def refuse(cls, objective: Objective) -> str | None:
        """Return why the theorem does not apply to an objective, or None when it does."""
        return super().refuse(objective) or _too_strong(objective, objective.sketch.L_D - 1)  # type: ignore[attr-defined]

    def __post_init__(self) -> None:
        settings(self, objective=Objective, sharp=bool, compression=Compressor)
        if self.compression is None:
            super().__post_init__()
        elif (why := super().refuse(self.objective) or _too_strong(self.objective, self.omega)) is not None:
            raise AssumptionError(f"{self.title} does not apply to {self.objective.name}: {why}")

    def method_at(self, stepsize: float) -> Method:
        """Return `GDCI` with the compressor of this record and a step size."""
        return GDCI(stepsize, self.compression)

    @property
    def omega(self) -> float:
        """ω of the compressor; L_D − 1 for a sketch."""
        F = self.objective
        return max(self.constants.L_D - 1, 0.0) if self.compression is None else self.compression.omega(F.dim)

    @property
    def roughness(self) -> float:
        """Rounding of a step: the compressor enlarges that of the iterates by √(1 + ω) in the mean."""
        return math.sqrt(1 + self.omega) * super().roughness

    @property
    def stepsize(self) -> float:
        """The largest step size 2/(L_f + μ_f)."""
        return 2 / (self.constants.L_f + self.constants.mu_f)

    def contraction(self, stepsize: float) -> float:
        """Return 1 − (1 − γμ)²(1 + 2ω)."""
        # A part of q that vanishes beside 1 is not lost: nothing is claimed to shrink to nothing that does not.
        return min(1 - (q := (1 - stepsize * self.constants.mu_f) ** 2 * (1 + 2 * self.omega)), _BELOW_ONE if q > 0 else 1.0)

    def neighbourhood(self, stepsize: float) -> float:
        """Return 2ω(1 − γμ)²‖x* − v‖²/(1 − q); infinite where q ≥ 1."""
        away = self.objective.problem.minimize().x - self.objective.center
        noise = 2 * self.omega * (1 - stepsize * self.constants.mu_f) ** 2 * float(away @ away)
        shrink = self.contraction(stepsize)
        return noise / shrink if shrink > 0 else (0.0 if noise == 0 else math.inf)

    def stepsize_to_accuracy(self, accuracy: float) -> float:
        """Return the largest step size: a smaller one has both a slower rate and a larger neighbourhood.

        Parameters
        ----------
        accuracy : float
            The squared distance aimed at, above 0.
        """
        positive("accuracy", accuracy, UNLIMITED)
        return self.stepsize


def _too_strong(objective: Objective, omega: float) -> str | None:
    """Return why no step size contracts iterates compressed with ω, or None when one does."""
    kappa = objective.problem.L_f / objective.problem.mu_f
    slowest = (1 - 2 / (kappa + 1)) ** 2
    if slowest * (1 + 2 * omega) < 1:
        return None
    most = 0.5 * (1 / slowest - 1)
    return f"weak compression fails: ω = {omega:.4g}, but κ_f = {kappa:.4g} allows less than {most:.4g}; keep more"
