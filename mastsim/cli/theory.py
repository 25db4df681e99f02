"""The commands that compute what the theory promises: constants, stepsize."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mastsim.cli.options import (
    JSON,
    METHOD,
    METHOD_HELP,
    MINIBATCH,
    MODULE,
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
    from mastsim.advice import Guarantee
    from mastsim.expected import Objective
    from mastsim.spec import Spec


@main.command()
@options(*OBJECTIVE, JSON)
def constants(json_to: str | None, **what: Any) -> None:
    """Print every constant of the theory, with its tier of truth."""
    from mastsim.constants import Constants
    from mastsim.spec import Spec
    from mastsim.tables import aligned_table

    spec = Spec(**what)
    dataset, F = spec.objective_of(spec.load())
    found = Constants(F)
    document = about(spec, dataset, None, F) | {"constants": {name: c.record() for name, c in found.items()}}
    rows = [[name, c.text, c.kind, c.source] for name, c in found.items()]
    head = [F.name, *label_lines(dataset), f"f_D by {F.evaluation.name}: {F.evaluation.reason}"]
    emit(document, json_to, "\n".join([*head, "", aligned_table(["constant", "value", "tier", "source"], rows)]))


@main.command()
@options(*OBJECTIVE, MODULE, MINIBATCH, STEPSIZE, STEPS, JSON)
@click.option("--method", help=f"{METHOD_HELP}; by default dsgd, with clients distributed", **METHOD)
@click.option("--accuracy", type=NUMBER, metavar="EPS", help="Value of each measure aimed at  [default: 1 % of the start's]")
def stepsize(
    json_to: str | None,
    module: Path | None,
    accuracy: float | None,
    method: str | None,
    minibatch: int | None,
    steps: int,
    **what: Any,
) -> None:
    """List every guarantee: the largest step it allows, its rate and radius, and the steps to an accuracy."""
    from mastsim import advice
    from mastsim.spec import Spec
    from mastsim.validation import integer
    from mastsim.verification.own_module import load_parts

    steps = integer("steps", steps, 1)
    usual = "dsgd" if what["clients"] is None else "distributed"
    spec = Spec(**what, method=with_minibatch(method or usual, minibatch))
    dataset, F = spec.objective_of(spec.load())
    trial, also = spec.trial(F), load_parts(module).theorems if module else ()
    found = advice.guarantees(F, accuracy, advice.minibatch(minibatch), trial if spec.settings else None, also=also)
    step = _step(spec, F, steps)
    document = about(spec, dataset, None, F) | {"step": step, "stepsize": [each.record() for each in found]}
    said = f"γ = {step['value']:.6g}" if step["value"] is not None else "none"
    head = [F.name, *label_lines(dataset), f"{trial.name}, {step['asked']} step: {said}, {step['source']}"]
    emit(document, json_to, _guarantee_text(head, found))


def _step(spec: Spec, F: Objective, steps: int) -> dict[str, Any]:
    """Return the step that a method takes, or why there is none."""
    try:
        return dict(spec.choose(F, steps).record())
    except ValueError as refusal:
        return {"asked": spec.stepsize, "value": None, "theorem": None, "source": str(refusal)}


def _guarantee_text(head: list[str], found: list[Guarantee]) -> str:
    """Return the guarantees that apply as a table, and below it why the others do not."""
    from mastsim.tables import aligned_table

    columns, numbers = ("theorem", "bounds"), ("step", "sharp step", "rate", "radius", "steps")
    rows = []
    for each in found:
        if each.applies:
            name = f"{each.theorem} [{each.settings}]" if each.settings else each.theorem
            rate = "1/T" if each.rate != each.rate else f"{each.rate:.8g}"
            steps = [f"{each.stepsize:.4g}", f"{each.stepsize_sharp:.4g}"]
            rows.append(
                [name, f"{each.over} {each.measure}", *steps, rate, f"{each.radius:.4g}", f"{each.steps_to_accuracy:.4g}"]
            )
    table = aligned_table([*columns, *numbers], rows, right=numbers)
    refused = [f"{each.theorem}: no, {each.reason}" for each in found if not each.applies]
    return "\n".join([*head, "", table, "", *refused])
