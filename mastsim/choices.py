"""What the options of the command line stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mastsim import advice, methods
from mastsim.expected import Distributed, Mast, Objective
from mastsim.memory import check_room
from mastsim.methods import Method
from mastsim.problems import Dataset, Problem, family_for, load
from mastsim.problems import split as divide
from mastsim.run import DEFAULT_MEASURES
from mastsim.sketches import parse_sketch
from mastsim.theorems import Rate
from mastsim.validation import STEPS, number, positive
from mastsim.vectors import read_vector

_VECTORS = 16
"""How many vectors of d numbers constants and a minimiser take at the least."""
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
    positive: float | None = None,
    features: int | None = None,
    zero_based: bool = False,
) -> tuple[Dataset, Objective]:
    """Return the data and the objective that the options name."""
    read = load(data, features=features, zero_based=zero_based)
    check_room("what is computed of data of d features", _VECTORS, read.d, change="use data of fewer features")
    dataset, family = family_for(read, problem, positive)
    kappa = DEFAULT_CONDITION if l2 is None and condition_number is None else condition_number
    f = family(dataset.A, dataset.y, l2=l2, condition_number=kappa)
    S = parse_sketch(sketch, f.dim)
    v = shift_point(shift, f)
    if clients is None:
        return dataset, Mast(f, S, shift=v)
    return dataset, Distributed(divide(f, clients, by=split), S, shift=v)


def shift_point(shift: str, f: Problem) -> np.ndarray | None:
    """Return the shift v that a text names: zero, erm or a .npy or .csv file."""
    if shift == "zero":
        return None
    if shift == "erm":
        return f.minimize().x
    if not Path(shift).is_file():
        raise ValueError(f"shift={shift!r} is not accepted: it must be zero, erm or an existing .npy or .csv file")
    return read_vector("shift", shift, f.dim)


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
