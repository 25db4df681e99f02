"""What a method is: a gradient estimator, a sampling of the data, a compressor and a step rule.

A step draws once for each purpose, builds a direction g, and moves by x⁺ = x − γ_t Q(g). Methods differ only in how they
build the direction and in what they carry along.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Self

import numpy as np

from mastsim.backend import Array
from mastsim.draws import Draw
from mastsim.expected import Distributed, Objective
from mastsim.keywords import Settings
from mastsim.methods.compression import Compressor, Uncompressed
from mastsim.methods.minibatch import Minibatch, Sampling
from mastsim.methods.settings import Setting, settings_of
from mastsim.methods.states import State
from mastsim.methods.steprules import StepRule, step_rule
from mastsim.methods.uniform_sampling import FullBatch
from mastsim.problems import Problem
from mastsim.provenance import Constant
from mastsim.readonly import ReadOnly
from mastsim.recursions import MomentRecursion
from mastsim.validation import instance


def require_one_node(method: Method, objective: Objective) -> None:
    """Refuse an objective with clients, and what is no objective."""
    instance("objective", objective, Objective)
    if isinstance(objective, Distributed):
        name = type(method).__name__
        raise ValueError(f"objective={objective.name} is not accepted: {name} needs one node; use DistributedDSGD")


@dataclass(frozen=True)
class Method(ReadOnly, ABC):
    """An iterative method for a MAST objective.

    Subclasses are frozen dataclasses of settings; whatever changes is in the state, a NamedTuple of arrays of shape
    (replicas, dim) whose first field is the iterate ``x``.

    Parameters
    ----------
    stepsize : float or StepRule
        γ > 0, or a rule that gives γ_t.

    Raises
    ------
    ValueError
        If `stepsize` is not a finite number above zero.
    """

    noun = "method"
    example = "DSGD(0.1)"

    stepsize: float | StepRule

    points: ClassVar[tuple[str, ...]] = ("x",)
    """The fields of the state that are points; the others are gradients."""
    keyword: ClassVar[str] = ""
    """The method's name in a text such as ``page:probability=0.1``; empty for methods that cannot be named in one."""
    nodes: ClassVar[Literal["one", "many", "any"]] = "one"
    """Whether the method is for one node, for the clients of a distributed objective, or for both."""

    changes_with_time: ClassVar[bool] = False
    """Whether steps of one size differ by their number; each is affine where the method says so."""

    compresses_points: ClassVar[bool] = False
    """Whether a step sketches the point itself, not only the point at which a gradient is taken and the gradient."""

    sketches_gradients: ClassVar[bool] = True
    """Whether a step takes sketched gradients of f, for which there are kernels."""

    adapts: ClassVar[bool] = False
    """Whether step rules that look at the iterate are accepted, such as `PolyakStep`."""

    affine: ClassVar[bool] = False
    """Whether a step is an affine map of the state for every outcome of its draws, on a quadratic at a given step size.

    Exact moments need it. A subclass that changes anything about the step must say it again.
    """

    def __post_init__(self) -> None:
        rule = step_rule(self.stepsize)
        if rule.adapts and not self.adapts:
            raise ValueError(
                f"stepsize={rule} is not accepted: the step sizes of {type(self).__name__} may not depend on the iterate; "
                "use DSGD, or a number"
            )
        object.__setattr__(self, "_rule", rule)
        if not isinstance(self.stepsize, StepRule):
            object.__setattr__(self, "stepsize", rule.largest)

    @property
    def name(self) -> str:
        """The name of the method."""
        return type(self).__name__

    @property
    def rule(self) -> StepRule:
        """The step rule."""
        rule: StepRule = self._rule  # type: ignore[attr-defined]
        return rule

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """Return how each setting is read from text, by name; a field is a number, a sampling or a compressor."""
        return settings_of(field.name for field in fields(cls) if field.name != "stepsize")

    @classmethod
    def spell(cls, given: Mapping[str, Any]) -> Settings:
        """Return settings in their one spelling, in the order of their names, refusing values outside their range.

        Parameters
        ----------
        given : mapping of str to any
            Numbers or texts by the name of the setting.

        Raises
        ------
        ValueError
            If a value is not accepted, or two settings say the same thing.

        Examples
        --------
        >>> from mastsim.methods import DSGD
        >>> DSGD.spell({"sampling": "nice:08"}), DSGD.spell({"compression": "randk:0.10"})
        ((('minibatch', 8),), (('compression', 'randk:0.1'),))
        """
        known = cls.settings()
        spelled = [known[name].spell(name, value) for name, value in given.items()]
        said = [known[name].field for name, _ in spelled]
        if len(set(said)) < len(said):
            names = " and ".join(repr(name) for name in given)
            raise ValueError(f"settings {names} of {cls.keyword} are not accepted together: two of them say the same thing")
        numbers = {name: value for name, value in spelled if known[name].is_number}
        trial = cls(1.0, **numbers)
        return tuple(sorted((name, getattr(trial, name) if name in numbers else value) for name, value in spelled))

    @classmethod
    def from_settings(cls, stepsize: float | StepRule, settings: Settings, problem: Problem) -> Self:
        """Return the method with settings as `spell` returns them, for a problem.

        Parameters
        ----------
        stepsize : float or StepRule
            γ > 0, or a rule that gives γ_t.
        settings : tuple of (str, value)
            The settings.
        problem : Problem
            The problem, to whose dimension and components they are fitted.

        Raises
        ------
        ValueError
            If a value is outside its range, or does not fit the problem.
        """
        known = cls.settings()
        return cls(stepsize, **{known[name].field: known[name].build(value, problem) for name, value in settings})

    def closed_recursion(self, objective: Any) -> MomentRecursion:
        """Return the closed recursion of mean and second moment on a quadratic, counted from x_D*.

        Exact moments are read off the values of the draws without one, where these are few. A subclass that changes anything
        about the step must say it again.

        Raises
        ------
        ValueError
            If none is known.
        """
        raise ValueError(f"no closed moment recursion is known for {self.name} on {objective.name}")

    def check(self, problem: Problem) -> None:
        """Refuse a problem that the settings do not fit; without settings every problem fits."""

    def safe_step(self, objective: Any, sharp: bool) -> Constant | None:
        """Return a step size that is safe without a theorem about the method, with its reason; None where there is none."""
        return None

    def target(self, objective: Any) -> np.ndarray:
        """Return the point that the method is drawn to, shape (dim,): x_D* unless a subclass says otherwise."""
        best: np.ndarray = objective.minimize().x
        return best

    def target_error(self, objective: Any) -> float | None:
        """Return how far `target` may be from that point; None where the certificate of the minimiser says it."""
        return None

    def smoothness(self, node: Any) -> float:
        """Return the smoothness of what a step takes gradients of on a node, the objective or that of a client."""
        return float(node.problem.L_f)

    @property
    def unproved(self) -> str:
        """Why no theorem is about the method, in words; empty where one may be."""
        return ""

    def gradient_steps(self, objective: Any) -> int:
        """Return how many gradient steps one after the other a step on an objective takes: one unless a subclass says so."""
        return 1

    def knows_lyapunov(self, objective: Any) -> bool:
        """Return whether `lyapunov` can be computed on an objective; no, unless a subclass has one."""
        return False

    def lyapunov(self, objective: Any, state: Any) -> np.ndarray:
        """Return the Lyapunov function of the method's theory at every state, shape (replicas,)."""
        raise NotImplementedError(f"{type(self).__name__} has no Lyapunov function")

    @abstractmethod
    def init(self, objective: Any, x0: Array) -> Any:
        """Return the first state for the starting points `x0`, shape (replicas, dim)."""

    @abstractmethod
    def step(self, state: Any, objective: Any, draw: Draw) -> Any:
        """Return the state after one more step."""


@dataclass(frozen=True)
class StochasticMethod(Method):
    """A method whose gradients may be sampled and whose directions may be compressed.

    Parameters
    ----------
    stepsize : float or StepRule
        γ > 0, or a rule that gives γ_t.
    sampling : Sampling, optional
        Which components of f = (1/n)Σf_i a gradient sees; all by default.
    compression : Compressor, optional
        What is done to a direction before the step; nothing by default.

    Raises
    ------
    ValueError
        If `stepsize` is not a finite number above zero, or the sampling does not fit the problem.
    """

    sampling: Sampling = field(default_factory=FullBatch)
    compression: Compressor = field(default_factory=Uncompressed)

    def __post_init__(self) -> None:
        super().__post_init__()
        instance("sampling", self.sampling, Sampling)
        instance("compression", self.compression, Compressor)

    def check(self, problem: Problem) -> None:
        """Refuse a problem that the sampling or the compression does not fit."""
        self.sampling.check(problem.components)
        self.compression.law(problem.dim)

    @property
    def is_exact(self) -> bool:
        """Whether gradients are exact, apart from the sketch, and not compressed."""
        return isinstance(self.sampling, FullBatch) and isinstance(self.compression, Uncompressed)

    @property
    def name(self) -> str:
        """For example ``DSGD, 32-nice``."""
        parts = [type(self).__name__]
        parts += [] if isinstance(self.sampling, FullBatch) else [self.sampling.name]
        parts += [] if isinstance(self.compression, Uncompressed) else [self.compression.name]
        return ", ".join(parts)

    def step(self, state: Any, objective: Objective, draw: Draw) -> Any:
        """Return the state after one more step."""
        gradient = self.oracle(objective, draw)
        return self.carry(state, self.moved(state, objective, gradient, draw), objective, gradient, draw)

    def moved(self, state: Any, objective: Objective, gradient: Oracle, draw: Draw) -> Array:
        """Return the next iterate x⁺ = x − γ_t Q(g), shape (replicas, dim)."""
        direction = self.compressed(self.direction(state, objective, gradient, draw), objective, draw)
        moved: Array = state.x - self.rule.at(draw.step) * direction
        return moved

    def oracle(self, objective: Objective, draw: Draw) -> Oracle:
        """Return the gradients of this step, all with one minibatch."""
        if isinstance(self.sampling, FullBatch):
            return Oracle(objective, None)
        return Oracle(objective, draw.of("minibatch", self.sampling.law(objective.problem.components)))

    def compressed(self, direction: Array, objective: Objective, draw: Draw) -> Array:
        """Return Q(g) for every replica."""
        if isinstance(self.compression, Uncompressed):
            return direction
        return draw.of("compression", self.compression.law(objective.dim)).apply(direction)

    @abstractmethod
    def direction(self, state: Any, objective: Any, gradient: Oracle, draw: Draw) -> Array:
        """Return the direction g of a step, shape (replicas, dim)."""

    def carry(self, state: Any, x: Array, objective: Any, gradient: Oracle, draw: Draw) -> Any:
        """Return the next state, given the next iterate."""
        return State(x)


@dataclass(frozen=True, eq=False)
class Oracle:
    """Stochastic gradients of one step.

    Parameters
    ----------
    objective : Objective
        The objective.
    minibatch : Minibatch or None
        The components seen; all when None.
    """

    objective: Any
    minibatch: Minibatch | None

    def plain(self, x: Array) -> Array:
        """Return the gradient of f, without a sketch."""
        problem = self.objective.problem
        return problem.gradient(x) if self.minibatch is None else problem.minibatch_gradient(x, self.minibatch)

    def sketched(self, x: Array, batch: Any, shift: Array | None = None) -> Array:
        """Return the gradient of f_S, for the shift of the objective unless every replica has its own."""
        if shift is None:
            return self.objective.sketched_gradient(x, batch, self.minibatch)
        return batch.apply_transpose(self.plain(shift + batch.apply(x - shift)))
