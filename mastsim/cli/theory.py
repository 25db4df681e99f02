"""The commands that compute what the theory promises: constants, stepsize."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mastsim.cli.options import (
    JSON,
    METHOD,
    METHOD_HELP,
    MINIBATCH,
    OBJECTIVE,
    STEPS,
    STEPSIZE,
    options,
    with_minibatch,
)
from mastsim.cli.output import about, emit, label_lines
from mastsim.cli.program import main
from mastsim.cli.values import NUMBER

if TYPE_CHECKING:
    from mastsim.expected import Objective
    from mastsim.spec import Spec


@main.command(listed=("Sketches", "Losses"))
@options(*OBJECTIVE, JSON)
def constants(json_to: str | None, **what: Any) -> None:
    """Print every constant of the theory, with what is promised of it."""
    from mastsim.constants import Constants
    from mastsim.spec import Spec
    from mastsim.tables import aligned_table

    spec = Spec(**what)
    dataset, F = spec.objective_of(spec.load())
    found = Constants(F)
    document = about(spec, dataset, None, F) | {"constants": {name: c.record() for name, c in found.items()}}
    rows = [[name, c.text, c.kind, c.source] for name, c in found.items()]
    head = [F.name, *label_lines(dataset), f"f_D by {F.evaluation.name}: {F.evaluation.reason}"]
    emit(document, json_to, "\n".join([*head, "", aligned_table(["constant", "value", "kind", "source"], rows)]))


@main.command(listed=("Methods", "Sketches", "Losses"))
@options(*OBJECTIVE, MINIBATCH, STEPSIZE, STEPS, JSON)
@click.option("--method", help=f"{METHOD_HELP}; only theorems about it are listed, all by default", **METHOD)
@click.option("--accuracy", type=NUMBER, metavar="EPS", help="Value of each measure aimed at  [default: 1 % of the start's]")
def stepsize(
    json_to: str | None,
    accuracy: float | None,
    method: str | None,
    minibatch: int | None,
    steps: int,
    **what: Any,
) -> None:
    """Say what step to take and what it buys; list every guarantee beside it, by what it bounds."""
    from mastsim import advice
    from mastsim.guarantee import guarantee_table
    from mastsim.spec import Spec
    from mastsim.validation import integer

    steps = integer("steps", steps, 1)
    usual = "dsgd" if what["clients"] is None else "distributed"
    spec = Spec(**what, method=with_minibatch(usual if method is None else method, minibatch))
    dataset, F = spec.objective_of(spec.load())
    trial, also = spec.trial(F), spec.own.theorems
    only = None if method is None else trial if spec.settings else type(trial)
    found = advice.guarantees(F, accuracy, advice.minibatch(minibatch), only, also=also)
    step = _step(spec, F, steps)
    theorem = advice.covering(F, trial, steps, sharp=False, also=also)
    answer = None if theorem is None else advice.guarantee_of(theorem, accuracy).sentence
    document = about(spec, dataset, None, F) | {
        "answer": answer,
        "step": step,
        "stepsize": [each.record() for each in found],
    }
    said = f"γ = {step['value']:.6g}" if step["value"] is not None else "none"
    head = [answer or f"{trial.name}: no theorem covers it here", F.name, *label_lines(dataset)]
    head += [f"{trial.name}, {step['asked']} step: {said}, {step['source']}"]
    emit(document, json_to, "\n".join([*head, "", guarantee_table(found)]))


def _step(spec: Spec, F: Objective, steps: int) -> dict[str, Any]:
    """Return the step that a method takes, or why there is none."""
    try:
        return dict(spec.choose(F, steps).record())
    except ValueError as refusal:
        return {"asked": spec.stepsize, "value": None, "theorem": None, "source": str(refusal)}
