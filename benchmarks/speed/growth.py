"""What doubling n, d, K or R costs, one replica against many, and how near the machine's ceilings a step comes."""

import math
import time

import numpy as np
from numba import njit, prange

from benchmarks.expected import data_like_a5a
from benchmarks.speed.contest import calibrated, lasting
from benchmarks.speed.mastsim_forms import engines, has, simulation
from benchmarks.speed.work import logistic, sparse_rows
from benchmarks.timing import interleaved, median
from mastsim.kernels.models import few_columns

BASE = {"n": 4000, "d": 128, "K": 16, "R": 64}
FLOPS_OF_A_SLOPE = 20
"""Counted for one exponential and one division."""
BYTES_OF_A_NONZERO = 12
"""A 4-byte index and an 8-byte entry."""


def doubled():
    """Return one pair (smaller, larger) of works for each of n, d, K and R; 14 ones a row."""
    pairs = {}
    for name in BASE:
        large = BASE | {name: 2 * BASE[name]}
        pairs[name] = tuple(
            logistic(*sparse_rows(size["n"], size["d"], 14), size["K"] / size["d"], size["R"], keep=size["K"])
            for size in (BASE, large)
        )
    return pairs


def growth(effort):
    """Return, for every engine, the exponents of the time of a step (of all replicas) in n, d, K and R, with spread."""
    found = {}
    pairs = doubled()
    for column, keywords in engines().items():
        found[column] = {}
        for name, works in pairs.items():
            forms = [calibrated("", "", simulation(work, **keywords), work.replicas, effort.seconds / 2) for work in works]
            calls = {i: lambda form=form: form.run(form.steps, 3) for i, form in enumerate(forms)}
            spent = interleaved(calls, effort.rounds, time.perf_counter)
            steps = [[s / form.steps for s in spent[i]] for i, form in enumerate(forms)]
            exponents = [math.log2(large / small) for small, large in zip(*steps, strict=True)]
            found[column][name] = spread(exponents)
    return found


def spread(values):
    """Return median, lowest and highest."""
    return {"median": median(values), "lowest": min(values), "highest": max(values)}


def precision(work, effort):
    """Return the rate in float32 over that in float64, or nothing when there is one precision."""
    if not has("precision"):
        return None
    runs = {name: simulation(work, precision=name) for name in ("float32", "float64")}
    forms = {name: calibrated("", name, run, work.replicas, effort.seconds) for name, run in runs.items()}
    spent = interleaved(
        {name: lambda form=form: form.run(form.steps, 4) for name, form in forms.items()}, effort.rounds, time.perf_counter
    )
    per_step = {name: [s / forms[name].steps for s in spent[name]] for name in forms}
    return spread([b / a for a, b in zip(per_step["float32"], per_step["float64"], strict=True)])


def one_replica(effort):
    """Return the rate of one replica over that of a replica-step of 32, on data like a5a, with spread; in whole runs."""
    _, A, y = data_like_a5a()
    runs = {R: simulation(logistic(A, y, 0.1, R)) for R in (1, 32)}
    # Long enough for what comes once a run, and for the stretch of steps that one thread takes before others are woken.
    forms = {R: lasting(calibrated("", "", run, R, effort.seconds), 4 * effort.seconds) for R, run in runs.items()}
    calls = {R: lambda form=form: form.run(form.steps, 5) for R, form in forms.items()}
    spent = interleaved(calls, effort.rounds, time.perf_counter)
    rates = {R: [R * forms[R].steps / seconds for seconds in spent[R]] for R in forms}
    return spread([alone / many for alone, many in zip(rates[1], rates[32], strict=True)])


@njit(parallel=True)
def _triad(a, b, c):
    for i in prange(len(a)):
        a[i] = b[i] + 3.0 * c[i]


def ceilings(rounds):
    """Return flops/s of a dense product, and bytes/s of a triad in memory and in the cache."""
    M = np.random.Generator(np.random.Philox(0)).standard_normal((1024, 1024))
    arrays = {"memory": 2**23, "cache": 2**13}
    triads = {where: [np.ones(size) for _ in range(3)] for where, size in arrays.items()}
    repeats = {"memory": 1, "cache": 200}

    def triad(where):
        for _ in range(repeats[where]):
            _triad(*triads[where])

    spent = interleaved(
        {"product": lambda: M @ M, **{where: lambda where=where: triad(where) for where in arrays}},
        rounds,
        time.perf_counter,
    )
    rates = {where: 24 * size * repeats[where] / min(spent[where]) for where, size in arrays.items()}
    return {"flops": 2 * len(M) ** 3 / min(spent["product"]), **rates}


def needed(work):
    """Return the fewest flops and bytes of a replica-step that touches kept coordinates only."""
    if work.is_quadratic:
        return 2 * work.keep**2, 8 * work.keep**2
    rows = work.minibatch or work.signed.shape[0]
    nonzeros = work.signed.nnz * rows / work.signed.shape[0]
    if work.minibatch is None:
        nonzeros /= work.scale
    return 4 * nonzeros + FLOPS_OF_A_SLOPE * rows, 2 * BYTES_OF_A_NONZERO * nonzeros + 4 * 8 * rows


def fractions(work, rate, ceiling):
    """Return the share of every ceiling that a rate of replica-steps reaches."""
    flops, moved = needed(work)
    reached = {"flops": rate * flops, "memory": rate * moved, "cache": rate * moved}
    found = {name: reached[name] / ceiling[name] for name in ceiling} | {"flops_a_step": flops, "bytes_a_step": moved}
    # Beyond few columns a step is a product with the whole matrix.
    done = 2 * work.dim**2 if work.is_quadratic and not few_columns(work.objective.sketch) else flops
    return found | {"flops_done": rate * done / ceiling["flops"]}
