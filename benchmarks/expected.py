"""Exact expectations against the rule before, NumPy and Monte Carlo; Rand-K against Bernoulli; text; growth with nnz."""

import resource
import sys
import time
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

import mastsim as ms
from benchmarks.expected_rules import TrapezoidRows, plain, real_valued
from benchmarks.numpy_rule import value_and_gradient
from benchmarks.timing import interleaved, machine, median, ratio_line
from mastsim.problems.catalogue import locate

DOUBLED = 2.2
"""What twice the non-zeros may cost, at the most, where costs are said to be linear."""


def data_like_a5a(seed=0):
    """Return a5a when it is on this machine, otherwise random binary data of its shape: 6414 x 123, 14 a row."""
    if locate("a5a") is not None:
        found = ms.load("a5a")
        return "a5a", found.A, found.y
    rng = np.random.Generator(np.random.Philox(seed))
    columns = np.concatenate([rng.choice(123, 14, replace=False) for _ in range(6414)])
    A = sp.csr_array((np.ones(len(columns)), columns, 14 * np.arange(6415)), shape=(6414, 123))
    return "a5a-like", A, np.where(rng.random(6414) < 0.25, 1.0, -1.0)


@dataclass(frozen=True)
class Case:
    """A row of the table: where f_D is evaluated, and how many times faster it is to be than the rule before."""

    title: str
    problem: object
    sketch: object
    x: np.ndarray
    exact: float | None
    coarse: float | None


def cases(problem, quick):
    """Return the rows of the table for a problem like a5a."""
    rng, d = np.random.Generator(np.random.Philox(1)), problem.dim
    bernoulli, randk, real = ms.Bernoulli(d, 0.1), ms.RandK(d, 12), real_valued(problem)
    near, far = 0.04 * rng.standard_normal(d), 2 * rng.uniform(-1, 1, d)
    best = ms.Mast(problem, randk).minimize().x
    yield Case("Bernoulli 0.1, x = 0.04 N(0, I)", problem, bernoulli, near, 12.0, 20.0)
    yield Case("Bernoulli 0.1, x_D* of Rand-12", problem, bernoulli, best, 8.0, 14.0)
    yield Case("Rand-12, x_D*", problem, randk, best, 9.0, 18.0)
    if not quick:
        yield Case("Bernoulli 0.1, |x| <= 2", problem, bernoulli, far, 2.0, 4.0)
        yield Case("Bernoulli 0.1, real values, x = 0.04 N(0, I)", real, bernoulli, near, 2.5, 4.0)
        yield Case("Bernoulli 0.1, real values, x_D*", real, bernoulli, best, 2.5, 4.0)
        yield from dense_cases()


def dense_cases():
    """Return dense rows under Rand-30 and Rand-150 of 300."""
    rng = np.random.Generator(np.random.Philox(4))
    A = rng.standard_normal((300, 300)) / np.sqrt(300)
    f, x = ms.LogisticRegression(A, np.where(rng.random(300) < 0.5, 1.0, -1.0), l2=1e-2), 0.2 * rng.standard_normal(300)
    yield Case("dense, Rand-30 of 300", f, ms.RandK(300, 30), x, 4.0, None)
    yield Case("dense, Rand-150 of 300", f, ms.RandK(300, 150), x, 15.0, None)


def against_the_rule_before(quick=False):
    """Value and gradient against the trapezoid rule in the same rounds, with as much and with less accuracy."""
    name, A, y = data_like_a5a()
    print(f"{name}: value + gradient of f_D; ratios to the trapezoid rule for all rows in the same rounds")
    for case in cases(ms.LogisticRegression(A, y, condition_number=100), quick):
        before = TrapezoidRows(case.problem, case.sketch)
        ways = {accuracy: ms.Mast(case.problem, case.sketch, accuracy=accuracy) for accuracy in (1e-14, 1e-9)}
        value, gradient = before.value_and_gradient(case.x)
        for accuracy, F in ways.items():
            found, slope = plain(F, case.x)
            assert abs(found - value) < 1e-12 + 20 * accuracy * (1 + abs(value)), case.title
            assert np.abs(slope - gradient).max() < 1e-11 + 200 * accuracy, case.title
        calls = {accuracy: lambda F=F, x=case.x: F.expectation.value_and_gradient(x) for accuracy, F in ways.items()}
        times = interleaved(
            {"before": lambda b=before, x=case.x: b.value_and_gradient(x), **calls}, rounds=5 if quick else 9
        )
        print(f"{case.title}: before {1e3 * median(times['before']):.2f} ms, now {1e3 * median(times[1e-14]):.2f} ms")
        for accuracy, goal in ((1e-14, case.exact), (1e-9, case.coarse)):
            print(
                f"  {ratio_line(f'accuracy {accuracy:g}', times['before'], times[accuracy])}{verdict(times, accuracy, goal)}"
            )


def verdict(times, accuracy, goal):
    """Return whether the median ratio reaches a goal, in words."""
    if goal is None:
        return ""
    ratio = median(a / b for a, b in zip(times["before"], times[accuracy], strict=True))
    return f"   goal {goal:g} x {'met' if ratio >= goal else 'NOT met'}"


def at_most(goal, title, slow, fast):
    """Return the line of a ratio that is to be no larger than a goal, and whether it is."""
    ratio = median(a / b for a, b in zip(slow, fast, strict=True))
    return f"{ratio_line(title, slow, fast)}   goal <= {goal:g} x {'met' if ratio <= goal else 'NOT met'}"


def rand_k_over_bernoulli():
    """What a mixture of laws costs."""
    _, A, y = data_like_a5a()
    f, d = ms.LogisticRegression(A, y, condition_number=100), A.shape[1]
    x = 0.04 * np.random.Generator(np.random.Philox(1)).standard_normal(d)
    for accuracy, goal in ((1e-14, 4.0), (1e-9, 3.0)):
        one, many = (ms.Mast(f, sketch, accuracy=accuracy) for sketch in (ms.Bernoulli(d, 0.1), ms.RandK(d, 12)))
        times = interleaved({"b": lambda F=one: F.value_and_gradient(x), "k": lambda F=many: F.value_and_gradient(x)})
        print(at_most(goal, f"Rand-12 / Bernoulli, accuracy {accuracy:g}", times["k"], times["b"]))


def text(quick=False):
    """Rows of text under Rand-K of half, against products of the data with a vector and back."""
    # No goal for a tenth of them, which fits into the cache, where products take a fifth as long an entry.
    rng = np.random.Generator(np.random.Philox(3))
    n, d, a_row = (2_000, 4_700, 75) if quick else (20_000, 47_000, 75)
    values = np.abs(rng.standard_normal(n * a_row)) / np.sqrt(a_row)
    A = sp.csr_array((values, rng.integers(0, d, n * a_row), a_row * np.arange(n + 1)), (n, d))
    A.sum_duplicates()
    F = ms.Mast(ms.LogisticRegression(A, np.where(rng.random(n) < 0.5, 1.0, -1.0), l2=1e-3), ms.RandK(d, d // 2))
    x = 1e-3 * rng.standard_normal(d)
    calls = {"f_D": lambda: F.value_and_gradient(x), "pair": lambda: A.T @ (A @ x)}
    times = interleaved(calls, rounds=5)
    print(f"text, {n} x {d}: value + gradient {1e3 * median(times['f_D']):.1f} ms")
    compared = "text: f_D / (A x, A'r)", times["f_D"], times["pair"]
    print(ratio_line(*compared) if quick else at_most(6, *compared))


def against_numpy():
    """Against vectorised NumPy, and Monte Carlo of equal time."""
    name, A, y = data_like_a5a()
    f = ms.LogisticRegression(A, y, condition_number=100)
    x = 2 * np.random.Generator(np.random.Philox(1)).uniform(-1, 1, f.dim)
    bernoulli = ms.Mast(f, ms.Bernoulli(f.dim, 0.1))
    value, gradient = bernoulli.expectation.value_and_gradient(x)
    mean, slope = value_and_gradient(f.A, f.y, 0.1, x)
    ridge = f.l2 * (x * x).sum() / 0.2
    assert abs(mean + ridge - value) < 1e-12 * (1 + abs(value))
    assert np.abs(slope + f.l2 * x / 0.1 - gradient).max() < 1e-11
    calls = {"here": lambda: bernoulli.value_and_gradient(x), "numpy": lambda: value_and_gradient(f.A, f.y, 0.1, x)}
    times = interleaved(calls, rounds=3)
    print(f"{name}: value + gradient, keep 0.1, |x| <= 2; mastsim {1e3 * median(times['here']):.1f} ms,", end=" ")
    print(f"NumPy {1e3 * median(times['numpy']):.0f} ms")
    print(ratio_line("vectorised NumPy / mastsim", times["numpy"], times["here"]))
    against_monte_carlo(f, bernoulli, x, median(times["here"]))


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
    """Value and gradient of a large sparse problem: Rand-K of half beside Bernoulli, and what twice its non-zeros cost."""
    rng = np.random.Generator(np.random.Philox(3))
    n = d = 50_000
    calls = {}
    for a_row in (50, 100):
        # Predictions of the same size, or there would be more frequencies as well.
        values = rng.standard_normal(n * a_row) / np.sqrt(a_row)
        A = sp.csr_array((values, rng.integers(0, d, n * a_row), a_row * np.arange(n + 1)), (n, d))
        A.sum_duplicates()
        f = ms.LogisticRegression(A, np.where(rng.random(n) < 0.5, 1.0, -1.0), l2=1e-3)
        x = 0.1 * rng.standard_normal(d)
        for sketch in (ms.Bernoulli(d, 0.5), ms.RandK(d, d // 2)):
            F = ms.Mast(f, sketch)
            calls[type(sketch).__name__, a_row] = lambda F=F, x=x: F.expectation.value_and_gradient(x)
    times = interleaved(calls, rounds=5)
    for name, few in (("Bernoulli", times["Bernoulli", 50]), ("RandK", times["RandK", 50])):
        many = times[name, 100]
        print(f"n = d = 50,000, {name} of half: {median(few):.3g} s at 50 a row, {median(many):.3g} s at 100 a row")
        print(at_most(DOUBLED, "100 non-zeros a row / 50", many, few))
    print(at_most(4, "Rand-K of half / Bernoulli, 100 a row", times["RandK", 100], times["Bernoulli", 100]))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    quick = "--quick" in sys.argv[1:]
    print(machine())
    against_the_rule_before(quick)
    rand_k_over_bernoulli()
    text(quick)
    if not quick:
        against_numpy()
        growth()
