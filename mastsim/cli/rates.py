"""The command that measures how fast methods converge: rates."""

from __future__ import annotations

import sys
from typing import Any

import click

from mastsim.cli.options import CLIENTS, CONDITION, JSON, L2, PROBLEM, READING, SEED, SHIFT, SPLIT, STANDARDISE, options
from mastsim.cli.output import emit, label_lines
from mastsim.cli.program import main
from mastsim.cli.streams import say
from mastsim.cli.values import NUMBER, WHOLE

_SKETCH = click.option(
    "--sketch", default="randk:0.5", show_default=True, metavar="S", help="identity, randk:KEEP, bernoulli:KEEP, haar:K, …"
)


@main.command()
@options(*READING, STANDARDISE, _SKETCH, SHIFT, PROBLEM, L2, CONDITION, CLIENTS, SPLIT)
@click.option("--replicas", type=WHOLE, default=64, show_default=True, help="Replicas of a measurement, at least 16.")
@click.option("--alpha", type=NUMBER, default=0.01, show_default=True, help="Error probability of all verdicts together.")
@options(SEED, JSON)
def rates(json_to: str | None, seed: int, replicas: int, alpha: float, **what: Any) -> None:
    """Measure factors, exponents and slopes of floors of every method, beside the claimed orders."""
    from mastsim.documents import header
    from mastsim.empirical_rates import measure_rates
    from mastsim.problems import family_for
    from mastsim.spec import Spec

    spec = Spec(**what)
    data = spec.load()
    dataset = family_for(data, spec.problem, spec.positive)[0]
    shown = sys.stderr.isatty()
    tell = (lambda name: say(f"measuring {name}", err=True)) if shown else None
    found = measure_rates(spec, data=data, seed=seed, replicas=replicas, alpha=alpha, progress=tell)
    document = header(dataset, seed) | {"spec": spec.record(), "alpha": alpha, "replicas": replicas}
    document |= {"tiers": {"exact": "exact", "asymptotic": "estimate"}, "rates": found.record()}
    document["not_measured"] = [{"what": name, "reason": why} for name, why in found.refused]
    head = [f"{spec.text}: error probability of all verdicts together at most {alpha:g}", *label_lines(dataset)]
    emit(document, json_to, "\n".join([*head, "", str(found)]))
    sys.exit(1 if any(fit.verdict == "not consistent" for fit in found) else 0)
