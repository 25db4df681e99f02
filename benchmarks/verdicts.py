"""Decide many verdicts of true theorems over random instances, hard to round: none may come out refuted.

Scales from 1e-8 to 1e9, condition numbers to 1e14, ranks below d, near-equal columns, keep fractions near 0 and near 1,
shifts near and far. ``python -m benchmarks.verdicts --count 20000`` prints, for every theorem, how many verdicts hold, are
inconclusive and are refuted, and exits with 1 if one is refuted.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

import mastsim as ms
from mastsim import theorems
from mastsim.theorems import Inequality, Rate, Theorem
from mastsim.theorems.assumptions import DISTRIBUTED, NO_SKETCH
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.inequalities import decide_inequality
from mastsim.verification.trial import Trial, exact_recursion
from mastsim.verification.verdict import Verdict

STEPS = 12
_TRUE = [kind for kind in theorems.ALL if kind.status != "refuted as quoted"]


def matrix(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    """Return data of any scale, condition number and rank, with near-equal columns or columns in different units."""
    rank = int(rng.integers(1, min(rows, dim) + 1)) if rng.random() < 0.3 else min(rows, dim)
    spectrum = np.geomspace(1.0, 10.0 ** -rng.uniform(0, 7), rank)
    left, right = (np.linalg.qr(rng.standard_normal((n, n)))[0][:, :rank] for n in (rows, dim))
    A = (left * spectrum) @ right.T
    kind = rng.integers(4)
    if kind == 0 and dim > 1:
        A[:, 1] = A[:, 0] * (1 + 10.0 ** -rng.uniform(3, 15))
    elif kind == 1:
        A = A * 10.0 ** rng.uniform(-4, 4.5, dim)
    elif kind == 2:
        A = np.round(A * 10.0 ** rng.uniform(0, 4))
    return np.asarray(A * 10.0 ** rng.uniform(-4, 4.5))


def problem(rng: np.random.Generator, dim: int) -> Any:
    """Return a quadratic: f with a matrix, or least squares with raw data and any regularisation."""
    rows = int(rng.integers(1, 6))
    A = matrix(rng, rows, dim)
    if rng.random() < 0.5:
        y = A @ rng.standard_normal(dim) * rng.choice([0.0, 1.0, 1e3]) + rng.choice([0.0, 1e-6, 1.0]) * rng.standard_normal(
            rows
        )
        return ms.LeastSquares(A, y, l2=float(rng.choice([0.0, 1e-8, 1e-2, 1.0])))
    H = A.T @ A
    return ms.Quadratic((H + H.T) / 2, H @ rng.standard_normal(dim) * rng.choice([0.0, 1.0, 1e3]))


def sketch(rng: np.random.Generator, dim: int) -> Any:
    """Return a sketch with keep fractions near 0, near 1 and between, or a general one of few values."""
    kind = rng.integers(5)
    if kind == 0:
        return ms.Bernoulli(dim, 1 - 10.0 ** -rng.uniform(1, 15, dim))
    if kind == 1:
        return ms.Bernoulli(dim, 10.0 ** -rng.uniform(0, 6, dim))
    if kind == 2:
        return ms.RandK(dim, int(rng.integers(1, dim + 1)))
    if kind == 3:
        return ms.Identity(dim)
    noise = rng.standard_normal((2, dim, dim)) * rng.choice([1e-7, 0.1, 3.0])
    return ms.FiniteSupport(np.eye(dim) + noise - noise.mean(axis=0), [0.5, 0.5])


def objective(rng: np.random.Generator, kind: type[Theorem]) -> Any:
    """Return an objective that a theorem may be about."""
    dim, count = int(rng.choice([1, 1, 2, 2, 3])), int(rng.integers(1, 3))
    parts = [problem(rng, dim) for _ in range(count)]
    shift = rng.standard_normal(dim) * rng.choice([0.0, 1e-3, 1.0, 1e3])
    if DISTRIBUTED in kind.assumptions:
        return ms.Distributed(parts, [sketch(rng, dim) for _ in parts], shift=shift)
    f = parts[0] if count == 1 or rng.random() < 0.5 else ms.FiniteSum(parts)
    if rng.random() < 0.2:
        shift = np.array(f.minimize().x)
    return ms.Mast(f, ms.Identity(dim) if NO_SKETCH in kind.assumptions else sketch(rng, dim), shift=shift)


def verdicts(rng: np.random.Generator, kind: type[Theorem]) -> Iterator[Verdict]:
    """Yield the verdicts of a theorem on one random instance; none where it does not apply or the data are refused."""
    try:
        cases = kind.cases(objective(rng, kind))
    except ValueError:
        return
    for case in cases:
        sharp = isinstance(case, Rate) and rng.random() < 0.5
        yield from decided(dataclasses.replace(case, sharp=True) if sharp else case)


def decided(case: Theorem) -> Iterator[Verdict]:
    """Yield the exact verdict on a case, over a short horizon; none where rounding leaves open that the step is affine."""
    if isinstance(case, Inequality):
        yield decide_inequality(case, points=4)
        return
    assert isinstance(case, Rate)
    trial = Trial.of(case)
    if (chain := exact_recursion(trial)) is not None:
        yield decide_rate_exactly(trial, chain, min(STEPS, case.planned_steps or STEPS))


def tally(count: int, seed: int = 0, progress: bool = False) -> tuple[dict[str, collections.Counter[str]], list[str]]:
    """Return how often each theorem holds, is inconclusive and is refuted, and every refutation in words.

    Parameters
    ----------
    count : int
        How many verdicts, at least 1.
    seed : int, default 0
        Seed of the instances.
    progress : bool, default False
        Whether to say on stderr how far it is.
    """
    counts: dict[str, collections.Counter[str]] = {kind.id: collections.Counter() for kind in _TRUE}
    refuted, total, turn = [], 0, 0
    while total < count:
        kind = _TRUE[turn % len(_TRUE)]
        for verdict in verdicts(np.random.default_rng([seed, turn]), kind):
            counts[kind.id][verdict.words] += 1
            total += 1
            if verdict.verdict == "refuted":
                refuted.append(f"[{seed}, {turn}] {verdict.problem}, {verdict.sketch}, {verdict.method}: {verdict}")
        turn += 1
        if progress and turn % 1000 == 0:
            print(f"{total} of {count}", file=sys.stderr)
    return counts, refuted


def main() -> int:
    """Print the tally; return 1 if a true theorem is refuted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    started = time.perf_counter()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        counts, refuted = tally(chosen.count, chosen.seed, progress=True)
    words = sorted({word for each in counts.values() for word in each})
    print("  ".join([f"{'theorem':28}", *(f"{word:>26}" for word in words)]))
    for name, each in counts.items():
        print("  ".join([f"{name:28}", *(f"{each[word]:26d}" for word in words)]))
    total = sum(sum(each.values()) for each in counts.values())
    print(f"{total} verdicts of true theorems, {len(refuted)} refuted, in {time.perf_counter() - started:.0f} s")
    print("\n".join(refuted[:50]))
    return 1 if refuted else 0


if __name__ == "__main__":
    sys.exit(main())
