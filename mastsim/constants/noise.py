"""σ*² = E‖g(x_D*)‖² for the mean g of the nodes' sketched gradients: by listing the sketches, or bounded by the gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mastsim.arithmetic import product
from mastsim.expected import Distributed, Mast, Objective
from mastsim.provenance import Constant
from mastsim.rounding import EPS, summed
from mastsim.sketches import SketchBatch
from mastsim.sketches.base import CACHED_SUPPORT


@dataclass(frozen=True, eq=False)
class _Listed:
    """All values of sketches that depend on each other and on no others, with their probabilities."""

    nodes: Sequence[Mast]
    batches: Sequence[SketchBatch]
    weights: np.ndarray

    def gradients(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sum of the nodes' gradients at x under each value, and a bound on the rounding of each."""
        found = [_gradients(node, x, batch) for node, batch in zip(self.nodes, self.batches, strict=True)]
        return sum(g for g, _ in found), sum(error for _, error in found)  # type: ignore[return-value]


def noise_by_gap(L: Constant, gap: Constant) -> Constant:
    """Return 2L·gap, an estimate where the gap is one; 0 where the gap is, whether or not L is finite."""
    if gap.kind == "exact" and gap.value == 0 and gap.error == 0:
        return Constant(0.0, "exact", "gap = 0: x_D* is a minimiser of almost every f_S (this package)")
    return product([Constant(2.0, "exact", "2"), L, gap], "upper", "2L·gap (MAST, Theorem 5)")


def noise_at(objective: Objective, x: np.ndarray) -> tuple[float, float] | None:
    """Return E‖g(x) − E g(x)‖² and what rounding may change in its root; None where sketches have too many values."""
    listed = _listed(objective)
    if listed is None:
        return None
    # At the minimiser E g = 0, so that the variance is all there is.
    square, rounding = 0.0, 0.0
    for group in listed:
        gradients, errors = group.gradients(x)
        centre = group.weights @ gradients
        size = math.sqrt(float(group.weights @ (gradients**2).sum(axis=1)))
        units = 4 * objective.dim * EPS + 2 * float(summed(len(group.weights)))
        rounding += math.sqrt(float(group.weights @ errors**2)) + units * size
        square += float(group.weights @ ((gradients - centre) ** 2).sum(axis=1))
    count = len(objective.nodes)
    return square / count**2, rounding / count


def _listed(objective: Objective) -> list[_Listed] | None:
    """Return the groups of sketches that depend on each other; None where one of them has too many values."""
    if isinstance(objective, Distributed) and objective.correlated:
        if objective.joint.support_size > CACHED_SUPPORT:
            return None
        values, weights = objective.joint.support()
        return [_Listed(objective.nodes, tuple(values), weights)]
    if any(node.sketch.support_size > CACHED_SUPPORT for node in objective.nodes):
        return None
    supports = [(node, node.sketch.support()) for node in objective.nodes]
    return [_Listed([node], [batch], weights) for node, (batch, weights) in supports]


def _gradients(node: Mast, x: np.ndarray, batch: SketchBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return a node's ∇f_S(x) for every sketch of a batch, and a bound on the rounding of each."""
    v = node.center
    gradients = np.asarray(node.sketched_gradient(x, batch))
    sketched = np.asarray(batch.apply(np.broadcast_to(x - v, gradients.shape)))
    stretch = np.sqrt(np.asarray(batch.square_norms()[1]))
    # Rounding of x − v comes back multiplied by S, that of the products comes beside it.
    units = 4 * node.dim * EPS
    moved = units * (np.abs(v) + np.abs(sketched) + stretch[:, None] * np.linalg.norm(np.abs(x) + np.abs(v)))
    slopes = np.linalg.norm(node.problem.gradient(v + sketched), axis=1)
    return gradients, stretch * (node.problem.gradient_error(v + sketched, moved) + units * slopes)
