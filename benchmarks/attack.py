"""Attack every theorem and every false variant from random starts, and print what was found as a table.

Usage: ``python benchmarks/attack.py [--budget N] [--seed N] [--only ID …] [--save FOLDER]``; the default takes minutes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from mastsim import theorems
from mastsim.verification.attack import Attack, attack
from mastsim.verification.attack.false_variants import ALL_FALSE

BUDGETS = {"theorem6-quoted": 20_000, "theorem4/sketched-gap": 10_000, "theorem2/naive-sharp-step": 10_000}
"""Evaluations for what is harder to refute than the rest."""
EQUALITIES = (("theorem2", "interpolation"), ("theorem2", "noise"), ("theorem2-convex", "noise"), ("sgd", "interpolation"))


def row(name: str, found: Attack, seconds: float) -> str:
    """Return one line of the table."""
    return (
        f"| {name} | {found.verdict} | {found.largest:.10g} | {found.ratio:.6g} | {found.evaluations} | {seconds:.0f} "
        f"| {found.evaluations / seconds:.0f} |"
    )


def main() -> None:
    """Run the attacks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    print("| record | verdict | largest left/right | of the witness | evaluations | seconds | per second |")
    print("|---|---|---|---|---|---|---|")
    jobs = [(kind.id, kind.id, {}) for kind in (*ALL_FALSE, *theorems.ALL)]
    jobs += [(f"{name}, {regime} only", name, {"regimes": (regime,)}) for name, regime in EQUALITIES]
    for label, name, settings in jobs:
        if options.only and label not in options.only:
            continue
        start = time.perf_counter()
        budget = max(BUDGETS.get(name, 0), options.budget)
        found = attack(name, seed=options.seed, budget=budget, **settings)  # type: ignore[arg-type]
        print(row(label, found, time.perf_counter() - start), flush=True)
        if options.save:
            options.save.mkdir(parents=True, exist_ok=True)
            found.save(options.save / f"{label.replace('/', '-').replace(', ', '-').replace(' ', '-')}.json")


if __name__ == "__main__":
    main()
