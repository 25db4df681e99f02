"""What theorems about the minimiser of f itself share, whatever f_D is."""

from __future__ import annotations

import math
from functools import cached_property

from mastsim.theorems.assumptions import (
    Assumption,
)
from mastsim.theorems.full_model_constants import FullModelConstants
from mastsim.theorems.rates import Rate

SMALL = 8
"""Up to how many dimensions a verdict takes several settings of a record, and not one alone."""
KNOWN_STEP = Assumption(
    "known E[SSᵀ]",
    lambda F: math.isfinite(FullModelConstants(F).step_second_moment),
    lambda F: f"E[SSᵀ] is not finite or not known for {F.sketch.name}",
    "use a sketch of symmetric matrices, or one with few values",
)
POLYAK_LOJASIEWICZ_F = Assumption(
    "Polyak-Łojasiewicz condition",
    lambda F: F.problem.is_quadratic or F.problem.mu_f > 0,
    lambda F: f"no constant is known for {F.problem.name}",
    "use a quadratic or a strongly convex loss",
)


class AboutF(Rate):
    """What theorems about the minimiser of f itself share."""

    method = "DSGD"
    beyond = True
    part = "error"
    instead = ("error",)

    @cached_property
    def constants(self) -> FullModelConstants:
        """The constants of the objective."""
        return FullModelConstants(self.objective)

    @property
    def L(self) -> float:
        """The expected smoothness constant in use."""
        c = self.constants
        return c.expected_smoothness_sharp.value if self.sharp else c.expected_smoothness.value

    @property
    def mu(self) -> float:
        """The strong convexity constant of f."""
        return self.constants.mu_f.value

    def forgetting(self, stepsize: float) -> float:
        """Return γμ_f, at most 1; 0 where f is not strongly convex."""
        return min(max(stepsize * float(self.objective.problem.mu_f), 0.0), 1.0)

    def noise(self, stepsize: float) -> float:
        """Return 0: nothing stands in the way of the minimum of f."""
        return 0.0

    def neighbourhood(self, stepsize: float) -> float:
        """Return 0, for the same reason."""
        return 0.0
