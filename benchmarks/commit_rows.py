"""What `benchmarks.against_commit` times: a process of one version of mastsim, which times rows that are asked for by name.

It is run as a file, so that nothing but mastsim comes from the version.
"""

import sys
import time

import numpy as np
import scipy.sparse as sp

import mastsim as ms

ROWS = {}


def row(title):
    """Register a function that prepares a row and returns what is timed."""
    return lambda prepare: ROWS.setdefault(title, prepare)


def binary(real=False):
    """Return a model of the shape of a5a: 6414 x 123, 14 a row."""
    rng = np.random.Generator(np.random.Philox(0))
    columns = np.sort(np.concatenate([rng.choice(123, 14, replace=False) for _ in range(6414)]).reshape(-1, 14)).ravel()
    entries = rng.uniform(0.5, 1.5, len(columns)) if real else np.ones(len(columns))
    A = sp.csr_array((entries, columns, 14 * np.arange(6415)), shape=(6414, 123))
    return ms.LogisticRegression(A, np.where(rng.random(6414) < 0.25, 1.0, -1.0), condition_number=100)


def text():
    """Return a model of rows like those of text, a tenth of the size."""
    rng = np.random.Generator(np.random.Philox(3))
    columns = np.sort(rng.integers(0, 4_700, (2_000, 75))).ravel()
    values = np.abs(rng.standard_normal(len(columns))) / np.sqrt(75)
    A = sp.csr_array((values, columns, 75 * np.arange(2_001)), (2_000, 4_700))
    A.sum_duplicates()
    return ms.LogisticRegression(A, np.where(rng.random(2_000) < 0.5, 1.0, -1.0), l2=1e-3)


def evaluation(f, sketch, scale):
    """Return the call of value and gradient at a random point."""
    F, x = ms.Mast(f, sketch), scale * np.random.Generator(np.random.Philox(1)).standard_normal(f.dim)
    return lambda: F.value_and_gradient(x)


def steps(f, sketch, count, replicas, sampling=()):
    """Return the call of so many steps of DSGD."""
    F = ms.Mast(f, sketch)
    method = ms.DSGD(ms.theorems.StronglyConvexDSGD(F).stepsize, *sampling)
    keywords = {"steps": count, "replicas": replicas, "seed": 1, "measures": ("distance",), "every": count}
    return lambda: ms.simulate(method, F, **keywords)


def quadratic():
    """Return a quadratic of condition number 100 in 100 dimensions."""
    rng = np.random.Generator(np.random.Philox(100))
    basis = np.linalg.qr(rng.standard_normal((100, 100)))[0]
    A = basis * np.geomspace(0.01, 1, 100) @ basis.T
    return ms.Quadratic((A + A.T) / 2, rng.standard_normal(100))


for _keep, _scale in ((0.1, 0.04), (0.1, 0.1)):
    row(f"f_D and gradient, Bernoulli 0.1, x = {_scale} N(0, I)")(
        lambda scale=_scale: evaluation(binary(), ms.Bernoulli(123, 0.1), scale)
    )
row("f_D and gradient, Rand-12, x = 0.1 N(0, I)")(lambda: evaluation(binary(), ms.RandK(123, 12), 0.1))
row("f_D and gradient, Bernoulli 0.1, real values")(lambda: evaluation(binary(real=True), ms.Bernoulli(123, 0.1), 0.1))
row("f_D and gradient, text rows, Rand-K of half")(lambda: evaluation(text(), ms.RandK(4_700, 2_350), 1e-3))
row("x_D* of Rand-12")(lambda: lambda: ms.Mast(binary(), ms.RandK(123, 12)).minimize())
row("constants of Rand-12")(lambda: lambda: dict(ms.Constants(ms.Mast(binary(), ms.RandK(123, 12)))))
row("DSGD-I, K/d = 0.1, R = 16")(lambda: steps(binary(), ms.RandK(123, 12), 100, 16))
row("DSGD-II, minibatch 32, K/d = 0.1, R = 32")(lambda: steps(binary(), ms.RandK(123, 12), 1_000, 32, (ms.Nice(32),)))
row("quadratic, d = 100, K = 10, R = 32")(lambda: steps(quadratic(), ms.RandK(100, 10), 10_000, 32))


def main():
    """Answer every title on a line of the input with the processor's seconds of one call, or with why there is none."""
    calls = {}
    print(*ROWS, sep="\t", flush=True)
    for line in sys.stdin:
        title = line.strip()
        try:
            if title not in calls:
                calls[title] = ROWS[title]()
                calls[title]()
            begin = time.process_time()
            calls[title]()
            print(time.process_time() - begin, flush=True)
        except Exception as error:
            print(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", flush=True)


if __name__ == "__main__":
    main()
