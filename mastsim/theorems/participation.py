"""Clients that come and go: distributed DSGD with partial participation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from mastsim.expected import Distributed, Objective
from mastsim.methods import DistributedDSGD, Method, Participation
from mastsim.theorems.assumptions import INDEPENDENT, Assumption, AssumptionError
from mastsim.theorems.distributed import ConvexDistributed
from mastsim.validation import instance


@dataclass(frozen=True, eq=False)
class ParticipationRate(ConvexDistributed):
    """What the theorems about partial participation share."""

    participation: Participation = field(default_factory=lambda: Participation(p=0.5), kw_only=True)

    tried: ClassVar[tuple[str, ...]] = ("p:0.1", "p:0.5", "p:1")
    """Participations that an attack tries, as texts."""
    beyond = True
    by: ClassVar[str] = "p"
    """Whether clients take part by probability or by number."""

    def __post_init__(self) -> None:
        instance("participation", self.participation, Participation)
        if (self.participation.m is not None) != (self.by == "m"):
            raise AssumptionError(f"{self.title} is not about {self.participation.name}: use Participation({self.by}=...)")
        super().__post_init__()
        self.participation.check(self.M)

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return rare and usual participation."""
        if cls.refuse(objective) is not None:
            return []
        return [cls(objective, participation=Participation(p=p)) for p in (0.25, 1.0)]

    @property
    def settings(self) -> str:
        """For example ``each client with p = 0.5``."""
        return self.participation.name

    def method_at(self, stepsize: float) -> Method:
        """Return `DistributedDSGD` with the participation of this record and a step size."""
        return DistributedDSGD(stepsize, participation=self.participation)

    @property
    def M(self) -> int:
        """The number of clients."""
        return len(self.objective.clients)

    @property
    def p(self) -> float:
        """The probability of a client."""
        return 1.0 if self.participation.p is None else self.participation.p

    @property
    def L_mean_function(self) -> float:
        """L̂ ≥ L_{f_D}, or the sharp constant."""
        c = self.constants
        return c.L_fD_sharp.value if self.sharp else c.L_fD.value

    @property
    def L_share(self) -> float:
        """What multiplies 2γ·gap_M/μ."""
        return self.constants.expected_smoothness_max / (self.M * self.p)

    @property
    def stepsize(self) -> float:
        """The largest step size."""
        return 1 / ((1 - 1 / self.M) * self.L_mean_function + self.L_share)

    def neighbourhood(self, stepsize: float) -> float:
        """Return 2γ·gap_M/μ times the share."""
        return 2 * stepsize * self.L_share * self.gap / self.mu


@dataclass(frozen=True, eq=False)
class ParticipationByProbability(ParticipationRate):
    """r_T ≤ (1 − γμ)^T r_0 + (2γL̄/(Mpμ))·gap_M for γ ≤ 1/((1 − 1/M)L̂ + L̄/(Mp)), each client with probability p.

    Parameters
    ----------
    objective : Distributed
        The objective f_D; the sketches must be bounded and independent, the clients' f_i convex and one of them strongly.
    sharp : bool, default False
        Use the smoothness and strong convexity constants of f_D, and E inf f_{i,S} in place of f_i^inf.
    participation : Participation, optional
        With p; p = 0.5 when left out.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Distributed([ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(3 * np.eye(2), np.ones(2))], ms.RandK(2, k=1))
    >>> round(1 / ParticipationByProbability(F, participation=ms.Participation(p=0.5)).stepsize, 12)
    14.0
    """

    id = "participation-probability"
    title = "Partial participation (each client by itself)"
    statement = (
        r"\gamma \le \frac 1{(1 - \frac1M)\hat L + \bar L/(Mp)} \Rightarrow \mathbb E\|x^T - x_D^*\|^2 \le (1-\gamma\mu)^T"
        r"\|x^0 - x_D^*\|^2 + \frac{2\gamma\bar L}{Mp\mu}\left(f_D^{\inf} - \tfrac1M\textstyle\sum_i f_i^{\inf}\right),\quad"
        r" \hat L = \tfrac1M\textstyle\sum_i L_{f_i}L_{D_i} \ge L_{f_D},\ \bar L = \max_i L_{f_i}L_{S_i}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (*ConvexDistributed.assumptions, INDEPENDENT)
    constants_used = ("L_fD", "expected_smoothness_max", "mu_fD", "gap")


@dataclass(frozen=True, eq=False)
class ParticipationByNumber(ParticipationRate):
    """r_T ≤ (1 − γμ)^T r_0 + (2γL̄/(mμ))·gap_M for γ ≤ 1/((1 − 1/m)L̂ + L̄/m), m of M clients uniformly at a time.

    The number of clients M does not enter.

    Parameters
    ----------
    objective : Distributed
        The objective f_D; the sketches must be bounded and independent, the clients' f_i convex and one of them strongly.
    sharp : bool, default False
        Use the smoothness and strong convexity constants of f_D, and E inf f_{i,S} in place of f_i^inf.
    participation : Participation, optional
        With m; m = 1 when left out.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.
    ValueError
        If there are fewer than m clients.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Distributed([ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(3 * np.eye(2), np.ones(2))], ms.RandK(2, k=1))
    >>> round(1 / ParticipationByNumber(F, participation=ms.Participation(m=2)).stepsize, 12)
    8.0
    """

    participation: Participation = field(default_factory=lambda: Participation(m=1), kw_only=True)

    id = "participation-number"
    title = "Partial participation (m of M clients)"
    statement = (
        r"\gamma \le \frac 1{(1 - \frac1m)\hat L + \bar L/m} \Rightarrow \mathbb E\|x^T - x_D^*\|^2 \le (1-\gamma\mu)^T"
        r"\|x^0 - x_D^*\|^2 + \frac{2\gamma\bar L}{m\mu}\left(f_D^{\inf} - \tfrac1M\textstyle\sum_i f_i^{\inf}\right),\quad"
        r" \hat L = \tfrac1M\textstyle\sum_i L_{f_i}L_{D_i} \ge L_{f_D},\ \bar L = \max_i L_{f_i}L_{S_i}^{\max}"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (*ConvexDistributed.assumptions, INDEPENDENT)
    constants_used = ("L_fD", "expected_smoothness_max", "mu_fD", "gap")
    tried = ("m:1",)
    by = "m"

    @classmethod
    def cases(cls, objective: Objective) -> Sequence[Self]:
        """Return one client at a time, all but one, and all."""
        if cls.refuse(objective) is not None:
            return []
        assert isinstance(objective, Distributed)
        M = len(objective.clients)
        return [cls(objective, participation=Participation(m=m)) for m in sorted({1, max(1, M - 1), M})]

    @property
    def m(self) -> int:
        """The number of clients in a step."""
        return self.participation.m or 1

    @property
    def L_share(self) -> float:
        """L̄/m."""
        return self.constants.expected_smoothness_max / self.m

    @property
    def stepsize(self) -> float:
        """The largest step size 1/((1 − 1/m)L̂ + L̄/m)."""
        return 1 / ((1 - 1 / self.m) * self.L_mean_function + self.L_share)


@dataclass(frozen=True, eq=False)
class DependentParticipation(ParticipationRate):
    """r_T ≤ (1 − γμ)^T r_0 + (2γΛ/μ)·gap_M for γ ≤ 1/Λ, Λ = L̃ + (1 − p)L̄/(pM), whatever the dependence between sketches.

    Parameters
    ----------
    objective : Distributed
        The objective f_D; the sketches must be bounded, the clients' f_i convex and one of them strongly.
    sharp : bool, default False
        Use the strong convexity constant of f_D, and E inf f_{i,S} in place of f_i^inf.
    participation : Participation, optional
        With p; p = 0.5 when left out.

    Raises
    ------
    AssumptionError
        Naming the assumption, the measured value and the remedy.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> f = ms.Quadratic(np.eye(2), np.ones(2))
    >>> F = ms.Distributed([f, f], ms.PermK(2, clients=2))
    >>> round(1 / DependentParticipation(F, participation=ms.Participation(p=0.5)).stepsize, 12)
    6.0
    """

    id = "participation-dependent"
    title = "Partial participation, dependent sketches"
    statement = (
        r"\gamma \le \frac 1\Lambda \Rightarrow \mathbb E\|x^T - x_D^*\|^2 \le (1-\gamma\mu)^T\|x^0 - x_D^*\|^2 +"
        r" \frac{2\gamma\Lambda}{\mu}\left(f_D^{\inf} - \tfrac1M\textstyle\sum_i f_i^{\inf}\right),\quad \Lambda = \tilde"
        r" L +"
        r" \frac{(1-p)\bar L}{pM},\ \tilde L = \tfrac1M\textstyle\sum_i L_{f_i}L_{S_i}^{\max},\ \bar L = \max_i L_{f_i}"
        r"L_{S_i}^{\max}"
    )
    constants_used = ("expected_smoothness", "expected_smoothness_max", "mu_fD", "gap")

    @property
    def L_share(self) -> float:
        """Λ."""
        return self.L + (1 - self.p) * self.constants.expected_smoothness_max / (self.p * self.M)

    @property
    def stepsize(self) -> float:
        """The largest step size 1/Λ."""
        return 1 / self.L_share
