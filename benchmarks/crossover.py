"""Where a GPU is faster than the host's kernels: DSGD of growing size on both, each row in turn.

``python -m benchmarks.crossover [--seconds S] [--stand-in]``; needs nothing but the source tree, NumPy, SciPy, numba and, on
a GPU, CuPy. The stand-in runs tiny rows on array-api-strict, to try the script where there is no GPU.
"""

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np

import mastsim as ms
from benchmarks.speed.work import quadratic, sparse_rows
from benchmarks.timing import machine
from mastsim.devices import Device, find_device

SECONDS = 180.0
"""What the table may take: rows that would come later are left out and named."""
_LEAST = 0.2
"""Seconds that the steps of one timing should take at least."""
_RECORDED = 8
"""Replicas whose f_D is recorded to show what that costs."""


@dataclass(frozen=True)
class Row:
    """A problem under Rand-K, and how many replicas take steps."""

    title: str
    objective: ms.Mast
    replicas: int


def rows(tiny):
    """Yield the rows of the table, small ones first."""
    A, y = sparse_rows(60 if tiny else 6414, 20 if tiny else 123, 4 if tiny else 14)
    sparse = ms.Mast(ms.LogisticRegression(A, y, l2=1e-2), ms.RandK(A.shape[1], k=A.shape[1] // 10))
    rng = np.random.Generator(np.random.Philox(7))
    n, d = (40, 10) if tiny else (4096, 512)
    labels = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    dense = ms.Mast(ms.LogisticRegression(rng.standard_normal((n, d)) / d**0.5, labels, l2=1e-2), ms.RandK(d, k=d // 2))
    sizes = (10,) if tiny else (100, 1000, 4000)
    for replicas in (4,) if tiny else (256, 4096, 32768):
        yield Row(f"logistic, sparse {A.shape[0]} x {A.shape[1]}, keep 0.1", sparse, replicas)
        yield Row(f"logistic, dense {n} x {d}, keep 0.5", dense, replicas)
        for size in sizes:
            if size * replicas <= 1 << 26:
                yield Row(f"quadratic, d = {size}, keep 0.5", quadratic(size, size // 2, 1).objective, replicas)


def simulated(row, device, steps):
    """Return the last iterates of a run, and its seconds; only f is measured, at both ends."""
    begin = time.perf_counter()
    options = {"steps": steps, "replicas": row.replicas, "every": steps, "measures": ("f",), "progress": False}
    run = ms.simulate(ms.DSGD(1e-2), row.objective, device=device, x0=np.ones(row.objective.dim), **options)
    return run.x, time.perf_counter() - begin


def step_seconds(row, device, least):
    """Return the seconds of one step of all replicas: what more steps cost beyond few, so that measures do not count."""
    few, many = 1, 4
    simulated(row, device, few)
    while True:
        before, after = (simulated(row, device, steps)[1] for steps in (few, many))
        if after - before > least or many >= 4096:
            return max(after - before, 1e-9) / (many - few)
        many *= 4


def line(row, device, least=_LEAST):
    """Return one row of the table; both places must have come to the same iterates."""
    here, there = (simulated(row, where, 3)[0] for where in ("cpu", device))
    assert np.allclose(here, there, rtol=1e-8, atol=1e-8), f"{row.title}: {device.name} went elsewhere"
    rates = [row.replicas / step_seconds(row, where, least) for where in ("cpu", device)]
    return f"| {row.title} | {row.replicas} | {rates[0]:.3g} | {rates[1]:.3g} | {rates[1] / rates[0]:.3g} |"


def records(row, device):
    """Return what a record of ∇f_D costs, and where it is computed."""
    row = replace(row, replicas=_RECORDED)
    seconds = []
    for names in (("f",), ("f", "gradient_norm")) * 2:
        begin = time.perf_counter()
        options = {"steps": 1, "replicas": row.replicas, "measures": names, "progress": False}
        ms.simulate(ms.DSGD(1e-2), row.objective, device=device, **options)
        seconds.append(time.perf_counter() - begin)
    place = "on the device" if row.objective.on(device).runs_on_devices else "through the host"
    return (
        f"Two records of the gradient of f_D of {row.replicas} replicas, {row.title}, by {row.objective.evaluation.name}: "
        f"{max(seconds[3] - seconds[2], 0):.3g} s, {place}."
    )


def described(device):
    """Return the name of the device."""
    if device.name != "gpu":
        return device.name
    cupy = __import__("cupy")
    return f"{cupy.cuda.runtime.getDeviceProperties(0)['name'].decode()}, CuPy {cupy.__version__}"


def main(words=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="what the table may take")
    parser.add_argument("--stand-in", action="store_true", help="tiny rows on array-api-strict in place of a GPU")
    options = parser.parse_args(words)
    begin = time.perf_counter()
    device = Device("stand-in", __import__("array_api_strict")) if options.stand_in else find_device("gpu")
    print(f"{machine()}; {described(device)}; replica-steps a second of DSGD, float64, measures left out\n")
    print("| work | replicas | host, kernels | device | device / host |\n|---|---|---|---|---|")
    left, last = [], {}
    for row in rows(options.stand_in):
        if time.perf_counter() - begin > options.seconds:
            left.append(f"{row.title}, R = {row.replicas}")
            continue
        print(line(row, device, 0.0 if options.stand_in else _LEAST), flush=True)
        last.setdefault(row.title, row)
    print()
    for row in last.values():
        if time.perf_counter() - begin < 1.2 * options.seconds:
            print(records(row, device), flush=True)
    print(
        "Through the host go: the minimiser x_D*, every constant, and f_D of generalised linear models by rows (values, "
        "gradients, records); on the device are the steps, f itself, and f_D in closed form, by enumeration or Monte Carlo."
    )
    if left:
        print("Left out for time: " + "; ".join(left) + ".")


if __name__ == "__main__":
    main()
