"""Small sketched quadratics, their minimisers and the full tree of their steps, summed over every value of the sketch."""

import itertools
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

import mastsim as ms


def values_of(sketch):
    """Return (matrix, probability) of every value of a sketch, from its definition."""
    d = sketch.dim
    if isinstance(sketch, ms.Identity):
        return [(np.eye(d), 1.0)]
    if isinstance(sketch, ms.RandK):
        subsets = list(itertools.combinations(range(d), sketch.k))
        return [(np.diag([d / sketch.k * (j in s) for j in range(d)]), 1 / len(subsets)) for s in subsets]
    if isinstance(sketch, ms.Bernoulli):
        keep = np.broadcast_to(sketch.keep, (d,))
        masks = [m for m in itertools.product([0, 1], repeat=d) if all(b or p < 1 for b, p in zip(m, keep, strict=True))]
        return [(np.diag(m / keep), np.prod(np.where(m, keep, 1 - keep))) for m in map(np.array, masks)]
    return list(zip(np.asarray(sketch.matrices), np.asarray(sketch.weights), strict=True))


def solution(F, values):
    """Return H_D and the x_D* nearest to v, by the normal equations of the enumerated f_D."""
    A, b, v = F.problem.A, F.problem.b, F.center
    H = sum(w * S.T @ A @ S for S, w in values)
    return H, v - np.linalg.lstsq(H, A @ v - b, rcond=1e-12)[0]


def exact_rank(F, values):
    """Return the rank of H_D, by elimination over the rational numbers."""
    A, parts = _fractions(F.problem.A), [_fractions(S) for S, _ in values]
    # Any positive weights give the same rank.
    rows = [list(row) for row in sum(S.T @ A @ S for S in parts)]
    rank = 0
    for column in range(len(rows)):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][column] != 0), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for i in range(rank + 1, len(rows)):
            share = rows[i][column] / rows[rank][column]
            rows[i] = [a - share * b for a, b in zip(rows[i], rows[rank], strict=True)]
        rank += 1
    return rank


def _fractions(matrix):
    return np.vectorize(Fraction, otypes=[object])(np.asarray(matrix, dtype=float))


def tree(F, gamma, x0, steps):
    """Return E‖x − x_D*‖², E f_D − f_D^inf and E‖∇f_D‖² at the leaves of the tree of all sketch sequences of a length."""
    values, A, b, v = values_of(F.sketch), F.problem.A, F.problem.b, F.center
    H, best = solution(F, values)
    total = np.zeros(3)
    for path in itertools.product(values, repeat=steps):
        x, chance = np.array(x0, dtype=float), 1.0
        for S, w in path:
            x, chance = x - gamma * S.T @ (A @ (v + S @ (x - v)) - b), chance * w
        y = x - best
        total += chance * np.array([y @ y, 0.5 * y @ H @ y, (H @ y) @ (H @ y)])
    return total


def spd(rng, d, condition, rank=None):
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    spectrum = np.geomspace(1.0, condition, d)
    spectrum[rank if rank is not None else d :] = 0.0
    return basis @ np.diag(spectrum) @ basis.T


def random_oblique(rng, d, count):
    weights = rng.dirichlet(np.full(count, 2.0))
    atoms = rng.standard_normal((count, d, d))
    return ms.FiniteSupport(atoms - np.tensordot(weights, atoms, axes=1) + np.eye(d), weights)


@st.composite
def quadratics(draw, oblique=True, longest=4):
    """Small quadratics with any sketch: d = 1, K = d, keep near 0 and 1, rank deficient, ill-conditioned, shifted."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    d = draw(st.integers(1, 4))
    rank = draw(st.integers(0, d))
    A = spd(rng, d, draw(st.sampled_from([1.0, 10.0, 1e6])), rank) * draw(st.sampled_from([1e-3, 1.0, 1e3]))
    f = ms.Quadratic(A, A @ rng.standard_normal(d), c=draw(st.sampled_from([0.0, -5.0])))
    kind = draw(st.sampled_from(["identity", "randk", "bernoulli", "keeps", *(["finite"] if oblique else [])]))
    keeps = st.sampled_from([1e-3, 0.1, 0.5, 0.9, 1.0])
    sketch = {
        "identity": lambda: ms.Identity(d),
        "randk": lambda: ms.RandK(d, k=draw(st.integers(1, d))),
        "bernoulli": lambda: ms.Bernoulli(d, draw(keeps)),
        "keeps": lambda: ms.Bernoulli(d, np.array(draw(st.lists(keeps, min_size=d, max_size=d)))),
        "finite": lambda: random_oblique(rng, d, draw(st.integers(1, 4))),
    }[kind]()
    shift = rng.standard_normal(d) * draw(st.sampled_from([0.0, 1.0, 30.0]))
    F = ms.Mast(f, sketch, shift=f.minimize().x if draw(st.booleans()) and rank else shift)
    return F, rng.standard_normal(d) * draw(st.sampled_from([0.0, 1.0, 10.0]))
