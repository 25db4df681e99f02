"""All measurements, in order, as one document."""

import importlib.metadata
import importlib.util
import sys
import time
from pathlib import Path

from benchmarks.speed import exact, growth, processes, report
from benchmarks.speed.contest import Effort, contest
from benchmarks.speed.mastsim_forms import THREADS
from benchmarks.speed.work import table
from benchmarks.timing import machine
from mastsim.documents import dumps, header

PACKAGES = ("numpy", "scipy", "numba", "torch", "jax")


def libraries(without):
    """Return which of PyTorch and JAX take part; one that is not installed is named on stderr."""
    taking_part = [name for name in ("torch", "jax") if name not in without]
    for name in taking_part:
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed and does not take part; pip install 'mastsim[bench]'", file=sys.stderr)
    return tuple(name for name in taking_part if importlib.util.find_spec(name) is not None)


def main(options):
    """Measure, print Markdown, write JSON."""
    taking_part = libraries(options.without)
    effort = Effort(0.03, 3, taking_part, compiled=False) if options.quick else Effort(0.35, 7, taking_part)
    document = measured(effort, options.quick, options.only)
    print(report.markdown(document))
    if options.out:
        Path(options.out).write_text(dumps(document) + "\n", encoding="utf-8")


def measured(effort, quick, only):
    """Return every number of the report."""
    begin = time.perf_counter()

    def say(what):
        print(f"[{time.perf_counter() - begin:5.0f} s] {what}", file=sys.stderr, flush=True)

    name, works = table(quick)
    works = [work for work in works if only in work.title]
    if not works:
        raise SystemExit(f"--only {only!r} matches no row: {', '.join(work.title for work in table(quick)[1])}")
    ceilings = growth.ceilings(3 * effort.rounds)
    rows = []
    for work in works:
        say(work.title)
        row = contest(work, effort)
        say("  " + ", ".join(f"{name} {cell['rate']['median']:.3g}" for name, cell in row["columns"].items()))
        rate = row["columns"]["mastsim"]["rate"]["median"]
        rows.append(row | {"fractions": growth.fractions(work, rate, ceilings)})
    say("one replica, growth, precision, exact expectation, processes")
    document = header(None, 2) | {"data_name": name, "machine": facts(), "quick": quick, "rows": rows, "ceilings": ceilings}
    document |= {
        "growth": {} if quick else growth.growth(effort),
        "float32": None if quick else growth.precision(works[0], effort),
        "exact": exact.error_ratio(),
        "memory": processes.memory(10_000 if quick else 100_000),
        "one_replica": growth.one_replica(effort),
    }
    say("done")
    return document


def facts():
    """Return what the numbers depend on."""
    found = {name: version(name) for name in PACKAGES}
    return {"words": machine(), "threads": THREADS, "versions": found}


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
