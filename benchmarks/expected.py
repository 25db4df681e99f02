"""Exact expectations: against the same rule in NumPy, against Monte Carlo, Rand-K against Bernoulli, and growth with nnz."""

import resource
import time

import numpy as np
import scipy.sparse as sp

import mastsim as ms
from benchmarks.numpy_rule import value_and_gradient
from benchmarks.timing import interleaved, machine, median, ratio_line
from mastsim.problems.catalogue import locate


def data_like_a5a(seed=0):
    """Return a5a when it is on this machine, otherwise random binary data of its shape: 6414 x 123, 14 a row."""
    if locate("a5a") is not None:
        found = ms.load("a5a")
        return "a5a", found.A, found.y
    rng = np.random.Generator(np.random.Philox(seed))
    columns = np.concatenate([rng.choice(123, 14, replace=False) for _ in range(6414)])
    A = sp.csr_array((np.ones(len(columns)), columns, 14 * np.arange(6415)), shape=(6414, 123))
    return "a5a-like", A, np.where(rng.random(6414) < 0.25, 1.0, -1.0)


def against_numpy():
    """Fused kernels against vectorised NumPy, and Rand-K against Bernoulli."""
    name, A, y = data_like_a5a()
    f = ms.LogisticRegression(A, y, condition_number=100)
    x = 2 * np.random.Generator(np.random.Philox(1)).uniform(-1, 1, f.dim)
    bernoulli, randk = ms.Mast(f, ms.Bernoulli(f.dim, 0.1)), ms.Mast(f, ms.RandK(f.dim, 12))
    value, gradient = bernoulli.expectation.value_and_gradient(x)
    mean, slope = value_and_gradient(f.A, f.y, 0.1, x)
    ridge = f.l2 * (x * x).sum() / 0.2
    assert abs(mean + ridge - value) < 1e-12 * (1 + abs(value))
    assert np.abs(slope + f.l2 * x / 0.1 - gradient).max() < 1e-11
    times = interleaved(
        {
            "kernel": lambda: bernoulli.expectation.value_and_gradient(x),
            "numpy": lambda: value_and_gradient(f.A, f.y, 0.1, x),
            "randk": lambda: randk.expectation.value_and_gradient(x),
        }
    )
    print(f"{name}: value + gradient, keep 0.1, |x| <= 2; kernel {1e3 * median(times['kernel']):.1f} ms,", end=" ")
    print(f"NumPy {1e3 * median(times['numpy']):.0f} ms, Rand-12 {1e3 * median(times['randk']):.1f} ms")
    print(ratio_line("vectorised NumPy / fused kernel", times["numpy"], times["kernel"]))
    print(ratio_line("Rand-K / Bernoulli", times["randk"], times["kernel"]))
    against_monte_carlo(f, bernoulli, x, median(times["kernel"]))


def against_monte_carlo(f, F, x, seconds):
    """Error of Monte Carlo after the time that the exact gradient takes (at least one batch)."""
    rng = np.random.Generator(np.random.Philox(2))
    exact = F.gradient(x)
    total, draws, begin = np.zeros(f.dim), 0, time.perf_counter()
    while draws == 0 or time.perf_counter() - begin < seconds:
        total += F.sketched_gradient(x, F.sketch.sample(rng, 16)).sum(axis=0)
        draws += 16
    error = np.linalg.norm(total / draws - exact)
    reference = np.linalg.norm(exact - value_and_gradient(f.A, f.y, 0.1, x)[1] - f.l2 * x / 0.1)
    print(f"Monte Carlo of equal time: {draws} draws, gradient error {error:.2g}; exact {reference:.2g}", end=" ")
    print(f"(ratio {error / reference:.2g})")


def growth():
    """Value and gradient of a large sparse problem, and what doubling its non-zeros costs."""
    rng = np.random.Generator(np.random.Philox(3))
    n = d = 50_000
    calls = {}
    for a_row in (50, 100):
        A = sp.csr_array((rng.standard_normal(n * a_row), rng.integers(0, d, n * a_row), a_row * np.arange(n + 1)), (n, d))
        f = ms.LogisticRegression(A, np.where(rng.random(n) < 0.5, 1.0, -1.0), l2=1e-3)
        F = ms.Mast(f, ms.Bernoulli(d, 0.5))
        x = 0.1 * rng.standard_normal(d)
        calls[a_row] = lambda F=F, x=x: F.expectation.value_and_gradient(x)
    times = interleaved(calls, rounds=3)
    print(f"n = d = 50,000: {median(times[50]):.2f} s at 50 a row, {median(times[100]):.2f} s at 100 a row,", end=" ")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    print(ratio_line("100 non-zeros a row / 50", times[100], times[50]))


if __name__ == "__main__":
    print(machine())
    against_numpy()
    growth()
