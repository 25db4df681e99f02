"""What the options of the command line stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mastsim import advice, methods
from mastsim.expected import Distributed, Mast, Objective
from mastsim.methods import Method
from mastsim.problems import Dataset, LeastSquares, LogisticRegression, Problem, load
from mastsim.problems import split as divide
from mastsim.run import DEFAULT_MEASURES
from mastsim.sketches import parse_sketch
from mastsim.theorems import Rate
from mastsim.validation import STEPS, number, positive

DEFAULT_CONDITION = 100.0
"""κ_f where neither it nor λ is given, as in Section 5 of the paper."""


def objective(
    data: str,
    sketch: str,
    shift: str,
    problem: str,
    l2: float | None,
    condition_number: float | None,
    clients: int | None = None,
    split: str = "iid",
) -> tuple[Dataset, Objective]:
    """Return the data and the objective that the options name."""
    dataset = load(data)
    two_labels = bool(np.isin(dataset.y, (-1.0, 1.0)).all())
    family = LogisticRegression if problem == "logistic" or (problem == "auto" and two_labels) else LeastSquares
    kappa = DEFAULT_CONDITION if l2 is None and condition_number is None else condition_number
    f = family(dataset.A, dataset.y, l2=l2, condition_number=kappa)
    S = parse_sketch(sketch, f.dim)
    v = shift_point(shift, f)
    if clients is None:
        return dataset, Mast(f, S, shift=v)
    return dataset, Distributed(divide(f, clients, by=split), S, shift=v)


def shift_point(shift: str, f: Problem) -> np.ndarray | None:
    """Return the shift v that a text names: zero, erm or a .npy file."""
    if shift == "zero":
        return None
    if shift == "erm":
        return f.minimize().x
    if not Path(shift).is_file():
        raise ValueError(f"shift={shift!r} is not accepted: it must be zero, erm or an existing .npy file")
    return np.load(shift, allow_pickle=False)


def method_and_claim(name: str, stepsize: str, steps: int, size: int | None, F: Objective) -> tuple[Method, Rate | None]:
    """Return the method of a class name and a step size, and the theorem whose bound covers it, if one does."""
    kind = getattr(methods, name)
    check_clients(kind.__name__, F)
    sampling = advice.minibatch(size)
    if sampling is not None and not issubclass(kind, methods.StochasticMethod):
        raise ValueError(f"minibatch={size} is not accepted: {kind.__name__} takes exact gradients")
    settings = {} if sampling is None else {"sampling": sampling}
    theorem = advice.covering(F, kind.__name__, steps, sampling, stepsize == "sharp")
    if stepsize not in ("theory", "sharp"):
        gamma = positive("stepsize", number("stepsize", stepsize, "theory, sharp or a number"), STEPS)
        return kind(gamma, **settings), theorem if theorem and gamma <= theorem.stepsize * (1 + 1e-12) else None
    if kind is methods.GD:
        smoothness = F.smoothness.value if stepsize == "sharp" else F.inherited_smoothness
        return methods.GD(1 / smoothness), None
    if theorem is None:
        raise ValueError(f"stepsize={stepsize!r} is not accepted: no theorem covers {kind.__name__} here; pass a number")
    return kind(theorem.stepsize, **settings), theorem


def check_clients(method: str, F: Objective) -> None:
    """Refuse a method that does not fit one node, or several."""
    if method == "DistributedDSGD" and not isinstance(F, Distributed):
        raise ValueError("method='distributed' needs clients: pass --clients M")
    if isinstance(F, Distributed) and method not in ("DistributedDSGD", "GD"):
        raise ValueError(f"clients={len(F.clients)} is not accepted with {method}: use --method distributed")


def measures(claim: Rate | None) -> tuple[str, ...]:
    """Return what a run records so that a theorem can be held against it."""
    return DEFAULT_MEASURES if claim is None or claim.measure != "error" else (*DEFAULT_MEASURES, "error")
