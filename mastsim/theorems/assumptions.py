"""What theorems assume: predicates on objectives, with what was measured and what would help."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mastsim.expected import Distributed, Mast
from mastsim.sketches import Identity


class AssumptionError(ValueError):
    """A theorem was asked about an objective that does not meet one of its assumptions."""


@dataclass(frozen=True)
class Assumption:
    """A predicate on an objective, with what was measured and what would help.

    Parameters
    ----------
    name : str
        Short name, as in the paper.
    holds : callable
        Maps an objective to whether the assumption is met.
    measured : callable
        Maps an objective to a text with the measured value.
    remedy : str
        What to change when it is not met.
    """

    name: str
    holds: Callable[[Any], bool]
    measured: Callable[[Any], str]
    remedy: str

    def refusal(self, objective: Any) -> str | None:
        """Return None when the assumption is met, otherwise the reason and the remedy."""
        if self.holds(objective):
            return None
        return f"{self.name} fails: {self.measured(objective)}; {self.remedy}"


SINGLE_NODE = Assumption(
    "one node",
    lambda F: isinstance(F, Mast),
    lambda F: f"the objective has {len(F.clients)} clients",
    "use a theorem about distributed objectives",
)
DISTRIBUTED = Assumption(
    "distributed objective",
    lambda F: isinstance(F, Distributed),
    lambda F: "the objective has one node",
    "build Distributed(problems, sketches), or pass --clients M",
)
INDEPENDENT = Assumption(
    "independent clients",
    lambda F: not F.correlated or len(F.clients) == 1,
    lambda F: "the clients share one permutation (Perm-K)",
    "draw the clients' sketches independently",
)
NO_SKETCH = Assumption(
    "no sketch",
    lambda F: isinstance(F.sketch, Identity),
    lambda F: f"the sketch is {F.sketch.name}",
    "use the identity sketch: this theorem is about f itself",
)
UNBIASED = Assumption(
    "unbiased sketch (Assumption 1)",
    lambda F: all(node.sketch.unbiased for node in F.nodes),
    lambda F: f"E[S] differs from I for {next(node.sketch.name for node in F.nodes if not node.sketch.unbiased)}",
    "scale the mask by 1/keep",
)
BOUNDED = Assumption(
    "bounded sketch",
    lambda F: all(math.isfinite(node.sketch.L_max) for node in F.nodes),
    lambda F: f"L_S^max = {max(node.sketch.L_max for node in F.nodes)}",
    "use a sketch with bounded SᵀS",
)
SMOOTH = Assumption(
    "smoothness (Assumption 2)",
    lambda F: all(math.isfinite(node.problem.L_f) and math.isfinite(node.problem.lower_bound) for node in F.nodes),
    lambda F: (
        f"L_f = {max(node.problem.L_f.value for node in F.nodes):g}, "
        f"lower bound of f = {min(node.problem.lower_bound for node in F.nodes):g}"
    ),
    "use a loss with bounded curvature that is bounded below",
)
CONVEX = Assumption(
    "convexity",
    lambda F: all(node.problem.is_convex for node in F.nodes),
    lambda F: f"the least curvature of f is {min(node.problem.mu_f.value for node in F.nodes):g}",
    "use a convex loss or more regularisation",
)
STRONGLY_CONVEX = Assumption(
    "strong convexity (Assumption 3)",
    lambda F: all(node.problem.mu_f >= 0 for node in F.nodes) and any(node.problem.mu_f > 0 for node in F.nodes),
    lambda F: f"μ_f = {min(node.problem.mu_f.value for node in F.nodes):g}",
    "add regularisation, for example l2=1e-2 or condition_number=100",
)
EXACT = Assumption(
    "exact gradients of f_D",
    lambda F: F.evaluation.tier == "exact",
    lambda F: f"f_D is only estimated ({F.evaluation.reason})",
    "use a quadratic f, a mask, or a sketch with few values",
)
