"""The objective of M clients, f_D(x) = (1/M) Σ E f_i(v + S_i(x − v)), each with its own data and sketch."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.arithmetic import mean
from mastsim.backend import Array
from mastsim.devices import Device
from mastsim.draws import Independent, RandomElement
from mastsim.expected.base import Evaluation
from mastsim.expected.mast import Mast
from mastsim.expected.objective import Objective, gap_between
from mastsim.linalg import (
    Curvature,
    QuadraticForm,
    SparseCurvature,
    mean_curvature,
    mean_form,
    mean_sparse_curvature,
)
from mastsim.problems import FiniteSum, Minimum, Problem
from mastsim.problems.base import DENSE_LIMIT
from mastsim.provenance import Constant
from mastsim.rounding import summed
from mastsim.sketches import PermK, Sketch
from mastsim.validation import ENTRIES, instances, vector


class _DealtOut(tuple[PermK, ...]):
    """One Perm-K for all clients, once for each: it says so itself, so that a copy of an objective deals out as well."""


@dataclass(frozen=True, eq=False)
class Distributed(Objective):
    """The average of the MAST objectives of M clients.

    Parameters
    ----------
    problems : sequence of Problem
        The clients' f_1, …, f_M, all of one dimension; see `split` for shards of a data set.
    sketches : Sketch, PermK or sequence of Sketch
        One sketch for each client, drawn independently; a single sketch is the law of all. A single `PermK` for M clients
        deals out the coordinates, so that the clients' sketches depend on each other and average to the identity.
    shift : array, shape (dim,), optional
        The common shift v; zero when left out.
    evaluate : str, default "auto"
        How every client's f_D is computed; see `Mast`.

    Raises
    ------
    ValueError
        If the numbers of problems and sketches, or the dimensions, do not fit.

    References
    ----------
    MAST, arXiv 2311.16086, Algorithm 3.

    Examples
    --------
    >>> import mastsim as ms
    >>> f = ms.Quadratic(np.eye(2), np.ones(2))
    >>> F = Distributed([f, f], ms.PermK(2, clients=2))
    >>> F.minimize().x
    array([0.5, 0.5])
    """

    example = "Distributed(problems, sketches)"

    problems: Sequence[Problem]
    sketches: Sketch | Sequence[Sketch]
    shift: np.ndarray | None = None
    evaluate: str = "auto"
    correlated: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if isinstance(self.problems, Problem):
            raise TypeError(f"problems={self.problems.name} is not accepted: it must be a sequence, one for each client")
        problems = instances("problems", self.problems, Problem)
        sketches = self._one_for_each(len(problems))
        if len(sketches) != len(problems):
            raise ValueError(f"sketches has {len(sketches)} entries, but there are {len(problems)} problems")
        object.__setattr__(self, "problems", problems)
        object.__setattr__(self, "sketches", sketches)
        object.__setattr__(self, "correlated", isinstance(sketches, _DealtOut))
        object.__setattr__(self, "problem", FiniteSum(problems))
        shift = vector("shift", np.zeros(self.dim) if self.shift is None else self.shift, self.dim, ENTRIES)
        object.__setattr__(self, "shift", shift)
        _ = self.clients

    def _one_for_each(self, clients: int) -> tuple[Sketch, ...]:
        """Return the sketches of all clients; one Perm-K, or a copy of what came of it, deals out the coordinates."""
        given = self.sketches[0] if isinstance(self.sketches, _DealtOut) else self.sketches
        if not isinstance(given, Sketch):
            return tuple(instances("sketches", given, Sketch))
        if not isinstance(given, PermK):
            return (given,) * clients
        if given.clients != clients:
            raise ValueError(f"sketches is for {given.clients} clients, but there are {clients} problems")
        return _DealtOut((given,) * clients)

    @cached_property
    def clients(self) -> tuple[Mast, ...]:
        """The clients' own objectives."""
        pairs = zip(self.problems, self.sketches, strict=True)  # type: ignore[arg-type]
        return tuple(Mast(problem, sketch, self.shift, self.evaluate) for problem, sketch in pairs)

    @property
    def dealt(self) -> PermK | Sequence[Sketch]:
        """The sketches as they were given: the `PermK` that deals out coordinates to all clients, or one for each."""
        sketches: Sequence[Any] = self.sketches  # type: ignore[assignment]
        return sketches[0] if self.correlated else sketches

    @cached_property
    def joint(self) -> RandomElement:
        """The joint law of the clients' sketches."""
        return self.dealt.joint if isinstance(self.dealt, PermK) else Independent(tuple(self.dealt))

    @property
    def name(self) -> str:
        """For example ``2 clients of d = 2, Rand-1 of 2, v = 0``."""
        return f"{len(self.clients)} clients of d = {self.dim}, {self.sketch_name}"

    @property
    def sketch_name(self) -> str:
        """For example ``Rand-1 of 2, v = 0``."""
        names = list(dict.fromkeys(client.sketch.name for client in self.clients))
        return f"{names[0] if len(names) == 1 else f'{len(names)} sketches'}, v {'≠' if np.any(self.center) else '='} 0"

    @property
    def center(self) -> np.ndarray:
        """The shift v, shape (dim,)."""
        assert self.shift is not None
        return self.shift

    def on(self, device: Device) -> Distributed:
        """Return the same objective on a device; see `Objective.on`."""
        moved: Distributed = device.copy(self, clients=self.clients)
        object.__setattr__(moved, "problem", FiniteSum(moved.problems))
        return moved

    def at(self, accuracy: float) -> Distributed:
        """Return the same objective, every client as accurate as asked for."""
        clients = tuple(client.at(accuracy) for client in self.clients)
        if all(a is b for a, b in zip(clients, self.clients, strict=True)):
            return self
        sharper = copy(self)
        sharper.__dict__["clients"] = clients
        sharper.__dict__.pop("_minimum", None)
        return sharper

    def inaccuracy(self, x: Array) -> tuple[np.ndarray, np.ndarray]:
        """Return the means of the clients' bounds."""
        values, gradients = zip(*(client.inaccuracy(x) for client in self.clients), strict=True)
        return np.asarray(self._mean(values)), np.asarray(self._mean(gradients))

    @property
    def runs_on_devices(self) -> bool:
        """Whether f_D itself can be evaluated on a device; sketched gradients always can."""
        return all(client.runs_on_devices for client in self.clients)

    @property
    def evaluation(self) -> Evaluation:
        """The weakest evaluation of a client."""
        found = [client.evaluation for client in self.clients]
        estimates = [each for each in found if each.tier == "estimate"]
        return (estimates or [client.evaluation for client in self.clients if not client.is_quadratic] or found)[0]

    @property
    def is_quadratic(self) -> bool:
        """Whether the objectives of all clients are known as quadratics."""
        return all(client.is_quadratic for client in self.clients)

    @property
    def nodes(self) -> tuple[Mast, ...]:
        """The clients."""
        return self.clients

    def is_far(self, x: Array) -> np.ndarray:
        """Say which points are far for one of the clients; see `Objective.is_far`."""
        return np.any([client.is_far(x) for client in self.clients], axis=0)

    def value(self, x: Array) -> Array:
        """Return f_D(x), shape ``x.shape[:-1]``."""
        return self._mean([client.value(x) for client in self.clients])

    def gradient(self, x: Array) -> Array:
        """Return ∇f_D(x), shape of `x`."""
        return self._mean([client.gradient(x) for client in self.clients])

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return f_D(x) and ∇f_D(x)."""
        values, gradients = zip(*(client.value_and_gradient(x) for client in self.clients), strict=True)
        return self._mean(values), self._mean(gradients)

    def error_bound(self, x: Array) -> float:
        """Return a bound on the error of the values at the points `x`, rounding included; infinite for an estimate."""
        sizes = self._mean([np.abs(client.value(x)).max() for client in self.clients])
        rounding = summed(len(self.clients) + 2) * sizes
        return float(self._mean([client.error_bound(x) for client in self.clients]) + rounding)

    def gradient_error(self, x: np.ndarray) -> float:
        """Return a bound on ‖computed ∇f_D − ∇f_D‖ at one point, shape (dim,), rounding included."""
        sizes = self._mean([np.linalg.norm(client.gradient(x)) for client in self.clients])
        rounding = summed(len(self.clients) + 2) * sizes
        return float(self._mean([client.gradient_error(x) for client in self.clients]) + rounding)

    def hessian_model(self, x: np.ndarray) -> np.ndarray:
        """Return the mean of the clients' models; see `Mast.hessian_model`."""
        return np.asarray(self._mean([client.hessian_model(x) for client in self.clients]))

    def hessian_diagonal(self, x: np.ndarray) -> np.ndarray:
        """Return the mean of the clients' diagonals; see `Mast.hessian_diagonal`."""
        return np.asarray(self._mean([client.hessian_diagonal(x) for client in self.clients]))

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f_D(x) w, shape of `x`; `w` has the same shape."""
        return self._mean([client.hessian_product(x, w) for client in self.clients])

    @cached_property
    def upper_curvature(self) -> Curvature:
        """The mean of the clients' E[SᵀLS]."""
        return mean_curvature([client.upper_curvature for client in self.clients])

    @cached_property
    def lower_curvature(self) -> Curvature:
        """The mean of the clients' E[SᵀMS]."""
        return mean_curvature([client.lower_curvature for client in self.clients])

    @cached_property
    def quadratic_form(self) -> QuadraticForm:
        """The mean of the clients' forms of x − v."""
        return mean_form([client.quadratic_form for client in self.clients])

    @cached_property
    def L_fD(self) -> Constant:
        """L̂, the mean of the clients' L_D·L_f, a smoothness constant of f_D."""
        return mean([client.L_fD for client in self.clients], "L̂ = mean L_Di·L_fi (this package)")

    @cached_property
    def mu_fD(self) -> Constant:
        """The mean of the clients' μ_D·μ_f, a strong convexity constant of f_D."""
        return mean([client.mu_fD for client in self.clients], "mean μ_Di·μ_fi (this package)")

    @cached_property
    def L_fD_sharp(self) -> Constant:
        """λ_max of the mean of the clients' E[SᵀLS], which bounds ∇²f_D; where it is not known, the mean of their own."""
        source = "λ_max of the mean E[SᵀL_iS] (this package)"
        if self.dim <= DENSE_LIMIT and self.L_fD < np.inf:
            return self._largest_curvature(source)
        own = mean([client.L_fD_sharp for client in self.clients], "mean λ_max(E[SᵀL_iS]) (this package)", "upper")
        found = self.sparse_upper_curvature if self.L_fD < np.inf else None
        return own if found is None else min(self._sparse_end(found.largest, source, "upper"), own)

    @cached_property
    def mu_fD_sharp(self) -> Constant:
        """λ_min of the mean of the clients' E[SᵀMS]; where it is not known, the mean of their own constants."""
        source = "λ_min of the mean E[SᵀM_iS] (this package)"
        if self.dim <= DENSE_LIMIT and self.mu_fD > -np.inf:
            return self._least_curvature(source)
        own = mean([client.mu_fD_sharp for client in self.clients], "mean λ_min(E[SᵀM_iS]) (this package)", "lower")
        found = self.sparse_lower_curvature if self.mu_fD > -np.inf else None
        return own if found is None else max(self._sparse_end(found.smallest, source, "lower"), own)

    @cached_property
    def sparse_upper_curvature(self) -> SparseCurvature | None:
        """The mean of the clients' E[SᵀLS] as operators; None where one is not known."""
        return mean_sparse_curvature([client.sparse_upper_curvature for client in self.clients])

    @cached_property
    def sparse_lower_curvature(self) -> SparseCurvature | None:
        """The mean of the clients' E[SᵀMS] as operators; None where one is not known."""
        return mean_sparse_curvature([client.sparse_lower_curvature for client in self.clients])

    def sketched_infimum(self) -> Constant:
        """Return the mean of the clients' E inf f_{i,S}, or of their lower bounds."""
        return mean([client.sketched_infimum() for client in self.clients], "mean over clients of E inf f_{i,S}")

    def nodes_minimum(self) -> Minimum:
        """Return the mean of the clients' infima, as the value of a `Minimum` whose point is that of f."""
        found = [problem.minimize() for problem in self.problems]
        names = ("value", "gap_bound", "rounding")
        value, error, below = (float(self._mean([getattr(m, name) for m in found])) for name in names)
        proven, rounding = all(m.proven for m in found), self._mean_rounding([m.value for m in found])
        x, how = self.problem.minimize().x, "mean over the clients"
        return Minimum(x, value, error + rounding, 0.0, how, proven, rounding=below + rounding)

    def gap(self) -> Constant:
        """Return gap_M = f_D^inf − (1/M)Σ f_i^inf ≥ 0 with its tier of truth."""
        if len(self.clients) == 1:
            return self.clients[0].gap()
        return gap_between(self, self.nodes_minimum(), "f_D^inf − mean f_i^inf")

    def excess_bound(self, x: np.ndarray) -> float:
        """Return the mean of the clients' bounds; see `Mast.excess_bound`."""
        return float(self._mean([client.excess_bound(x) for client in self.clients]))

    def _mean_rounding(self, values: Sequence[float]) -> float:
        """Return a bound on the rounding of a mean over the clients."""
        return summed(len(values) + 2) * float(np.mean(np.abs(values)))

    def _mean(self, parts: Sequence[Array]) -> Array:
        """Return the mean of what the clients have, added up in their order."""
        return sum(parts[1:], parts[0]) / len(self.clients)
