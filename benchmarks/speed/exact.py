"""The exact gradient of f_D against Monte Carlo of equal time."""

import time

import numpy as np

import mastsim as ms
from benchmarks.expected import data_like_a5a
from benchmarks.numpy_rule import value_and_gradient


def error_ratio(batch=16):
    """Return errors of both, and their ratio; the error of the exact one is against the same rule in NumPy."""
    _, A, y = data_like_a5a()
    f = ms.LogisticRegression(A, y, condition_number=100)
    F = ms.Mast(f, ms.Bernoulli(f.dim, 0.1))
    x = 2 * np.random.Generator(np.random.Philox(1)).uniform(-1, 1, f.dim)
    F.gradient(x)
    begin = time.perf_counter()
    exact = F.gradient(x)
    seconds = time.perf_counter() - begin
    rng, total, draws, begin = np.random.Generator(np.random.Philox(2)), np.zeros(f.dim), 0, time.perf_counter()
    while draws == 0 or time.perf_counter() - begin < seconds:
        total += F.sketched_gradient(x, F.sketch.sample(rng, batch)).sum(axis=0)
        draws += batch
    independent = value_and_gradient(f.A, f.y, 0.1, x)[1] + f.l2 * x / 0.1
    errors = {
        "monte_carlo": float(np.linalg.norm(total / draws - exact)),
        "exact": float(np.linalg.norm(exact - independent)),
    }
    return {"seconds": seconds, "draws": draws, **errors, "ratio": errors["monte_carlo"] / errors["exact"]}
