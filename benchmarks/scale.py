"""Data of the size of text: constants, minimisers and guarantees beside a sparse pair A x, Aᵀr; time and memory.

Goals are in pairs, so that no machine decides them: a pair of the text rows takes 3.5 ms where they were set. Seconds are
those of the processor. In a quick run the rows are few, and only the goals about a5a are judged, in pairs of all entries.
"""

import resource
import sys
import time

import numpy as np

import mastsim as ms
from benchmarks.expected import data_like_a5a
from benchmarks.numpy_rule import value_and_gradient
from benchmarks.text_data import text_rows
from benchmarks.timing import interleaved, machine, median

QUICK = {"n": 2_000, "dim": 5_000}
PAIR, ENTRIES = 3.5e-3, 1.457e6  # seconds; entries of the text rows


def met(value, goal):
    """Return whether a number is below its goal, in words."""
    return "met" if value <= goal else "NOT met"


def verdict(taken, pair, goal):
    """Return what is said about a goal in seconds of an idle machine."""
    return "" if goal == np.inf else f"   goal {goal:g} s = {goal / PAIR:.4g} pairs: {met(taken / pair, goal / PAIR)}"


def once(call):
    """Return what a call returns, and its seconds."""
    begin = time.process_time()
    found = call()
    return found, time.process_time() - begin


def text(quick):
    """Print what takes how long on text rows under Rand-K of half, kernels compiled; return the seconds of a pair."""
    A, y = text_rows(**QUICK) if quick else text_rows()
    f, d = ms.LogisticRegression(A, y, l2=1e-4), A.shape[1]
    x = 1e-3 * np.random.Generator(np.random.Philox(3)).standard_normal(d)
    ms.Mast(f, ms.RandK(d, d // 2)).minimize()
    seconds = interleaved({"pair": lambda: A.T @ (A @ x), "rule": lambda: value_and_gradient(A, y, 0.5, x)}, rounds=3)
    pair, rule = (median(seconds[name]) for name in ("pair", "rule"))
    print(f"text rows, n = {A.shape[0]}, d = {d}, {A.nnz} entries: a pair A x, A'r takes {1e3 * pair:.3g} ms,")
    print(f"value and gradient by the NumPy rule (a Bernoulli law) {1e3 * rule:.4g} ms; Rand-{d // 2}:")
    F = ms.Mast(ms.LogisticRegression(A, y, l2=1e-4), ms.RandK(d, d // 2))
    best, near = once(lambda: F.minimize(accuracy=1e-10))
    rows = [(f"x_D* certified to {best.excess_bound:.1e} (asked: 1e-10)", near, 2.0)]
    F = ms.Mast(ms.LogisticRegression(A, y, l2=1e-4), ms.RandK(d, d // 2))
    c = ms.Constants(F)
    for name in ("L_f", "L_fD_sharp", "mu_fD_sharp", "expected_smoothness_sharp"):
        value, taken = once(lambda name=name: c[name])
        rows.append((f"{name} = {value.value:.6g} ({value.kind})", taken, np.inf))
    (_, told), rest = once(lambda: (dict(c), ms.guarantees(F)))
    rows.append((f"all {len(c)} constants and {len(told)} guarantees", rest + sum(row[1] for row in rows[1:]), 5.0))
    for title, taken, goal in rows:
        ratios = f"{taken / pair:7.4g} pairs = {taken / rule:6.3g} rules"
        print(f"  {title:58s} {taken:7.3f} s = {ratios}{verdict(taken, pair, np.inf if quick else goal)}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  {'peak memory':58s} {peak:7.3f} GiB{'':27s}   goal 1 GiB: {met(peak, 1.0)}")
    return pair * ENTRIES / A.nnz


def minimisers(pair):
    """Print how long certified minimisers on a5a take, beside a pair of the text rows."""
    name, A, y = data_like_a5a()
    f = ms.LogisticRegression(A, y, condition_number=100)
    for k in (12, 37, 62):
        ms.Mast(f, ms.RandK(f.dim, k)).minimize()
        best, taken = once(lambda k=k: ms.Mast(f, ms.RandK(f.dim, k)).minimize(accuracy=1e-12))
        title = f"{name}, x_D* of Rand-{k} certified to {best.excess_bound:.1e} (asked: 1e-12)"
        print(f"  {title:58s} {taken:7.3f} s = {taken / pair:7.4g} pairs{verdict(taken, pair, 0.3)}")


if __name__ == "__main__":
    print(machine())
    minimisers(text("--quick" in sys.argv))
