"""Where the shift v of a step is: fixed, refreshed by the iterate, or held for a cycle of steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

from mastsim.backend import Array, namespace
from mastsim.draws import Coin, Draw
from mastsim.expected import Objective
from mastsim.keywords import read_number
from mastsim.methods.states import ShiftedState, State
from mastsim.readonly import ReadOnly
from mastsim.validation import integer, one_of, real

Variant = Literal["a", "b"]


Once = Callable[[Any, Draw], Any]
"""One gradient step from a state, with the randomness of a draw."""


class ShiftRule(ReadOnly, ABC):
    """A law of the shift v in x⁺ = x − γSᵀ∇f(v + S(x − v)); subclasses are frozen dataclasses of settings."""

    keyword: ClassVar[str] = ""
    """The rule's name in a text such as ``refreshed:0.1``; empty for rules that cannot be written in one."""
    affine: ClassVar[bool] = False
    """Whether the state after a step is an affine map of that before wherever a gradient step is; exact moments need it."""

    @classmethod
    def from_text(cls, argument: str) -> ShiftRule:
        """Return the rule that the text after the colon of ``keyword:argument`` names."""
        raise ValueError(f"{cls.__name__} cannot be named in a text; build it in Python")

    @property
    @abstractmethod
    def name(self) -> str:
        """A short text that says which rule this is."""

    @property
    def text(self) -> str:
        """The text that names the rule."""
        return self.keyword

    @property
    def moves(self) -> bool:
        """Whether v is ever anything but the shift of the objective."""
        return True

    @property
    def length(self) -> int:
        """How many gradient steps one step of the method takes."""
        return 1

    @abstractmethod
    def first(self, objective: Objective, x0: Array) -> Any:
        """Return the first state for starting points, shape (replicas, dim)."""

    @abstractmethod
    def after(self, state: Any, x: Array, draw: Draw) -> Any:
        """Return the state after a gradient step from `state` to `x`."""

    def step(self, once: Once, state: Any, objective: Objective, draw: Draw) -> Any:
        """Return the state after one step of the method, made of gradient steps."""
        return once(state, draw)


@dataclass(frozen=True)
class FixedShift(ShiftRule):
    """v is the shift of the objective: Algorithm 1 of MAST.

    Examples
    --------
    >>> FixedShift().moves
    False
    """

    keyword = "fixed"
    affine = True

    @classmethod
    def from_text(cls, argument: str) -> FixedShift:
        """Return the rule; it takes no argument."""
        if argument:
            raise ValueError(f"shift 'fixed:{argument}' is not accepted: fixed takes no argument")
        return cls()

    @property
    def name(self) -> str:
        """The words ``fixed shift``."""
        return "fixed shift"

    @property
    def moves(self) -> bool:
        """False."""
        return False

    def first(self, objective: Objective, x0: Array) -> State:
        """Return the starting points."""
        return State(x0)

    def after(self, state: State, x: Array, draw: Draw) -> State:
        """Return the iterates."""
        return State(x)


@dataclass(frozen=True)
class Refreshed(ShiftRule):
    """After every step, with probability p, v⁺ = x⁺ (variant b) or the x that was left (variant a); otherwise v⁺ = v.

    v⁰ is the shift of the objective. With p = 0 it stays there: Algorithm 1. With p = 1 and variant b the shift is the
    iterate, also at the start: x⁺ = x − γSᵀ∇f(x), the sketched gradient at the full model.

    Parameters
    ----------
    probability : float
        p, from 0 to 1.
    variant : {"a", "b"}, default "b"
        Which iterate the shift moves to.

    Raises
    ------
    ValueError
        If `probability` is not from 0 to 1, or `variant` is unknown.

    References
    ----------
    This package.

    Examples
    --------
    >>> Refreshed(0.1, variant="a").name, Refreshed(0).moves
    ('shift refreshed with p = 0.1 (a)', False)
    """

    probability: float
    variant: Variant = "b"

    keyword = "refreshed"
    affine = True

    def __post_init__(self) -> None:
        chance = real("probability", self.probability)
        if not 0 <= chance <= 1:
            raise ValueError(f"probability={chance} is not accepted: it must lie in [0, 1]")
        object.__setattr__(self, "probability", chance)
        one_of("variant", self.variant, get_args(Variant))

    @classmethod
    def from_text(cls, argument: str) -> Refreshed:
        """Return the rule that ``refreshed:P`` or ``refreshed:P:VARIANT`` names."""
        chance, colon, variant = argument.partition(":")
        return cls(read_number("probability", chance), variant if colon else "b")  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        """For example ``shift refreshed with p = 0.1 (b)``."""
        return f"shift refreshed with p = {self.probability:g} ({self.variant})"

    @property
    def text(self) -> str:
        """For example ``refreshed:0.1:a``."""
        return f"{self.keyword}:{self.probability!r}" + (":a" if self.variant == "a" else "")

    @property
    def moves(self) -> bool:
        """Whether p > 0."""
        return self.probability > 0

    @property
    def is_iterate(self) -> bool:
        """Whether the shift is the iterate at every step."""
        return self.probability == 1 and self.variant == "b"

    def first(self, objective: Objective, x0: Array) -> State | ShiftedState:
        """Return the starting points, and v⁰ beside them where it will move."""
        if not self.moves:
            return State(x0)
        xp = namespace(x0)
        return ShiftedState(x0, x0 if self.is_iterate else xp.zeros_like(x0) + xp.asarray(objective.center))

    def after(self, state: State | ShiftedState, x: Array, draw: Draw) -> State | ShiftedState:
        """Return the iterates, and the shifts after their coins."""
        if not isinstance(state, ShiftedState):
            return State(x)
        heads = draw.of("coin", Coin(self.probability)).heads[:, None]
        return ShiftedState(x, namespace(x).where(heads, x if self.variant == "b" else state.x, state.v))


@dataclass(frozen=True)
class Cycle(ShiftRule):
    """v is held for a cycle of τ gradient steps from x = v, which is one step of the method.

    Parameters
    ----------
    tau : int
        τ, at least 1.

    Raises
    ------
    ValueError
        If `tau` is below 1.
    """

    tau: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau", integer("tau", self.tau, 1))

    @classmethod
    def from_text(cls, argument: str) -> Self:
        """Return the rule that ``KEYWORD:TAU`` names."""
        return cls(read_number("tau", argument))  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        """For example ``held:8``."""
        return f"{self.keyword}:{self.tau}"

    @property
    def length(self) -> int:
        """τ."""
        return self.tau

    def first(self, objective: Objective, x0: Array) -> State:
        """Return the starting points, which are the first shifts."""
        return State(x0)

    def after(self, state: ShiftedState, x: Array, draw: Draw) -> ShiftedState:
        """Return the iterates within a cycle, and the shifts that are held."""
        return ShiftedState(x, state.v)


@dataclass(frozen=True)
class Held(Cycle):
    """v is held for a cycle of τ gradient steps from x = v, each with a fresh sketch, and then moves to the mean of them.

    One step of the method is one whole cycle: with v = x, x_0 = v and x_{k+1} = x_k − γS_kᵀ∇f(v + S_k(x_k − v)), it leads to
    x⁺ = (x_0 + … + x_{τ−1})/τ. The shift of the objective is where runs start unless told otherwise, and nothing else.

    Parameters
    ----------
    tau : int
        τ, at least 1.

    Raises
    ------
    ValueError
        If `tau` is below 1.

    References
    ----------
    This package.

    Examples
    --------
    >>> Held(8).name, Held(8).length
    ('shift held for 8 steps', 8)
    """

    keyword = "held"
    affine = True

    @property
    def name(self) -> str:
        """For example ``shift held for 8 steps``."""
        return f"shift held for {self.tau} steps"

    def step(self, once: Once, state: State, objective: Objective, draw: Draw) -> State:
        """Return the mean of the iterates of one cycle."""
        within, total = ShiftedState(state.x, state.x), state.x
        for k in range(self.tau - 1):
            within = once(within, draw.inner(k, self.tau))
            total = total + within.x
        return State(total / self.tau)


@dataclass(frozen=True)
class HeldSketch(Cycle):
    """v and S are held for a cycle of τ gradient steps from x = v, and then v moves to the model v + S(x − v) they trained.

    One step of the method is one whole cycle: with v = x, a sketch S, x_0 = v and x_{k+1} = x_k − γSᵀ∇f(v + S(x_k − v)), it
    leads to x⁺ = v + S(x_τ − v). This is training in a random subspace, or a chain of low-rank adapters.

    Parameters
    ----------
    tau : int
        τ, at least 1.

    Raises
    ------
    ValueError
        If `tau` is below 1.

    References
    ----------
    This package.

    Examples
    --------
    >>> HeldSketch(8).name
    'shift and sketch held for 8 steps'
    """

    keyword = "held-sketch"
    affine = True

    @property
    def name(self) -> str:
        """For example ``shift and sketch held for 8 steps``."""
        return f"shift and sketch held for {self.tau} steps"

    def step(self, once: Once, state: State, objective: Any, draw: Draw) -> State:
        """Return the models that one cycle trained."""
        batch = draw.of("sketch", objective.sketch)
        within = ShiftedState(state.x, state.x)
        for k in range(self.tau):
            within = once(within, draw.inner(k, self.tau, sketch=batch))
        return State(state.x + batch.apply(within.x - state.x))


ALL_SHIFT_RULES: tuple[type[ShiftRule], ...] = (FixedShift, Refreshed, Held, HeldSketch)
"""Every shift rule."""
