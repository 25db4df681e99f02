"""Exact moment recursions: time a step, time for many steps, and time of the largest stable step size."""

import time

import numpy as np
from threadpoolctl import threadpool_limits

import mastsim as ms
from benchmarks.timing import interleaved, machine, median
from mastsim.recursions import (
    DistributedGradient,
    GradientRecursion,
    PAGERecursion,
    SketchedGradient,
    SVRGRecursion,
    run,
    stability_limit,
)


def quadratic(d, seed=0):
    """Return A of condition number 100 and g0 in its range."""
    rng = np.random.Generator(np.random.Philox(seed))
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return basis * np.geomspace(0.01, 1, d) @ basis.T, rng.standard_normal(d)


def dsgd(sketch, A, g0):
    """Return the recursion at a hundredth of 2/(λ_max(A)·L_S^max)."""
    operators = sketch.moment_operators(A)
    return GradientRecursion(SketchedGradient(operators, -np.linalg.solve(operators.mean, g0), g0), 0.02 / sketch.L_max)


def after(recursion, steps=2):
    """Return a step of the recursion from a state with full matrices."""
    state = recursion.start(np.ones(len(recursion.hessian)))
    for _ in range(steps):
        state = recursion.step(state)
    return lambda: recursion.step(state)


def step_times(d=300):
    """Print the time of one step for every kind of sketch and method."""
    A, g0 = quadratic(d)
    randk = ms.RandK(d, d // 10).moment_operators(A)
    z = -np.linalg.solve(randk.mean, g0)
    clients = [ms.PermK(d, 10).moment_operators(A * scale) for scale in np.linspace(0.5, 1.5, 10)]
    work = {
        "DSGD, Rand-K": dsgd(ms.RandK(d, d // 10), A, g0),
        "DSGD, Bernoulli": dsgd(ms.Bernoulli(d, 0.1), A, g0),
        "DSGD, Rand-3 of 30 blocks": dsgd(ms.BlockRandK(d, 30, 3), A, g0),
        "DSGD, 2:4": dsgd(ms.NofM(d, 2, 4), A, g0),
        "DSGD, rotated Rand-K": dsgd(ms.Rotated(ms.RandK(d, d // 10), "dct"), A, g0),
        "L-SVRDSG, Rand-K": SVRGRecursion(randk, 1e-4, 0.1, z, g0, 0.1),
        "PAGE, Rand-K": PAGERecursion(randk, 1e-4, 0.1),
        "10 clients, Perm-K": GradientRecursion(DistributedGradient(clients, z, np.tile(g0, (10, 1)), "permk"), 1e-4),
    }
    steps = {name: after(recursion) for name, recursion in work.items()}
    times = interleaved({"product": lambda: A @ A, **steps}, rounds=15)
    print(f"  one dense product: {1e3 * median(times['product']):.1f} ms (d = {d})")
    for name in work:
        ratio = median([step / product for step, product in zip(times[name], times["product"], strict=True)])
        print(f"  {name}: {1e3 * median(times[name]):.1f} ms a step, that of {ratio:.1f} products")
    print(f"  goal: Rand-K under 50 ms a step: {'met' if median(times['DSGD, Rand-K']) < 0.05 else 'MISSED'}")


def many_steps(d=20, steps=10_000):
    """Print the time of a long run."""
    A, g0 = quadratic(d)
    recursion = dsgd(ms.RandK(d, 4), A, g0)
    begin = time.perf_counter()
    run(recursion, np.ones(d), steps)
    seconds = time.perf_counter() - begin
    print(f"  {steps} steps at d = {d}: {seconds:.2f} s; goal under 10 s: {'met' if seconds < 10 else 'MISSED'}")


def stable_stepsizes():
    """Print the time and the width of the bracket of the largest stable step size and of the contraction there."""
    for d in (20, 100, 300):
        A, g0 = quadratic(d)
        begin = time.perf_counter()
        limit = stability_limit(ms.RandK(d, d // 10).moment_operators(A))
        middle = time.perf_counter()
        recursion = dsgd(ms.RandK(d, d // 10), A, g0)
        rate = GradientRecursion(recursion.gradient, limit.lower / 2).contraction()
        end = time.perf_counter()
        wide = limit.upper / limit.lower - 1
        print(f"  d = {d}: largest stable step {limit.lower:.6g}, bracket {wide:.1e} wide, {middle - begin:.2f} s")
        print(f"  d = {d}: contraction at half of it 1 - {1 - rate.upper:.3e}", end=" ")
        print(f"(bracket {rate.upper - rate.lower:.1e} wide) in {end - middle:.2f} s")


if __name__ == "__main__":
    print(f"{machine()}, one BLAS thread: more of them wait for each other when the machine has other work")
    with threadpool_limits(1):
        step_times()
        many_steps()
        stable_stepsizes()
