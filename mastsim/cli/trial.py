"""The command that puts theorems on trial: verify, with attacks and the replay of witnesses."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mastsim.cli import listings
from mastsim.cli.listings import Naming
from mastsim.cli.options import JSON, MODULE, READING, SEED, options
from mastsim.cli.output import emit, label_lines
from mastsim.cli.program import main
from mastsim.cli.streams import say, shows_progress
from mastsim.cli.values import FILE, FOLDER, INPUT, WHOLE

if TYPE_CHECKING:
    from mastsim.theorems import Theorem
    from mastsim.verification.own_module import OwnParts


@main.command(listed=("Theorems", "Sketches"))
@options(*READING, MODULE, SEED, JSON)
@click.option(
    "--theorem",
    "theorems",
    cls=Naming,
    names=listings.theorems,
    multiple=True,
    metavar="ID",
    help="Only this theorem; may be repeated.",
)
@click.option(
    "--sketch",
    "sketches",
    cls=Naming,
    names=listings.sketches,
    multiple=True,
    metavar="S",
    help="Sketch for the data; may be repeated.",
)
@click.option("--quick", is_flag=True, help="Fewer points and steps.")
@click.option("--workers", type=WHOLE, help="Processes that share the work  [default: one a processor]")
@click.option("--report", type=FOLDER, metavar="DIR", help="Write an HTML report.")
@click.option(
    "--attack",
    cls=Naming,
    names=listings.attackable,
    metavar="ID",
    help="Search for a counterexample to this record instead.",
)
@click.option("--budget", type=WHOLE, default=5000, show_default=True, help="Evaluations that an attack makes.")
@click.option("--witness", type=FILE, metavar="FILE", help="Save the attack's witness.")
@click.option("--replay", type=INPUT, metavar="FILE", help="Confirm a saved witness.")
@click.option("--pages", type=FOLDER, metavar="DIR", help="Write a page per theorem.")
def verify(
    data: str,
    target: str | None,
    positive: str | None,
    features: int | None,
    zero_based: bool,
    module: Path | None,
    seed: int,
    json_to: str | None,
    theorems: tuple[str, ...],
    sketches: tuple[str, ...],
    quick: bool,
    workers: int | None,
    report: Path | None,
    pages: Path | None,
    attack: str | None,
    budget: int,
    witness: Path | None,
    replay: Path | None,
) -> None:
    """Put the theorems on trial; exit 0 when every verdict is as expected, 1 otherwise, 2 on bad input."""
    own = _own(module)
    if attack is not None or replay is not None:
        _attack(attack, replay, own.theorems, seed, budget, witness, json_to)
    from mastsim.documents import header
    from mastsim.parallel import thread_count
    from mastsim.problems import family_for, load
    from mastsim.verification import FAMILY_ALPHA, FULL, QUICK, SuiteInterrupted, as_expected, run_suite
    from mastsim.verification.report import table, write_report
    from mastsim.verification.theorem_pages import write_pages

    dataset, _ = family_for(load(data, target=target, features=features, zero_based=zero_based), "auto", positive)
    checks = _checks(own)
    effort, also = QUICK if quick else FULL, own.theorems
    try:
        drawn = tuple(own.sketch(text, dataset.d) or text for text in sketches)
        count = thread_count() if workers is None else workers
        verdicts = run_suite(dataset, drawn, theorems, seed, effort, shows_progress(), also, count)
    except SuiteInterrupted as stop:
        # A part is printed as one, and written nowhere.
        say(table(stop.verdicts, str(stop)), err=json_to == "-")
        raise
    fine = as_expected(verdicts) and all(check["fine"] for check in checks)
    document = header(dataset, seed) | {
        "all_as_expected": fine,
        "alpha": FAMILY_ALPHA,
        "checks": checks,
        "results": [verdict.record() for verdict in verdicts],
    }
    writes: list[Callable[[], object]] = [] if report is None else [lambda: write_report(report, verdicts, document, also)]
    if pages is not None:
        chosen = f"{'' if positive is None else f' --positive {shlex.quote(positive)}'}{' --quick' if quick else ''}"
        mine = "" if module is None else f" --module {module.name}"
        how = f"mastsim verify --data {data} --seed {seed}{chosen}{mine}"
        writes.append(lambda: write_pages(pages, verdicts, how, also))
    emit(
        document, json_to, "\n".join([*label_lines(dataset), *(check["text"] for check in checks), table(verdicts)]), *writes
    )
    sys.exit(0 if fine else 1)


def _own(module: Path | None) -> OwnParts:
    from mastsim.verification.own_module import OwnParts, load_parts

    return OwnParts() if module is None else load_parts(module)


def _checks(own: OwnParts) -> list[dict[str, Any]]:
    """Check one's own sketches, problems, losses and methods, and return what was found wrong with each, if anything."""
    from mastsim import testing
    from mastsim.verification.own_module import members

    kinds: tuple[tuple[Any, Callable[[Any], object]], ...] = (
        (own.sketches, testing.check_sketch),
        (own.problems, testing.check_problem),
        (own.losses, testing.check_loss),
        (own.methods, testing.check_method),
    )
    found: list[dict[str, Any]] = []
    for parts, check in kinds:
        for part in parts:
            found += [_checked(member, check) for member in members(part)]
    return found


def _checked(part: Any, check: Callable[[Any], object]) -> dict[str, Any]:
    """Return what a check finds of a part."""
    facts = {"part": part.name, "check": check.__name__}
    try:
        report = check(part)
    except AssertionError as failure:
        return facts | {"fine": False, "text": str(failure)}
    text = f"{part.name}: {check.__name__} finds nothing wrong" if report is None else str(report)
    return facts | {"fine": True, "text": text}


def _attack(
    name: str | None,
    saved: Path | None,
    own: tuple[type[Theorem], ...],
    seed: int,
    budget: int,
    witness: Path | None,
    json_to: str | None,
) -> NoReturn:
    """Attack a record, or replay a witness; exit 0 when the outcome is the one the registry expects."""
    from mastsim.validation import one_of
    from mastsim.verification.attack import AttackInterrupted, attack, attackable, replay
    from mastsim.verification.attack.false_variants import ALL_FALSE

    known = attackable(own)
    kind = None if name is None else known[one_of("theorem", name, known)]
    try:
        if kind is None:
            assert saved is not None
            found = replay(saved, own)
        else:
            found = attack(kind, seed=seed, budget=budget, progress=shows_progress())
    except AttackInterrupted as stop:
        say(f"{stop}\n{stop.attack.witness}", err=json_to == "-")
        if witness is not None and stop.attack.witness is not None:
            stop.attack.save(witness)
        raise
    kind = known[found.theorem]
    false = kind.status == "refuted as quoted" or kind in ALL_FALSE
    writes = [] if witness is None else [lambda: found.save(witness)]
    emit(found.record(), json_to, f"{found}\n{found.witness}", *writes)
    sys.exit(0 if (found.verdict == "refuted") == false else 1)
