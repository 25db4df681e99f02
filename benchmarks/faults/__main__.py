"""Try hostile inputs and faults of the environment on every command, and write docs/reliability.md.

python -m benchmarks.faults [--sample SECONDS] [--seed N] [--only WORD] [--out FILE]

Exit 1 if anything ends in a traceback, a silent error, a hang or a crash.
"""

import argparse
import itertools
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from benchmarks.faults import arguments, environments, tampered  # noqa: E402  (after the threads were chosen)
from benchmarks.faults.cases import FAILURES, Case, outcome  # noqa: E402
from benchmarks.faults.report import page  # noqa: E402

PAGE = Path(__file__).parent.parent.parent / "docs" / "reliability.md"
MIXTURES = 150


def all_inputs(seed: int) -> list[Case]:
    """Return every input: edges, mixtures of edges, and files."""
    files = itertools.chain.from_iterable(kind() for kind in tampered.ALL)
    return [*arguments.edges(), *arguments.mixtures(MIXTURES, seed), *files]


def all_faults(seed: int) -> list[Case]:
    """Return every fault of the environment."""
    kinds = (environments.streams(), environments.outputs(), environments.memory(), environments.places())
    return [*itertools.chain.from_iterable(kinds), *environments.signals(seed)]


def tried(cases: list[Case], until: float, speak: bool) -> list[tuple[Case, str]]:
    """Run cases, each in a folder of its own, while there is time; say what fails."""
    results = []
    for number, case in enumerate(cases):
        if time.monotonic() > until:
            break
        with tempfile.TemporaryDirectory() as folder:
            here = os.getcwd()
            os.chdir(folder)
            try:
                ended = case.run(Path(folder))
                found = outcome(case, Path(folder), ended)
            finally:
                os.chdir(here)
            if found in FAILURES:
                wrong = case.sound(Path(folder), ended) if case.sound and ended.code is not None else None
                print(f"{found}: {case.kind}: {case.command}: {case.told[:300]}", flush=True)
                print(f"    exit {ended.code}; {wrong or ''} {ended.err.strip()[-600:]}", flush=True)
        results.append((case, found))
        if speak and number % 50 == 49:
            print(f"{number + 1} of {len(cases)}: {dict(Counter(each for _, each in results))}", file=sys.stderr, flush=True)
    return results


def main() -> None:
    """Try everything, or a sample; exit 1 if something fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=float, metavar="SECONDS", help="only as many as there is time for; writes no page")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only kinds and commands that hold this word")
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    sets = [
        [case for case in cases if options.only in f"{case.kind} {case.command}"]
        for cases in (all_inputs(options.seed), all_faults(options.seed))
    ]
    begun = time.monotonic()
    if options.sample is not None:
        for cases in sets:
            random.Random(options.seed).shuffle(cases)
    parts = [float("inf")] * 2 if options.sample is None else [begun + options.sample / 2, begun + options.sample]
    inputs, faults = (tried(cases, until, sys.stderr.isatty()) for cases, until in zip(sets, parts, strict=True))
    text = page(inputs, faults, options.seed, time.monotonic() - begun)
    print(text[text.index("## Inputs") :])
    if options.sample is None and not options.only:
        options.out.write_text(text, encoding="utf-8")
    sys.exit(any(found in FAILURES for _, found in (*inputs, *faults)))


if __name__ == "__main__":
    main()
