"""One description of an experiment: data, problem, sketch, shift, clients, method and step, read by every command.

A text, an option of the command line or a key of a grid becomes a field of `Spec`, and is refused there, before any work; a
`Spec` and a data set become objects (`Spec.objective_of`, `Spec.choose`), and nothing else builds them.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any, Self

import numpy as np

from mastsim.expected import Distributed, Mast, Objective
from mastsim.keywords import Settings, read_number, write_choice
from mastsim.memory import check_room
from mastsim.methods import Method
from mastsim.methods.families import method_names
from mastsim.problems import Dataset, Problem, family_for, load
from mastsim.problems import split as divide
from mastsim.problems.catalogue import DEFAULT_DATA
from mastsim.problems.families import AUTO, DEFAULT_CONDITION, problem_names
from mastsim.problems.least_squares import LeastSquares
from mastsim.problems.row_weights import column_of_weights, weights_for
from mastsim.provenance import content_hash
from mastsim.sketches import PermK, SelectionSketch, Sketch, Unmasked, parse_sketch
from mastsim.spec.fits import FITS
from mastsim.spec.keys import CHECKS, NUMBERS, OPTIONAL, named, read_method, read_problem, try_problem, words
from mastsim.stepsizes import AskedStep, ChosenStep, choose_step
from mastsim.validation import instance, one_of
from mastsim.vectors import read_vector
from mastsim.verification.own_module import OwnParts, load_parts

_VECTORS = 16
"""How many vectors of d numbers constants and a minimiser take at the least."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The description of an experiment, all of it plain values in one spelling.

    Parameters
    ----------
    data : str, default "breast-cancer"
        The data set, as `mastsim.load` takes it.
    target, standardise, positive, features, zero_based : str or None, bool, float or str or None, int or None, bool
        As in `mastsim.load`.
    module : str, optional
        A Python file with sketches, problems, methods and theorems of one's own; see `mastsim verify --module`.
    problem : str, default "auto"
        Keyword of a family of problems, perhaps with its settings: ``huber:delta=0.5``. Auto takes logistic regression where
        there are two distinct labels and least squares otherwise.
    problem_settings : mapping, default {}
        The same settings as a table, where `problem` is the keyword alone.
    l2, condition_number : float, optional
        λ ≥ 0 or κ_f > 1; κ_f = 100 when both are left out. λ = 1/(nC) for the C of scikit-learn.
    weights : str, optional
        What rows weigh, beside one another: ``balanced``, a weight for each label as in ``0:1,1:5``, ``column:NAME`` of a
        table, or a .npy or .csv file. All the same, or as the data set says, when left out.
    intercept : bool, default False
        Whether to add a coordinate, the last, that is neither penalised nor masked; sketches are then those that keep or
        drop coordinates.
    sketch : str, default "identity"
        The sketch, for example ``randk:0.1``.
    shift : str, default "zero"
        ``zero``, ``erm`` (the minimiser of f) or a .npy or .csv file.
    clients : int, optional
        Number of clients among whom the data are divided.
    split : {"iid", "label"}, default "iid"
        How they are divided.
    method : str, optional
        Keyword of a method, perhaps with its settings: ``page:probability=0.1,sketches=2``.
    settings : mapping, default {}
        The same settings as a table, where `method` is the keyword alone.
    stepsize : float or str, default "theory"
        A number; ``theory`` or ``sharp``, perhaps with a factor, ``0.5*theory``; or a rule that starts from one of these,
        ``harmonic:theory:0.01``.

    Raises
    ------
    ValueError
        If a value is not accepted, or two do not go together; the message names the key, the value and what is accepted.
    TypeError
        If a value is of the wrong type.

    References
    ----------
    This package.

    Examples
    --------
    >>> spec = Spec(data="synthetic:n=20,d=4", sketch="randk:0.50", method="page:probability=0.5", stepsize="1.0*theory")
    >>> spec.sketch, spec.method, spec.settings, spec.stepsize, spec.condition_number
    ('randk:0.5', 'page', (('probability', 0.5),), 'theory', 100.0)
    >>> spec == Spec(**spec.record()) == Spec.from_text(spec.text)
    True
    """

    data: str = DEFAULT_DATA
    target: str | None = None
    standardise: bool = False
    positive: float | str | None = None
    features: int | None = None
    zero_based: bool = False
    module: str | None = None
    problem: str = AUTO
    problem_settings: Settings = ()
    l2: float | None = None
    condition_number: float | None = None
    weights: str | None = None
    intercept: bool = False
    sketch: str = "identity"
    shift: str = "zero"
    clients: int | None = None
    split: str = "iid"
    method: str | None = None
    settings: Settings = ()
    stepsize: float | str = "theory"

    def __post_init__(self) -> None:
        for key, check in CHECKS.items():
            value = getattr(self, key)
            if value is not None or key not in OPTIONAL:
                object.__setattr__(self, key, named(key, value, check))
        if self.l2 is not None and self.condition_number is not None:
            both = f"l2={self.l2:g} and condition_number={self.condition_number:g}"
            raise ValueError(f"{both} are not accepted together: exactly one of the two may be given")
        if self.l2 is None and self.condition_number is None:
            object.__setattr__(self, "condition_number", DEFAULT_CONDITION)
        self._set_choice("problem", "problem_settings", partial(read_problem, own=self.own.families))
        try_problem(self._family, self.problem_settings, self.l2, self.condition_number)
        if self.method is None:
            if self.settings:
                raise ValueError(f"settings={dict(self.settings)} is not accepted without a method")
            object.__setattr__(self, "settings", ())
            return
        self._set_choice("method", "settings", partial(read_method, own=self.own.method_kinds))
        _check_nodes(self.kind, self.clients)

    def _set_choice(self, key: str, settings: str, read: Callable[[Any], tuple[str, Settings]]) -> None:
        """Set a keyword and its settings from a text, or from a keyword and a table."""
        given, table = getattr(self, key), dict(getattr(self, settings))
        keyword, found = read({"name": given, **table} if table else given)
        object.__setattr__(self, key, keyword)
        object.__setattr__(self, settings, found)

    @property
    def own(self) -> OwnParts:
        """The parts of the module, none where there is no module."""
        return OwnParts() if self.module is None else load_parts(self.module)

    @property
    def _family(self) -> Any:
        """The family of problems; that of least squares where the labels decide."""
        return LeastSquares if self.problem == AUTO else (problem_names() | self.own.families)[self.problem]

    @property
    def kind(self) -> type[Method]:
        """The class of the method."""
        assert self.method is not None
        return (method_names() | self.own.method_kinds)[self.method]

    @cached_property
    def key(self) -> str:
        """SHA-256 of the description and of nothing else: not of the version, nor of where or when it is carried out."""
        return content_hash(self.record())

    def record(self) -> dict[str, Any]:
        """Return the description as a JSON-able dictionary; ``Spec(**record)`` is the description again."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return plain | {"problem_settings": dict(self.problem_settings), "settings": dict(self.settings)}

    @property
    def text(self) -> str:
        """The description as options of the command line."""
        values = {name: getattr(self, name) for name in ("data", *CHECKS)}
        values |= {"problem": write_choice(self.problem, self.problem_settings)}
        values |= {"method": self.method and write_choice(self.method, self.settings)}
        words = [
            f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
            for name, value in values.items()
            if value is not None and value is not False
        ]
        return shlex.join(words)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the description that options of the command line give, ``--key=value`` each.

        Parameters
        ----------
        text : str
            As `text` writes it.

        Raises
        ------
        ValueError
            If an option or a value is not accepted.
        """
        given: dict[str, Any] = {}
        for word in words(text):
            name, equals, value = word.partition("=")
            key = name.removeprefix("--").replace("-", "_")
            one_of("option", key, ["problem", "method", *CHECKS])
            if key in given:
                raise ValueError(f"option {name} is given twice")
            given[key] = read_number(key, value) if key in NUMBERS else value if equals else True
        return cls(**given)

    def about_objective(self) -> Spec:
        """Return the description of the objective alone: without method and step size."""
        kept = {field.name: getattr(self, field.name) for field in fields(Spec)}
        return Spec(**kept | {"method": None, "settings": (), "stepsize": Spec.stepsize})

    def load(self) -> Dataset:
        """Return the data set, labels as they stand in the file."""
        table: dict[str, Any] = {"target": self.target, "standardise": self.standardise, "weights": self.weights_column}
        return load(self.data, features=self.features, zero_based=self.zero_based, **table)

    def fit(self, data: Dataset) -> None:
        """Refuse data that the description does not fit, before anything is computed of them.

        Parameters
        ----------
        data : Dataset
            The data.

        Raises
        ------
        ValueError
            If labels, dimension or number of rows do not fit.
        """
        instance("data", data, Dataset)
        for part in FITS:
            part.check(self, data)

    @property
    def weights_column(self) -> str | None:
        """The column of the weights of the rows, where it is one of the table."""
        return column_of_weights(self.weights)

    def problem_of(self, data: Dataset) -> tuple[Dataset, Any]:
        """Return the data with the labels that the problem is about, and the problem f.

        Parameters
        ----------
        data : Dataset
            The data.
        """
        instance("data", data, Dataset)
        labelled, family = family_for(data, self.problem, self.positive, self.own.families)
        return labelled, self._built(family, labelled.A, labelled.y, weights_for(self.weights, labelled))

    def problem_on(self, A: Any, y: np.ndarray) -> Any:
        """Return the problem f on rows and labels as its loss takes them.

        Parameters
        ----------
        A : array or scipy.sparse matrix, shape (n, dim)
            One row a data point.
        y : array, shape (n,)
            Labels.

        Raises
        ------
        ValueError
            If the labels were to decide the problem, or an array does not fit.

        Examples
        --------
        >>> Spec(problem="huber:0.5", l2=0.1).problem_on(np.eye(2), np.ones(2)).delta
        0.5
        """
        if self.problem == AUTO:
            raise ValueError(f"problem='auto' is not accepted here: it must be one of {', '.join(problem_names())}")
        if self.weights_column is not None:
            raise ValueError(f"weights={self.weights!r} is not accepted here: rows and labels alone have no columns")
        return self._built(self._family, A, y, weights_for(self.weights, Dataset("rows", A, y, "", "", copy=False)))

    def _built(self, family: Any, A: Any, y: np.ndarray, weights: Any) -> Any:
        """Return a problem of a family."""
        options = {"l2": self.l2, "condition_number": self.condition_number, "intercept": self.intercept}
        return family(A, y, weights=weights, **options, **dict(self.problem_settings))

    def sketch_in(self, dim: int) -> Sketch:
        """Return the sketch in the dimension of the problem; an intercept, the last coordinate, is not masked.

        Parameters
        ----------
        dim : int
            The dimension of f, intercept included.

        Raises
        ------
        ValueError
            If the sketch does not fit the dimension, or does not leave an intercept alone.
        """
        masked = dim - self.intercept
        found = self.own.sketch(self.sketch, masked) or parse_sketch(self.sketch, masked)
        if not self.intercept:
            return found
        if not isinstance(found, SelectionSketch) or isinstance(found, PermK):
            raise ValueError(
                f"sketch={self.sketch!r} is not accepted with intercept: it must keep or drop coordinates, as bernoulli, "
                "randk, nofm and block-bernoulli do, so that the intercept can be left unmasked"
            )
        return Unmasked(found)

    def objective_of(self, data: Dataset) -> tuple[Dataset, Objective]:
        """Return the data with the labels that the problem is about, and the objective f_D.

        Parameters
        ----------
        data : Dataset
            The data.

        Raises
        ------
        ValueError
            If the data do not fit the description, or what is computed of them does not fit in memory.
        """
        instance("data", data, Dataset)
        check_room("what is computed of data of d features", _VECTORS, data.d, change="use data of fewer features")
        self.fit(data)
        labelled, f = self.problem_of(data)
        S, v = self.sketch_in(f.dim), self._shift_of(f)
        if self.clients is None:
            return labelled, Mast(f, S, shift=v)
        return labelled, Distributed(divide(f, self.clients, by=self.split), S, shift=v)

    def _shift_of(self, f: Problem) -> np.ndarray | None:
        """Return the shift v."""
        if self.shift == "zero":
            return None
        return f.minimize().x if self.shift == "erm" else read_vector("shift", self.shift, f.dim)

    def choose(self, objective: Any, steps: int) -> ChosenStep:
        """Return the method with its step size, where that comes from, and the theorem whose bound holds.

        Parameters
        ----------
        objective : Objective
            The objective.
        steps : int
            Number of steps planned; it changes the step size of theorems about that many steps, and never the theorem.

        Raises
        ------
        ValueError
            If there is no method, its settings do not fit, or no theorem gives the step size that is asked for.
        """
        asked, trial = AskedStep.read(self.stepsize), self.trial(objective)
        return choose_step(asked, trial, objective, steps, also=self.own.theorems)

    def trial(self, objective: Any) -> Method:
        """Return the method with all its settings but the step size, which is 1.

        Parameters
        ----------
        objective : Objective
            The objective.

        Raises
        ------
        ValueError
            If there is no method, or its settings do not fit.
        """
        instance("objective", objective, Objective)
        if self.method is None:
            raise ValueError(f"method=None is not accepted: it must be one of {', '.join(method_names())}")
        trial = self.kind.from_settings(1.0, self.settings, objective.problem)
        if (ready := self.own.method(self.method)) is not None:
            known = self.kind.settings()
            given = {known[name].field: getattr(trial, known[name].field) for name, _ in self.settings}
            trial = replace(ready, stepsize=1.0, **given)
        for node in objective.nodes:
            trial.check(node.problem)
        return trial


def _check_nodes(kind: type[Method], clients: int | None) -> None:
    """Refuse a method that is for clients where there are none, or the other way round."""
    if kind.nodes == "many" and clients is None:
        raise ValueError(f"method {kind.keyword!r} needs the grid key 'clients', which is --clients M on the command line")
    if kind.nodes == "one" and clients is not None:
        others = [name for name, other in method_names().items() if other.nodes != "one"]
        named = " or ".join(f"--method {name}" for name in reversed(others))
        raise ValueError(f"method {kind.keyword!r} is not for clients={clients}: use {named}, or leave clients out")
