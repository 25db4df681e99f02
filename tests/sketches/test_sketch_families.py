"""Sketch families against enumeration written here, exact Gaussian and spherical integrals, and laws of samples."""

import itertools
import math
import pickle

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from mastsim.provenance import content_hash
from mastsim.sketches import Bernoulli, DiagonalBatch, FiniteSupport, Identity, MatrixBatch, RandK, Selection, Unscaled
from mastsim.sketches.blocks import BlockBernoulli, BlockRandK
from mastsim.sketches.composed import Composed
from mastsim.sketches.diagonal import IndependentDiagonal
from mastsim.sketches.gaussian import Gaussian
from mastsim.sketches.haar import Haar
from mastsim.sketches.laws import IndependentLaw
from mastsim.sketches.nofm import NofM
from mastsim.sketches.permk import PermK
from mastsim.sketches.rotated import Rotated
from mastsim.sketches.thin_factors import FactorBatch, normals
from mastsim.sketches.unmasked import Unmasked

LONG = np.longdouble
ERROR = 1e-9  # probability with which a correct sampler fails a test that rests on samples


# --- the oracle: every value of a sketch and its probability, listed here --------------------------------------------


def diagonals(rows, weights):
    """Return diagonal matrices and their probabilities in extended precision."""
    rows = np.asarray(rows, dtype=LONG)
    return rows[:, :, None] * np.eye(rows.shape[1], dtype=LONG), np.asarray(weights, dtype=LONG)


def list_coins(labels, keeps):
    """List every pattern of independent blocks; `keeps` follows the sorted labels."""
    names = sorted(set(labels))
    rows, weights = [], []
    for pattern in itertools.product([0, 1], repeat=len(names)):
        kept = dict(zip(names, pattern, strict=True))
        p = dict(zip(names, map(LONG, keeps), strict=True))
        rows.append([kept[b] / p[b] for b in labels])
        weights.append(math.prod(p[b] if kept[b] else 1 - p[b] for b in names))
    return diagonals(rows, weights)


def list_subsets(labels, k):
    """List every choice of `k` of the blocks."""
    names = sorted(set(labels))
    subsets = list(itertools.combinations(names, k))
    return diagonals(
        [[LONG(b in s) * len(names) / k for b in labels] for s in subsets], [LONG(1) / len(subsets)] * len(subsets)
    )


def list_products(values, weights):
    """List every combination of independent diagonal entries."""
    choices = list(itertools.product(*(range(len(row)) for row in values)))
    rows = [[values[i][a] for i, a in enumerate(choice)] for choice in choices]
    chances = [math.prod(LONG(weights[i][a]) for i, a in enumerate(choice)) for choice in choices]
    return diagonals(rows, chances)


def list_composition(outer, inner):
    """List every product of two independent matrices."""
    S = outer[0][:, None] @ inner[0][None]
    return S.reshape(-1, *S.shape[2:]), np.outer(outer[1], inner[1]).ravel()


def rotate_support(support, Q):
    """List QᵀSQ."""
    Q = np.asarray(Q, dtype=LONG)
    return Q.T @ support[0] @ Q, support[1]


def expectation(support, function):
    """Return E function(S)."""
    return sum(w * function(S) for S, w in zip(*support, strict=True))


def dct_matrix(d):
    """Return the orthonormal DCT-II matrix from its definition."""
    j, i = np.meshgrid(np.arange(d), np.arange(d))
    Q = np.sqrt(2 / d) * np.cos(np.pi * (2 * j + 1) * i / (2 * d))
    Q[0] /= np.sqrt(2)
    return Q


# --- what is drawn ---------------------------------------------------------------------------------------------------

KEEPS = st.sampled_from([1.0, 0.5, 1e-3]) | st.floats(1e-3, 1.0)
SEEDS = st.integers(0, 2**32 - 1)


def orthogonal(rng, dim):
    """Draw an orthogonal matrix."""
    return np.linalg.qr(rng.standard_normal((dim, dim)))[0]


@st.composite
def block_bernoullis(draw, dim):
    labels, blocks = draw(block_labels(dim))
    keeps = draw(st.lists(KEEPS, min_size=len(set(labels)), max_size=len(set(labels))))
    if draw(st.booleans()):
        return BlockBernoulli(dim, blocks, keeps[0]), list_coins(labels, [keeps[0]] * len(keeps))
    return BlockBernoulli(dim, blocks, np.array(keeps)), list_coins(labels, keeps)


@st.composite
def block_labels(draw, dim):
    if draw(st.booleans()):
        labels = draw(st.lists(st.integers(-3, 3), min_size=dim, max_size=dim))
        return labels, np.array(labels)
    count = draw(st.sampled_from([1, dim]) | st.integers(1, dim))
    sizes = [dim // count + (b < dim % count) for b in range(count)]
    labels = np.arange(dim) * count // dim
    assert sorted(np.bincount(labels)) == sorted(sizes)
    return labels.tolist(), count


@st.composite
def block_rand_ks(draw, dim):
    labels, blocks = draw(block_labels(dim))
    k = draw(st.integers(1, len(set(labels))))
    return BlockRandK(dim, blocks, k), list_subsets(labels, k)


@st.composite
def n_of_ms(draw, dim):
    m = draw(st.sampled_from([m for m in range(1, dim + 1) if dim % m == 0]))
    n = draw(st.integers(1, m))
    each = [[LONG(j in s) * m / n for j in range(m)] for s in itertools.combinations(range(m), n)]
    rows = [list(itertools.chain(*choice)) for choice in itertools.product(each, repeat=dim // m)]
    return NofM(dim, n, m), diagonals(rows, [LONG(1) / len(rows)] * len(rows))


@st.composite
def perm_ks(draw, dim):
    clients = draw(st.sampled_from([m for m in range(1, dim + 1) if dim % m == 0]))
    return PermK(dim, clients), list_subsets(list(range(dim)), dim // clients)


@st.composite
def independent_diagonals(draw, dim):
    rng = np.random.default_rng(draw(SEEDS))
    count = draw(st.integers(1, 3))
    weights = 0.01 + rng.random((dim, count)) ** 3
    weights /= weights.sum(axis=1, keepdims=True)
    noise = draw(st.sampled_from([0.0, 0.3, 10.0])) * rng.standard_normal((dim, count))
    values = 1 + noise - (weights * noise).sum(axis=1, keepdims=True)
    if draw(st.booleans()):
        padded = [
            np.insert(table, rng.integers(0, count + 1), fill, axis=1) for table, fill in ((weights, 0.0), (values, 99.0))
        ]
        at = draw(st.integers(0, count))
        padded = [np.insert(weights, at, 0.0, axis=1), np.insert(values, at, 99.0, axis=1)]
        return IndependentDiagonal(padded[1], padded[0]), list_products(values, weights)
    return IndependentDiagonal(values, weights), list_products(values, weights)


@st.composite
def finite_supports(draw, dim):
    rng = np.random.default_rng(draw(SEEDS))
    weights = np.array([0.2, 0.8])
    noise = rng.standard_normal((2, dim, dim))
    matrices = np.eye(dim) + noise - np.tensordot(weights, noise, axes=1)
    return FiniteSupport(matrices, weights), (matrices.astype(LONG), weights.astype(LONG))


PLAIN = {
    "BlockBernoulli": block_bernoullis,
    "BlockRandK": block_rand_ks,
    "NofM": n_of_ms,
    "PermK": perm_ks,
    "IndependentDiagonal": independent_diagonals,
}


@st.composite
def rotateds(draw, dim):
    sketch, support = draw(st.sampled_from([*PLAIN.values(), finite_supports]).flatmap(lambda f: f(dim)))
    how = draw(st.sampled_from(["dct", "matrix"] + ["hadamard"] * (dim & (dim - 1) == 0)))
    if how == "matrix":
        Q = orthogonal(np.random.default_rng(draw(SEEDS)), dim)
        return Rotated(sketch, Q), rotate_support(support, Q)
    Q = dct_matrix(dim) if how == "dct" else scipy.linalg.hadamard(dim) / math.sqrt(dim)
    return Rotated(sketch, how), rotate_support(support, Q)


@st.composite
def compositions(draw, dim):
    dim = min(dim, 4)
    factors = st.sampled_from([*PLAIN.values(), finite_supports, rotateds]).flatmap(lambda f: f(dim))
    outer, inner = draw(factors), draw(factors)
    return Composed(outer[0], inner[0]), list_composition(outer[1], inner[1])


@st.composite
def unmaskeds(draw, dim):
    masks = st.sampled_from([block_bernoullis, block_rand_ks, n_of_ms]).flatmap(lambda f: f(max(dim - 1, 1)))
    (sketch, support), count = draw(masks), draw(st.integers(1, 2))
    whole = np.zeros((len(support[0]), sketch.dim + count, sketch.dim + count), dtype=LONG)
    whole[:, : sketch.dim, : sketch.dim] = support[0]
    whole[:, range(sketch.dim, sketch.dim + count), range(sketch.dim, sketch.dim + count)] = 1
    return Unmasked(sketch, count), (whole, support[1])


FAMILIES = {**PLAIN, "Rotated": rotateds, "Composed": compositions, "Unmasked": unmaskeds}


def cases(family):
    """Draw a sketch of a family and, beside it, its list of values."""
    return st.sampled_from([1, 2, 4]).flatmap(family) | st.integers(1, 5).flatmap(family)


def symmetric_matrices(rng, dim):
    """Return symmetric matrices: indefinite, of rank one, ill-conditioned, with an empty diagonal."""
    half, a = rng.standard_normal((dim, dim)), rng.standard_normal(dim)
    basis = orthogonal(rng, dim)
    steep = (basis * np.geomspace(1, 1e-10, dim)) @ basis.T
    hollow = half + half.T
    np.fill_diagonal(hollow, 0)
    return half + half.T, np.outer(a, a), (steep + steep.T) / 2, hollow


def close(found, expected, size, relative=1e-12):
    """Assert agreement to `relative` times the size of the largest term of the sum that was taken."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    assert (np.abs(found - expected) <= relative * np.asarray(size)).all(), float(np.abs(found - expected).max())


# --- matrix moments and constants against enumeration ----------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@given(data=st.data(), seed=SEEDS)
def test_second_and_quadratic_moments(family, data, seed):
    sketch, support = data.draw(cases(family))
    d = sketch.dim
    close(expectation(support, lambda S: S), np.eye(d), 1e-9 + expectation(support, np.abs).max(), 1e-9)
    for A in (np.eye(d), *symmetric_matrices(np.random.default_rng(seed), d)):
        expected = expectation(support, lambda S, A=A: S.T @ A @ S)
        close(sketch.quadratic_moment(A), expected, size_of(sketch, support, A, 1))
    expected = expectation(support, lambda S: S.T @ S)
    close(sketch.second_moment(), expected, size_of(sketch, support, np.eye(d), 1))
    eigenvalues = np.linalg.eigvalsh(expected.astype(float))
    close(np.array([sketch.mu_D, sketch.L_D]), eigenvalues[[0, -1]], 10 * eigenvalues[-1])
    assert sketch.unbiased


def size_of(sketch, support, A, power):
    """Return the size of the terms of E(SᵀAS)^power: of each entry, or of all where a rotation mixes them."""
    if not rotates(sketch):
        return expectation(support, lambda S: np.linalg.matrix_power(np.abs(S).T @ np.abs(A) @ np.abs(S), power))
    return expectation(support, lambda S: (np.sum(S**2) * np.linalg.norm(A)) ** power)


def rotates(sketch):
    """Say whether a rotation is part of a sketch."""
    if isinstance(sketch, Composed):
        return rotates(sketch.outer) or rotates(sketch.inner)
    return isinstance(sketch, Rotated)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@given(data=st.data(), seed=SEEDS)
def test_fourth_moment(family, data, seed):
    sketch, support = data.draw(cases(family))
    for A in (np.eye(sketch.dim), *symmetric_matrices(np.random.default_rng(seed), sketch.dim)):
        expected = expectation(support, lambda S, A=A: S.T @ A @ S @ S.T @ A @ S)
        close(sketch.fourth_moment(A), expected, size_of(sketch, support, A, 2))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@given(data=st.data(), seed=SEEDS)
def test_largest_norm_and_curvature(family, data, seed):
    sketch, (matrices, weights) = data.draw(cases(family))
    S = matrices[weights > 0].astype(float)
    top = (np.linalg.norm(S, ord=2, axis=(1, 2)) ** 2).max()
    assert getattr(sketch, "L_max_is_exact", True)
    assert sketch.L_max == pytest.approx(top, rel=1e-11)
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((sketch.dim, 1 + rng.integers(sketch.dim)))
    A = half @ half.T
    found = sketch.supremum_curvature(A)
    assert found.kind == "exact"
    assert found == pytest.approx(np.linalg.eigvalsh(S.transpose(0, 2, 1) @ A @ S)[:, -1].max(), rel=1e-9)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@given(data=st.data())
def test_support_lists_the_same_law(family, data):
    sketch, (matrices, weights) = data.draw(cases(family))
    batch, chances = sketch.support()
    assert len(chances) == sketch.support_size
    assert abs(chances.sum() - 1) < 1e-12
    found, expected = np.asarray(batch.matrices()), matrices.astype(float)
    scale = max(1.0, np.abs(expected).max())
    together = np.concatenate([found, expected]).reshape(len(found) + len(expected), -1) / scale
    signed = np.concatenate([chances, -weights.astype(float)])
    for value in together[:: 1 + len(together) // 400]:
        assert abs(signed[np.abs(together - value).max(axis=1) < 1e-9].sum()) < 1e-12


# --- the law of aᵀSz -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [*PLAIN.values(), rotateds], ids=[*PLAIN, "Rotated"])
@given(data=st.data(), seed=SEEDS)
def test_scalar_law(family, data, seed):
    sketch, (matrices, weights) = data.draw(cases(family))
    base = sketch.sketch if isinstance(sketch, Rotated) else sketch
    rng = np.random.default_rng(seed)
    a, z = rng.standard_normal((2, sketch.dim))
    a[rng.random(sketch.dim) < 0.3] = 0
    if isinstance(base, FiniteSupport):
        with pytest.raises(ValueError, match="not known in closed form"):
            sketch.projection(a, z)
        return
    law = sketch.projection(a, z)
    values = (matrices @ z @ a).astype(float)
    weights = weights.astype(float)
    size = float((np.abs(matrices) @ np.abs(z) @ np.abs(a)).max()) + 1e-300
    mean = weights @ values
    assert law.mean == pytest.approx(mean, abs=1e-11 * size)
    assert law.mean == pytest.approx(a @ z, abs=1e-9 * size)
    assert law.variance == pytest.approx(weights @ (values - mean) ** 2, abs=1e-11 * size**2)
    t = np.linspace(-3, 3, 6).reshape(2, 3) / size
    close(law.characteristic_function(t), np.exp(1j * t[..., None] * values) @ weights, 1, 1e-10)
    close(law.moment_generating_function(t), np.exp(t[..., None] * values) @ weights, 1, 1e-10)
    assert law.bounds[0] <= values.min() + 1e-11 * size
    assert law.bounds[1] >= values.max() - 1e-11 * size
    listed, chances = law.support()
    assert (np.diff(listed) > 0).all()
    for value in values:
        near = weights[np.abs(values - value) < 1e-9 * size].sum()
        assert chances[np.abs(listed - value) < 1e-9 * size].sum() == pytest.approx(near, abs=1e-11)
    assert chances.sum() == pytest.approx(1, abs=1e-12)


def test_bounds_of_independent_laws_are_attained():
    sketch = IndependentDiagonal([[-1.0, 3.0, 50.0], [0.5, 1.5, -50.0]], [0.5, 0.5, 0.0])
    assert sketch.projection([2.0, -1.0], [1.0, 1.0]).bounds == (-3.5, 5.5)
    assert IndependentLaw(np.zeros((0, 2)), np.zeros((0, 2))).support()[0].tolist() == [0.0]


def test_a_law_with_too_many_values_is_refused():
    sketch = IndependentDiagonal(np.tile([0.0, 2.0], (21, 1)), [0.5, 0.5])
    law = sketch.projection(np.arange(21.0) + 1, np.ones(21))
    assert law.variance == pytest.approx((np.arange(22.0) ** 2).sum())
    with pytest.raises(ValueError, match="more than 1048576 combinations"):
        law.support()


# --- fourth moments of selections with groups and units of any size --------------------------------------------------


def mixed_selections():
    """Return selections and the lists of their values: blocks of several sizes inside groups of several sizes."""
    unit = np.array([0, 1, 1, 2, 3, 3, 4, 5])
    one = Selection(unit, np.array([0, 0, 0, 1, 1, 2]), np.array([3, 2, 1]), np.array([2.0, 1.0, 0.25]))
    two = Selection(np.array([2, 0, 1, 0, 3]), np.zeros(4, dtype=int), np.array([4]), np.array([3.0]))
    one_support = []
    for first in itertools.combinations([0, 1, 2], 2):
        for second in ([3], [4]):
            for third, chance in (([5], 0.25), ([], 0.75)):
                kept = {*first, *second, *third}
                scale = [1.5, 1.5, 1.5, 2, 2, 4]
                one_support.append(([scale[u] * (u in kept) for u in unit], chance / 6))
    two_support = [([4 / 3 * (u in kept) for u in two.unit], 0.25) for kept in itertools.combinations(range(4), 3)]
    return [(one, one_support), (two, two_support)]


@pytest.mark.parametrize(("selection", "listed"), mixed_selections())
def test_fourth_moment_of_mixed_selections(selection, listed):
    support = diagonals(*zip(*listed, strict=True))
    d = len(selection.unit)
    close(expectation(support, lambda S: S), np.eye(d), 1)
    for A in (*symmetric_matrices(np.random.default_rng(0), d), np.random.default_rng(1).standard_normal((d, d))):
        expected = expectation(support, lambda S, A=A: S @ A @ S @ S @ A @ S)
        absolute = expectation(support, lambda S, A=A: S @ np.abs(A) @ S @ S @ np.abs(A) @ S)
        close(selection.fourth_moment(A), expected, absolute)
    for k in range(d):
        expected = expectation(support, lambda S, k=k: np.outer(np.diag(S), np.diag(S)) * S[k, k] ** 2)
        close(selection.mixed_moments(k), expected, expected)


@given(data=st.data(), seed=SEEDS)
def test_fourth_moment_of_products_with_independent_diagonals(data, seed):
    rng = np.random.default_rng(seed)
    dim = data.draw(st.integers(1, 4))
    noise, weights = rng.standard_normal((dim, 2)), np.array([0.3, 0.7])
    values = 1 + noise - (noise @ weights)[:, None]
    diagonal = IndependentDiagonal(values, weights), list_products(values, np.tile(weights, (dim, 1)))
    other = data.draw(st.sampled_from([*PLAIN.values()]).flatmap(lambda f: f(dim)))
    A = symmetric_matrices(rng, dim)[0]
    for outer, inner in ((diagonal, other), (other, diagonal), (diagonal, diagonal)):
        sketch, support = Composed(outer[0], inner[0]), list_composition(outer[1], inner[1])
        expected = expectation(support, lambda S: S.T @ A @ S @ S.T @ A @ S)
        close(sketch.fourth_moment(A), expected, size_of(sketch, support, A, 2))


@pytest.mark.parametrize(
    "sketch", [Bernoulli(60, 0.3), RandK(60, 7), NofM(60, 2, 4), BlockRandK(60, 7, 3)], ids=lambda s: s.name
)
def test_fourth_moment_is_the_sum_of_mixed_moments_in_larger_dimension(sketch):
    A = symmetric_matrices(np.random.default_rng(5), 60)[0]
    each = (sketch.law.mixed_moments(k) * np.outer(A[:, k], A[k]) for k in range(60))
    expected = sum(each, np.zeros((60, 60)))
    close(sketch.law.fourth_moment(A), expected, np.abs(expected).max())


def test_fourth_moment_is_refused_where_it_is_not_known(monkeypatch):
    A = np.eye(3)
    wishart_of_finite = Composed(Gaussian(3, 2), FiniteSupport([np.eye(3) * 2, np.zeros((3, 3))]))
    for sketch in (wishart_of_finite, Composed(Haar(3, 2), RandK(3, 1)), Rotated(Composed(Haar(3, 2), Haar(3, 1)), "dct")):
        with pytest.raises(ValueError, match=r"not known in closed form.*use the mean of \(SᵀAS\)² over draws"):
            sketch.fourth_moment(A)
    monkeypatch.setattr("mastsim.sketches.base.ENUMERATION_LIMIT", 35)
    with pytest.raises(ValueError, match="after finite support of 2, whose 4 values are too many to enumerate"):
        Composed(*[FiniteSupport([np.eye(3) * 2, np.zeros((3, 3))])] * 2).fourth_moment(A)


# --- Gaussian: exact moments of products of independent normal numbers -----------------------------------------------


def normal_moment(indices):
    """Return E of a product of independent standard normal numbers, given by their (repeated) names."""
    powers = [list(indices).count(i) for i in set(indices)]
    return 0 if any(p % 2 for p in powers) else math.prod(math.prod(range(p - 1, 0, -2)) for p in powers)


def normal_tensor(d, order):
    """Return E[g ⊗ … ⊗ g], `order` factors, for a standard normal vector."""
    tensor = np.zeros((d,) * order)
    for index in itertools.product(range(d), repeat=order):
        tensor[index] = normal_moment(index)
    return tensor


def wishart_product(d, k, A):
    """Return E[W A W W A W] with W = GᵀG, summing over the rows of G that the four W take."""
    total = np.zeros((d, d))
    for rows in itertools.product(range(k), repeat=4):
        for i, a, b, c, e, f, j in itertools.product(range(d), repeat=7):
            if A[a, b] and A[e, f]:
                entries = zip(np.repeat(rows, 2).tolist(), (i, a, b, c, c, e, f, j), strict=True)
                total[i, j] += A[a, b] * A[e, f] * normal_moment(tuple(entries))
    return total


@pytest.mark.parametrize(("d", "k"), [(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (2, 3), (3, 1)])
def test_gaussian_fourth_moment_by_isserlis(d, k):
    for A in symmetric_matrices(np.random.default_rng(d + 10 * k), d)[:2]:
        expected = wishart_product(d, k, A) / k**4
        close(Gaussian(d, k).fourth_moment(A), expected, np.abs(expected).max())


@pytest.mark.parametrize(("d", "k"), [(3, 1), (4, 1), (5, 1)])
def test_gaussian_moments_of_one_row(d, k):
    g4 = normal_tensor(d, 4)
    A = np.random.default_rng(d).standard_normal((d, d))
    close(Gaussian(d, k).quadratic_moment(A), np.einsum("iabj,ab->ij", g4, A), 10)
    close(Gaussian(d, k).second_moment(), np.einsum("iaaj->ij", g4), 10)


def test_gaussian_moments_of_several_rows_by_independence():
    d, k, A = 3, 4, np.random.default_rng(0).standard_normal((3, 3))
    same, different = np.einsum("iabj,ab->ij", normal_tensor(d, 4), A), A
    expected = (k * same + k * (k - 1) * different) / k**2
    close(Gaussian(d, k).quadratic_moment(A), expected, 10)
    spectrum = np.linalg.eigvalsh((k * np.einsum("iaaj->ij", normal_tensor(d, 4)) + k * (k - 1) * np.eye(d)) / k**2)
    close(np.array([Gaussian(d, k).mu_D, Gaussian(d, k).L_D]), spectrum[[0, -1]], 10)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_gaussian_scalar_law_by_quadrature(k):
    a, z = np.array([1.0, -2.0, 0.5]), np.array([0.3, 0.4, 1.0])
    law = Gaussian(3, k).projection(a, z)
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    basis = np.linalg.qr(np.stack([a, z]).T)
    u, v = np.meshgrid(nodes, nodes)
    product = (basis[1][0, 0] * u + basis[1][1, 0] * v) * (basis[1][0, 1] * u + basis[1][1, 1] * v) / k
    chance = np.outer(weights, weights)
    for s in (0.4j, -0.7j, 0.05, -0.05):
        expected = (np.exp(s * product) * chance).sum() ** k
        found = law.characteristic_function(s.imag) if isinstance(s, complex) else law.moment_generating_function(s)
        assert found == pytest.approx(expected, rel=1e-9)
    assert law.mean == pytest.approx(k * (product * chance).sum(), rel=1e-12)
    assert law.variance == pytest.approx(k * ((product - law.mean / k) ** 2 * chance).sum(), rel=1e-10)


def test_gaussian_scalar_law_at_its_ends():
    law = Gaussian(2, 3).projection([1.0, 0.0], [2.0, 0.0])
    assert law.bounds == (0.0, math.inf)
    assert law.moment_generating_function(np.array([0.0, 0.74, 0.76, 5.0])).tolist()[2:] == [math.inf, math.inf]
    assert np.isfinite(law.moment_generating_function(0.74))
    assert Gaussian(2, 3).projection([1.0, 0.0], [0.0, 1.0]).bounds == (-math.inf, math.inf)
    assert Gaussian(2, 3).projection([0.0, 0.0], [0.0, 1.0]).bounds == (0.0, 0.0)
    with pytest.raises(ValueError, match="has a density"):
        law.support()
    assert Rotated(Gaussian(2, 3), "dct").projection([1.0, 0.0], [2.0, 0.0]).variance == pytest.approx(law.variance)


# --- Haar: exact integrals over the sphere ---------------------------------------------------------------------------


def sphere_tensor(d, order):
    """Return E[n ⊗ … ⊗ n] for a uniform unit vector: the normal moments divided by those of the radius."""
    return normal_tensor(d, order) / math.prod(range(d, d + order, 2))


def line_moments(d, A):
    """Return E[PAP] and E[PAPAP] for P = nnᵀ and for P = I − nnᵀ."""
    n4, n6 = sphere_tensor(d, 4), sphere_tensor(d, 6)

    def nxn(X):
        return np.einsum("iabj,ab->ij", n4, X)

    def nxnyn(X, Y):
        return np.einsum("iabcej,ab,ce->ij", n6, X, Y)

    mean, eye = np.eye(d) / d, np.eye(d)
    line = nxn(A), nxnyn(A, A)
    # (I − N)A(I − N)A(I − N) multiplied out.
    cubic = A @ A - mean @ A @ A - A @ mean @ A - A @ A @ mean + nxn(A) @ A + nxn(A @ eye @ A) + A @ nxn(A) - nxnyn(A, A)
    return line, (A - mean @ A - A @ mean + nxn(A), cubic)


def through(points, k):
    """Return the value at `k` of the polynomial through the given values."""
    total = 0
    for at, value in points.items():
        total = total + value * math.prod((k - other) / (at - other) for other in points if other != at)
    return total


@pytest.mark.parametrize("d", [3, 4, 5])
def test_haar_moments_by_interpolation_in_k(d):
    # The moments of P of order m are polynomials in k of degree m that vanish at k = 0; at k = d they are those of I.
    for A in symmetric_matrices(np.random.default_rng(d), d)[:2]:
        (line2, line3), (plane2, plane3) = line_moments(d, A)
        close(through({0: 0 * A, 1: line2, d: A}, d - 1), plane2, 10)
        for k in range(1, d + 1):
            expected = (d / k) ** 2 * through({0: 0 * A, 1: line2, d: A}, k)
            close(Haar(d, k).quadratic_moment(A), expected, np.abs(expected).max())
            expected = (d / k) ** 4 * through({0: 0 * A, 1: line3, d - 1: plane3, d: A @ A}, k)
            close(Haar(d, k).fourth_moment(A), expected, 10 * np.abs(expected).max())


def test_haar_moments_in_the_plane_by_quadrature():
    angles = 2 * np.pi * np.arange(32) / 32
    n = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    check_lines(Haar(2, 1), n, np.full(32, 1 / 32))


def test_haar_moments_in_space_by_quadrature():
    heights, weights = np.polynomial.legendre.leggauss(10)
    angles = 2 * np.pi * np.arange(20) / 20
    h, t = np.meshgrid(heights, angles)
    n = np.stack([np.sqrt(1 - h**2) * np.cos(t), np.sqrt(1 - h**2) * np.sin(t), h], axis=-1).reshape(-1, 3)
    check_lines(Haar(3, 1), n, np.tile(weights / 40, 20))


def check_lines(sketch, n, weights):
    """Compare moments of lines with those of the directions `n`."""
    S = sketch.dim * n[:, :, None] * n[:, None, :]
    close(np.tensordot(weights, S, axes=1), np.eye(sketch.dim), 1)
    for A in symmetric_matrices(np.random.default_rng(7), sketch.dim):
        close(sketch.quadratic_moment(A), np.tensordot(weights, S @ A @ S, axes=1), 10)
        close(sketch.fourth_moment(A), np.tensordot(weights, S @ A @ S @ S @ A @ S, axes=1), 100)
    close(sketch.second_moment(), np.tensordot(weights, S @ S, axes=1), 10)
    other = np.random.default_rng(8).standard_normal((sketch.dim, sketch.dim))
    close(sketch.quadratic_moment(other), np.tensordot(weights, S @ other @ S, axes=1), 10)


@pytest.mark.parametrize(("d", "k"), [(1, 1), (2, 1), (3, 2), (6, 6), (40, 11)])
def test_haar_constants(d, k):
    sketch = Haar(d, k)
    batch = sketch.sample(np.random.default_rng(0), 4)
    low, high = np.linalg.eigvalsh(batch.matrices())[:, [0, -1]].T
    close(high, np.full(4, d / k), d / k)
    assert np.abs(low - (k == d)).max() < 1e-12 * d / k
    assert sketch.L_max == pytest.approx((d / k) ** 2, rel=1e-14)
    assert sketch.L_D == sketch.mu_D == sketch.second_moment()[0, 0] == d / k
    A = np.diag(np.arange(1.0, d + 1))
    assert sketch.supremum_curvature(A) == pytest.approx((d / k) ** 2 * d)
    assert sketch.supremum_curvature(A).kind == "exact"


def test_the_supremum_of_haar_curvature_is_essential():
    A, sketch = np.diag([1.0, 0.1]), Haar(2, 1)
    S = sketch.sample(np.random.default_rng(0), 4000).matrices()
    tops = np.linalg.eigvalsh(S @ A @ S)[:, -1]
    assert 0.999 * sketch.supremum_curvature(A) < tops.max() <= sketch.supremum_curvature(A) * (1 + 1e-12)


# --- the laws of samples ---------------------------------------------------------------------------------------------


def assert_law(samples, law):
    """Bound the Kolmogorov distance by Massart's inequality: a correct sampler fails with probability at most ERROR."""
    ordered = np.sort(samples)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    exact = law.cdf(ordered)
    distance = max((steps[1:] - exact).max(), (exact - steps[:-1]).max())
    assert distance <= math.sqrt(math.log(2 / ERROR) / (2 * len(ordered)))


def test_normals_are_normal():
    u = np.random.default_rng(0).random((20000, 8))
    drawn = normals(u, (7,))
    for column in drawn.T:
        assert_law(column, scipy.stats.norm())
    for i, j in itertools.combinations(range(7), 2):
        assert_law(drawn[:, i] * drawn[:, i] + drawn[:, j] * drawn[:, j], scipy.stats.chi2(2))
        assert_law((drawn[:, i] + drawn[:, j]) / math.sqrt(2), scipy.stats.norm())


@pytest.mark.parametrize(("d", "k"), [(3, 1), (4, 2), (2, 5)])
def test_gaussian_samples_have_their_law(d, k):
    z = np.random.default_rng(1).standard_normal(d)
    drawn = Gaussian(d, k).sample(np.random.default_rng(2), 50000).apply(z) @ z
    assert_law(drawn, scipy.stats.chi2(k, scale=z @ z / k))


def test_gaussian_samples_across_directions():
    a, z = np.array([0.6, 0.8, 0.0]), np.array([0.8, -0.6, 0.0])
    drawn = Gaussian(3, 2).sample(np.random.default_rng(3), 50000).apply(z) @ a
    assert_law(drawn, scipy.stats.laplace(scale=0.5))


@pytest.mark.parametrize(("d", "k"), [(2, 1), (4, 2), (5, 1), (5, 4)])
def test_haar_samples_have_their_law(d, k):
    z = np.random.default_rng(1).standard_normal(d)
    drawn = Haar(d, k).sample(np.random.default_rng(2), 50000).apply(z) @ z
    assert_law(drawn, scipy.stats.beta(k / 2, (d - k) / 2, scale=d / k * (z @ z)))


def test_haar_sample_moments():
    sketch, count = Haar(4, 2), 100000
    A = symmetric_matrices(np.random.default_rng(0), 4)[0]
    S = sketch.sample(np.random.default_rng(4), count).matrices()
    for mean, expected, largest in (
        (S.mean(axis=0), np.eye(4), 2),
        ((S @ A @ S).mean(axis=0), sketch.quadratic_moment(A), 4 * np.linalg.norm(A, 2)),
        ((S @ A @ S @ S @ A @ S).mean(axis=0), sketch.fourth_moment(A), 16 * np.linalg.norm(A, 2) ** 2),
    ):
        # Hoeffding's inequality for each of the 16 entries, which lie in [−largest, largest].
        assert np.abs(mean - expected).max() <= largest * math.sqrt(2 * math.log(2 * 16 * 3 / ERROR) / count)


SAMPLED = [
    (BlockBernoulli(5, np.array([1, 0, 1, 2, 2]), np.array([0.2, 0.7, 1.0])), list_coins([1, 0, 1, 2, 2], [0.2, 0.7, 1.0])),
    (BlockRandK(5, 3, 2), list_subsets([0, 0, 1, 1, 2], 2)),
    (PermK(4, 2), list_subsets([0, 1, 2, 3], 2)),
    (
        IndependentDiagonal([[0.5, 1.5, 9.0], [0.0, 4.0, 0.0]], [[0.5, 0.5, 0.0], [0.7, 0.25, 0.05]]),
        list_products([[0.5, 1.5], [0.0, 4.0]], [[0.5, 0.5], [0.75, 0.25]]),
    ),
    (
        NofM(4, 1, 2),
        diagonals([[2, 0, 2, 0], [2, 0, 0, 2], [0, 2, 2, 0], [0, 2, 0, 2]], [0.25] * 4),
    ),
    (
        Composed(RandK(2, 1), Bernoulli(2, 0.25)),
        list_composition(list_subsets([0, 1], 1), list_coins([0, 1], [0.25, 0.25])),
    ),
    (
        Composed(FiniteSupport([[[2.0, 1.0], [0.0, 0.0]], [[0.0, -1.0], [0.0, 2.0]]]), RandK(2, 1)),
        list_composition((np.array([[[2, 1], [0, 0]], [[0, -1], [0, 2]]], dtype=LONG), [0.5, 0.5]), list_subsets([0, 1], 1)),
    ),
    (Rotated(RandK(2, 1), "hadamard"), rotate_support(list_subsets([0, 1], 1), scipy.linalg.hadamard(2) / math.sqrt(2))),
]


@pytest.mark.parametrize(("sketch", "support"), SAMPLED, ids=lambda x: getattr(x, "name", ""))
def test_sample_frequencies(sketch, support):
    count, values = 20000, {}
    for S, w in zip(*support, strict=True):
        key = tuple(np.round(S.astype(float), 6).ravel() + 0.0)
        values[key] = values.get(key, 0) + float(w)
    drawn = np.round(np.asarray(sketch.sample(np.random.default_rng(11), count).matrices()), 6).reshape(count, -1) + 0.0
    seen, counts = np.unique(drawn, axis=0, return_counts=True)
    found = {tuple(row): int(n) for row, n in zip(seen, counts, strict=True)}
    assert set(found) <= {key for key, w in values.items() if w > 0}
    for key, w in values.items():
        # The exact binomial test of each frequency, joined by the union bound.
        assert scipy.stats.binomtest(found.get(key, 0), count, min(w, 1.0)).pvalue > ERROR / len(values)


def test_independent_entries_take_each_value_as_often_as_they_should():
    weights = np.array([[0.25, 0.0, 0.625, 0.125, 0.0], [0.0, 0.5, 0.0, 0.0, 0.5]])
    values = np.array([[2.0, 7.0, 0.5, 1.5, 8.0], [9.0, 0.0, 9.0, 9.0, 2.0]])
    values[0, 3] = (1 - 0.5 - 0.3125) / 0.125
    sketch = IndependentDiagonal(values, weights)
    grid = (np.arange(1000) + 0.5) / 1000
    drawn = sketch.from_uniforms(np.stack([grid, grid], axis=1)).diagonals
    for own, table, chance in zip(drawn.T, values, weights, strict=True):
        assert [(own == v).sum() for v in table[chance > 0]] == (1000 * chance[chance > 0]).tolist()
    sevenths = IndependentDiagonal(np.array([[0.0] * 6 + [7.0, 50.0]]), np.array([[1 / 7] * 7 + [0.0]]))
    assert sevenths.from_uniforms(np.array([[np.nextafter(1.0, 0.0)]])).diagonals.tolist() == [[7.0]]


# --- Perm-K, jointly -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "clients"), [(1, 1), (2, 2), (4, 2), (3, 3), (6, 3), (6, 2), (5, 1)])
def test_perm_k_over_all_permutations(d, clients):
    sketch = PermK(d, clients)
    u = np.array(list(itertools.permutations((np.arange(d) + 0.5) / d)))
    joint = [batch.diagonals for batch in sketch.joint.from_uniforms(u)]
    assert len(joint) == clients
    assert (sum(joint) / clients == 1).all()
    # Uniform numbers come in every order equally often, so every row has the same probability.
    subsets, counts = np.unique(joint[0], axis=0, return_counts=True)
    assert len(subsets) == math.comb(d, sketch.k)
    assert (counts == counts[0]).all()
    A = np.random.default_rng(0).standard_normal((d, d))
    for i, j in itertools.permutations(range(clients), 2):
        expected = np.mean(joint[i][:, :, None] * A * joint[j][:, None, :], axis=0)
        close(sketch.cross_moment(A), expected, 10)
    for c in joint:
        close(sketch.quadratic_moment(A), np.mean(c[:, :, None] * A * c[:, None, :], axis=0), 100)


@given(data=st.data(), seed=SEEDS)
def test_perm_k_joint_draws_average_to_the_identity(data, seed):
    clients, k = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 5))
    sketch = PermK(clients * k, clients)
    batches = sketch.sample_joint(np.random.default_rng(seed), 3)
    assert (sum(batch.diagonals for batch in batches) / clients == np.ones((3, sketch.dim))).all()
    for batch in batches:
        assert isinstance(batch, DiagonalBatch)
        assert ((batch.diagonals != 0).sum(axis=1) == k).all()
        assert set(np.unique(batch.diagonals)) <= {0.0, float(clients)}
    together = sketch.joint.from_uniforms(u := np.random.default_rng(seed).random((4, sketch.joint.uniforms)))
    alone = sketch.joint.from_uniforms(u[2:3])
    assert all((a.diagonals[2] == b.diagonals[0]).all() for a, b in zip(together, alone, strict=True))


def test_perm_k_refuses_a_cross_moment_of_one_client():
    with pytest.raises(ValueError, match="two different clients"):
        PermK(3, 1).cross_moment(np.eye(3))
    with pytest.raises(TypeError, match=r"numpy\.random\.Generator"):
        PermK(3, 1).sample_joint(0, 2)
    with pytest.raises(ValueError, match="size=0"):
        PermK(3, 1).sample_joint(np.random.default_rng(0), 0)


# --- limits: where families meet -------------------------------------------------------------------------------------


def assert_same_law(one, other, rng):
    """Compare constants and matrix moments of two sketches, and their draws where they take the same random numbers."""
    for name in ("L_max", "L_D", "mu_D"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12), name
    for A in symmetric_matrices(rng, one.dim):
        size = np.abs(A).max() * other.L_max
        close(one.quadratic_moment(A), other.quadratic_moment(A), size)
        close(one.fourth_moment(A), other.fourth_moment(A), one.dim * size**2)


LIMITS = [
    (BlockBernoulli(4, 4, 0.3), Bernoulli(4, 0.3)),
    (
        BlockBernoulli(4, np.array([3, 2, 1, 0]), np.array([0.1, 0.2, 0.3, 0.4])),
        Bernoulli(4, np.array([0.4, 0.3, 0.2, 0.1])),
    ),
    (BlockBernoulli(4, 2, 1.0), Identity(4)),
    (BlockRandK(4, 4, 2), RandK(4, 2)),
    (BlockRandK(4, 1, 1), Identity(4)),
    (BlockRandK(4, 3, 3), Identity(4)),
    (NofM(4, 2, 4), RandK(4, 2)),
    (NofM(4, 1, 1), Identity(4)),
    (NofM(4, 2, 2), Identity(4)),
    (PermK(4, 1), Identity(4)),
    (PermK(4, 2), RandK(4, 2)),
    (IndependentDiagonal(np.ones((4, 1)), [1.0]), Identity(4)),
    (IndependentDiagonal(np.tile([0.0, 4.0], (4, 1)), [0.75, 0.25]), Bernoulli(4, 0.25)),
    (IndependentDiagonal.with_second_moments([1.0, 2.0, 4.0, 1e3]), Bernoulli(4, np.array([1.0, 0.5, 0.25, 1e-3]))),
    (Haar(4, 4), Identity(4)),
    (Haar(1, 1), Identity(1)),
    (Rotated(RandK(4, 2), np.eye(4)), RandK(4, 2)),
    (Rotated(RandK(4, 2), np.eye(4)[[2, 0, 3, 1]]), RandK(4, 2)),
    (Rotated(Identity(4), "hadamard"), Identity(4)),
    (Rotated(Haar(4, 2), "dct"), Haar(4, 2)),
    (Composed(Identity(4), RandK(4, 1)), RandK(4, 1)),
    (Composed(RandK(4, 1), Identity(4)), RandK(4, 1)),
    (Composed(Haar(4, 2), RandK(4, 4)), Haar(4, 2)),
    (Composed(Haar(4, 4), Haar(4, 1)), Haar(4, 1)),
    (Composed(Bernoulli(4, 0.5), Bernoulli(4, 0.2)), Bernoulli(4, 0.1)),
    (Composed(Bernoulli(4, 0.5), Composed(Bernoulli(4, 0.2), Identity(4))), Bernoulli(4, 0.1)),
]


@pytest.mark.parametrize(("one", "other"), LIMITS, ids=lambda s: s.name)
def test_limits(one, other):
    assert_same_law(one, other, np.random.default_rng(0))


def test_haar_with_k_equal_to_d_is_the_identity_bitwise():
    batch = Haar(5, 5).sample(np.random.default_rng(0), 3)
    z = np.random.default_rng(1).standard_normal((3, 5))
    assert (batch.apply(z) == z).all()
    assert Haar(5, 5).support_size == 1
    assert (Haar(5, 5).support()[0].matrices() == np.eye(5)).all()


# --- metamorphic -----------------------------------------------------------------------------------------------------


@given(data=st.data(), seed=SEEDS)
def test_permuting_coordinates_permutes_moments(data, seed):
    rng = np.random.default_rng(seed)
    dim = data.draw(st.integers(1, 6))
    order = rng.permutation(dim)
    labels, keep = rng.integers(0, 3, dim), rng.uniform(0.05, 1, 3)
    present = np.unique(labels)
    A = symmetric_matrices(rng, dim)[0]
    values = 1 + rng.standard_normal((dim, 1)) * np.array([[1.0, -1.0]])
    for sketch, permuted in (
        (BlockBernoulli(dim, labels, keep[: len(present)]), BlockBernoulli(dim, labels[order], keep[: len(present)])),
        (BlockRandK(dim, labels, 1), BlockRandK(dim, labels[order], 1)),
        (IndependentDiagonal(values, [0.5, 0.5]), IndependentDiagonal(values[order], [0.5, 0.5])),
        (PermK(dim, dim), PermK(dim, dim)),
    ):
        shuffled = A[np.ix_(order, order)]
        close(permuted.quadratic_moment(shuffled), sketch.quadratic_moment(A)[np.ix_(order, order)], 1e3)
        expected = sketch.fourth_moment(A)[np.ix_(order, order)]
        close(permuted.fourth_moment(shuffled), expected, np.abs(expected).max() * dim)
        assert permuted.L_max == sketch.L_max


@pytest.mark.parametrize("sketch", [Haar(5, 2), Gaussian(5, 2)], ids=lambda s: s.name)
def test_rotating_the_matrix_rotates_invariant_moments(sketch):
    rng = np.random.default_rng(0)
    Q, A = orthogonal(rng, 5), symmetric_matrices(rng, 5)[0]
    turned = Q @ A @ Q.T
    turned = (turned + turned.T) / 2
    close(sketch.quadratic_moment(turned), Q @ sketch.quadratic_moment(A) @ Q.T, 100)
    close(sketch.fourth_moment(turned), Q @ sketch.fourth_moment(A) @ Q.T, 1e5)


def test_splitting_a_block_leaves_its_inner_products_to_chance():
    A = np.ones((2, 2))
    whole, split = BlockBernoulli(2, 1, 0.25), BlockBernoulli(2, 2, 0.25)
    assert whole.quadratic_moment(A)[0, 1] == 4
    assert split.quadratic_moment(A)[0, 1] == 1


# --- batches ---------------------------------------------------------------------------------------------------------

BATCHED = [
    BlockRandK(8, 3, 2),
    NofM(8, 2, 4),
    IndependentDiagonal(np.tile([-1.0, 3.0], (8, 1)), [0.5, 0.5]),
    Haar(8, 3),
    Haar(8, 8),
    Haar(5, 1),
    Gaussian(8, 3),
    Gaussian(3, 8),
    Rotated(RandK(8, 3), "hadamard"),
    Rotated(RandK(123, 20), "dct"),
    Rotated(Gaussian(7, 3), "dct"),
    Rotated(FiniteSupport([[[2.0, 1.0], [0.0, 0.0]], [[0.0, -1.0], [0.0, 2.0]]]), "dct"),
    Rotated(RandK(8, 3), orthogonal(np.random.default_rng(0), 8)),
    Composed(RandK(8, 3), Bernoulli(8, 0.5)),
    Composed(Haar(8, 3), RandK(8, 4)),
    Composed(Rotated(RandK(8, 3), "dct"), Gaussian(8, 2)),
]


@pytest.mark.parametrize("sketch", BATCHED, ids=lambda s: s.name)
def test_batches_agree_with_their_matrices(sketch):
    rng = np.random.default_rng(0)
    batch = sketch.sample(rng, 9)
    S = np.asarray(batch.matrices())
    for z in (rng.standard_normal((9, sketch.dim)), rng.standard_normal(sketch.dim), rng.integers(-9, 9, sketch.dim)):
        each = np.broadcast_to(z, (9, sketch.dim))
        size = np.linalg.norm(S, axis=(1, 2)).max() * np.linalg.norm(each, axis=1).max()
        close(batch.apply(z), np.einsum("rij,rj->ri", S, each), size)
        close(batch.apply_transpose(z), np.einsum("rji,rj->ri", S, each), size)
    squares = np.linalg.svd(S, compute_uv=False) ** 2
    low, high = batch.square_norms()
    close(high, squares[:, 0], squares[:, 0])
    close(low, squares[:, -1], squares[:, 0])


@pytest.mark.parametrize("sketch", BATCHED, ids=lambda s: s.name)
def test_a_draw_does_not_depend_on_those_beside_it(sketch):
    rng = np.random.default_rng(0)
    u, z = rng.random((7, sketch.uniforms)), rng.standard_normal((7, sketch.dim))
    u[3], u[4] = 0.0, np.nextafter(1.0, 0.0)
    together = sketch.from_uniforms(u)
    for i in range(7):
        alone = sketch.from_uniforms(u[i : i + 1])
        assert np.array_equal(alone.apply(z[i : i + 1])[0], together.apply(z)[i])
        assert np.array_equal(alone.apply_transpose(z[i : i + 1])[0], together.apply_transpose(z)[i])
        assert np.isfinite(alone.apply(z[i : i + 1])).all()


def test_subspace_sketches_stay_thin():
    for sketch in (Haar(20000, 3), Gaussian(20000, 3)):
        batch = sketch.sample(np.random.default_rng(0), 2)
        assert batch.factor.shape == (2, 20000, 3)
        assert batch.apply(np.ones(20000)).shape == (2, 20000)
    assert Haar(3, 1).uniforms == 4
    assert Gaussian(4, 1).uniforms == 4


@pytest.mark.parametrize(("rotation", "dim"), [("hadamard", 1), ("hadamard", 1 << 16), ("dct", 1), ("dct", 60001)])
def test_fast_rotations_are_orthogonal_and_undone(rotation, dim):
    S, x = Rotated(Identity(dim), rotation), np.random.default_rng(0).standard_normal((2, dim))
    y = S.rotate(x)
    close(np.linalg.norm(y, axis=1), np.linalg.norm(x, axis=1), np.linalg.norm(x))
    close(S.rotate_back(y), x, np.abs(x).max() * 10)


@pytest.mark.parametrize("dim", [1, 2, 8, 16])
def test_rotations_are_the_matrices_of_their_names(dim):
    x = np.random.default_rng(0).standard_normal((3, dim))
    Q = orthogonal(np.random.default_rng(1), dim)
    for rotation, matrix in (("hadamard", scipy.linalg.hadamard(dim) / math.sqrt(dim)), ("dct", dct_matrix(dim)), (Q, Q)):
        S = Rotated(RandK(dim, 1), rotation)
        close(S.rotate(x), x @ matrix.T, 10)
        close(S.rotate_back(x), x @ matrix, 10)
        close(S.rotate(x[0]), matrix @ x[0], 10)


def test_a_rotated_model_is_the_model_of_rotated_data():
    rng = np.random.default_rng(0)
    S, a, z = Rotated(RandK(8, 3), "hadamard"), rng.standard_normal(8), rng.standard_normal(8)
    u = rng.random((5, S.uniforms))
    inside = S.sketch.from_uniforms(u).apply(S.rotate(z)) @ S.rotate(a)
    close(S.from_uniforms(u).apply(z) @ a, inside, 100)


# --- compositions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sketch", "exact"),
    [
        (Composed(RandK(30, 10), Bernoulli(30, 0.5)), True),
        (Composed(RandK(4, 2), FiniteSupport([np.eye(4)])), True),
        (Composed(Gaussian(4, 2), Haar(4, 2)), True),
        (Composed(Haar(4, 2), RandK(4, 2)), False),
        (Composed(Composed(RandK(30, 10), Haar(30, 4)), RandK(30, 3)), False),
    ],
    ids=lambda s: getattr(s, "name", str(s)),
)
def test_compositions_say_whether_their_norm_is_exact(sketch, exact):
    assert sketch.L_max_is_exact is exact
    high = np.linalg.norm(sketch.sample(np.random.default_rng(0), 50).matrices(), ord=2, axis=(1, 2)) ** 2
    assert (high <= sketch.L_max * (1 + 1e-12)).all()


def test_the_norm_of_a_composition_is_below_the_product():
    first = FiniteSupport([np.diag([2.0, 0.0]), np.diag([0.0, 2.0])])
    second = IndependentDiagonal([[1.0, 1.0], [0.0, 2.0]], [0.5, 0.5])
    third = IndependentDiagonal([[0.0, 2.0], [1.0, 1.0]], [0.5, 0.5])
    assert Composed(second, third).L_max == 4
    assert second.L_max * third.L_max == 16
    assert Composed(first, second).L_max == 16


@given(seed=SEEDS, k=st.integers(1, 12))
def test_curvature_of_large_diagonal_compositions(seed, k):
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((12, 3))
    A = half @ half.T
    jointly = Composed(Bernoulli(12, 0.5), BlockBernoulli(12, 3, 0.4))
    found = jointly.supremum_curvature(A)
    assert found == pytest.approx(np.linalg.eigvalsh(A)[-1] * (2 * 2.5) ** 2, rel=1e-12)
    assert found.kind == "exact"
    subset = Composed(Bernoulli(12, 0.5), RandK(12, k))
    bound = subset.supremum_curvature(A)
    assert bound.kind == ("exact" if k == 12 else "upper")
    c = subset.sample(rng, 20).diagonals
    assert (np.linalg.eigvalsh(c[:, :, None] * A * c[:, None, :])[:, -1] <= bound * (1 + 1e-12)).all()


def test_unscaled_factors_stay_biased():
    assert not Composed(RandK(3, 1), Unscaled(RandK(3, 1))).unbiased
    assert not Rotated(Unscaled(RandK(3, 1)), "dct").unbiased
    with pytest.raises(ValueError, match="not symmetric"):
        Haar(2, 1).fourth_moment([[1.0, 2.0], [0.0, 1.0]])


# --- text, bad input, identity ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "argument", "dim", "expected"),
    [
        (BlockBernoulli, "0.5:8", 20, BlockBernoulli(20, 8, 0.5)),
        (BlockRandK, "2:8", 20, BlockRandK(20, 8, 2)),
        (NofM, "2:4", 8, NofM(8, 2, 4)),
        (Haar, "12", 20, Haar(20, 12)),
        (Gaussian, "12", 5, Gaussian(5, 12)),
        (PermK, "4", 8, PermK(8, 4)),
    ],
)
def test_text(family, argument, dim, expected):
    found = family.from_text(argument, dim)
    assert content_hash(found) == content_hash(expected)
    assert found.name == expected.name
    assert family.keyword in {"block-bernoulli", "block-randk", "nofm", "haar", "gaussian", "permk"}


@pytest.mark.parametrize(
    ("family", "argument", "message"),
    [
        (BlockBernoulli, "0.5", "block-bernoulli:0.5' is not accepted: write block-bernoulli:KEEP:BLOCKS"),
        (BlockBernoulli, "0.5:8:1", "write block-bernoulli:KEEP:BLOCKS, for example block-bernoulli:0.5:8"),
        (BlockBernoulli, "half:8", "block-bernoulli KEEP 'half'"),
        (BlockBernoulli, "0.5:2.5", "block-bernoulli BLOCKS '2.5' is not accepted: it must be a whole number"),
        (BlockBernoulli, "1.5:2", r"keep=1.5.*\(0, 1\]"),
        (BlockBernoulli, "0.5:9", "blocks=9 is not accepted: it must be an integer from 1 to 8"),
        (BlockRandK, "9:8", "k=9 is not accepted: it must be an integer from 1 to 8"),
        (BlockRandK, "nan:8", "it must be a whole number"),
        (NofM, "2:3", "dim=8 is not accepted: an N:M sketch needs a multiple of m=3"),
        (NofM, "5:4", "n=5 is not accepted: it must be an integer from 1 to 4"),
        (NofM, "", "write nofm:N:M, for example nofm:2:4"),
        (Haar, "9", "k=9 is not accepted: it must be an integer from 1 to 8"),
        (Haar, "inf", "it must be a whole number"),
        (Gaussian, "0", "k=0 is not accepted: it must be an integer >= 1"),
        (PermK, "3", "dim=8 is not accepted: Perm-K needs a multiple of clients=3"),
        (PermK, "x", "permk CLIENTS 'x' is not accepted: write permk:CLIENTS, for example permk:4"),
    ],
)
def test_text_that_is_refused(family, argument, message):
    with pytest.raises(ValueError, match=message):
        family.from_text(argument, 8)


@pytest.mark.parametrize(
    ("build", "kind", "message"),
    [
        (lambda: BlockBernoulli(3, np.array([0.0, 1, 1]), 0.5), TypeError, "integer labels, not float64"),
        (lambda: BlockBernoulli(3, np.array([0, 1]), 0.5), ValueError, r"blocks has shape \(2,\).*3 coordinates"),
        (lambda: BlockBernoulli(3, 2, [0.5, 0.5, 0.5]), ValueError, r"keep has shape \(3,\).*length 2"),
        (lambda: BlockBernoulli(3, 2.0, 0.5), TypeError, "blocks=2.0"),
        (
            lambda: BlockRandK(3, np.array([5, 5, 5]), 2),
            ValueError,
            "k=2 is not accepted: it must be an integer from 1 to 1",
        ),
        (lambda: NofM(4, 0, 2), ValueError, "n=0"),
        (lambda: NofM(4, 1, 5), ValueError, "m=5 is not accepted: it must be an integer from 1 to 4"),
        (lambda: PermK(4, 0), ValueError, "clients=0"),
        (lambda: Haar(0, 1), ValueError, "dim=0"),
        (lambda: Gaussian(2, 1.5), TypeError, "k=1.5"),
        (lambda: IndependentDiagonal([0.0, 2.0], [0.5, 0.5]), ValueError, r"values has shape \(2,\)"),
        (lambda: IndependentDiagonal([[0.0, 2.0]], [0.5, 0.25, 0.25]), ValueError, r"weights has shape \(3,\)"),
        (lambda: IndependentDiagonal([[0.0, 2.0]], [0.6, 0.6]), ValueError, r"weights\[0\].*add up to 1"),
        (lambda: IndependentDiagonal([[0.0, 2.0]] * 2, [[0.5, 0.5], [1.5, -0.5]]), ValueError, r"weights\[1\].*>= 0"),
        (
            lambda: IndependentDiagonal([[0.0, 2.0], [0.0, 1.0]], [0.5, 0.5]),
            ValueError,
            r"E\[c_1\] = 0.5 differs from 1 by 0.5",
        ),
        (lambda: IndependentDiagonal([[0.0, np.inf]], [0.5, 0.5]), ValueError, "values holds inf"),
        (lambda: IndependentDiagonal.with_second_moments([2.0, 0.5]), ValueError, "each >= 1"),
        (lambda: IndependentDiagonal.with_second_moments([]), ValueError, "each >= 1"),
        (lambda: Rotated(RandK(3, 1), "hadamard"), ValueError, "dim=3.*power of two; 'dct' takes any dim"),
        (lambda: Rotated(RandK(4, 1), "hadamart"), ValueError, "did you mean 'hadamard'"),
        (lambda: Rotated(RandK(4, 1), np.eye(3)), ValueError, r"rotation has shape \(3, 3\).*\(4, 4\)"),
        (lambda: Rotated(RandK(2, 1), [[1.0, 1.0], [0.0, 1.0]]), ValueError, "not orthogonal: QQᵀ differs from I by 1"),
        (lambda: Rotated(RandK(2, 1), [[np.nan, 1.0], [0.0, 1.0]]), ValueError, "rotation holds nan"),
        (lambda: Rotated(np.eye(2), "dct"), TypeError, "sketch must be a sketch .*, not ndarray"),
        (
            lambda: Composed(RandK(2, 1), np.eye(2)),
            TypeError,
            r"inner must be a sketch such as RandK\(dim, k\), not ndarray",
        ),
        (lambda: Composed(RandK(2, 1), RandK(3, 1)), ValueError, "outer has dim=2 and inner has dim=3"),
    ],
)
def test_bad_input(build, kind, message):
    with pytest.raises(kind, match=message):
        build()


@pytest.mark.parametrize(
    "sketch", [Haar(3, 2), Gaussian(3, 2), Composed(Haar(3, 2), Haar(3, 1)), PermK(60, 2)], ids=lambda s: s.name
)
def test_endless_supports_are_not_listed(sketch):
    with pytest.raises(ValueError, match="cannot be enumerated"):
        sketch.support()


def test_gaussian_is_unbounded_and_says_so():
    sketch = Gaussian(3, 2)
    assert sketch.L_max == math.inf
    assert sketch.supremum_curvature(np.eye(3)) == math.inf
    assert sketch.supremum_curvature(np.zeros((3, 3))) == 0
    assert sketch.supremum_curvature(np.eye(3)).kind == "exact"


def test_arguments_are_copied():
    labels, values, Q = np.array([0, 1]), np.array([[0.0, 2.0]] * 2), np.eye(2)
    sketches = BlockBernoulli(2, labels, 0.5), IndependentDiagonal(values, [0.5, 0.5]), Rotated(RandK(2, 1), Q)
    before = [content_hash(s) for s in sketches]
    labels[:], values[:], Q[:] = 0, 7, 0
    assert [content_hash(s) for s in sketches] == before


@pytest.mark.parametrize("sketch", BATCHED, ids=lambda s: s.name)
def test_sketches_travel_between_processes(sketch):
    assert len({content_hash(s) for s in BATCHED}) == len(BATCHED)
    u = np.random.default_rng(0).random((2, sketch.uniforms))
    assert sketch.mu_D <= sketch.L_D  # which fills what is cached
    before = sketch.from_uniforms(u).apply(np.ones(sketch.dim))
    copy = pickle.loads(pickle.dumps(sketch))
    assert content_hash(copy) == content_hash(sketch)
    assert np.array_equal(copy.from_uniforms(u).apply(np.ones(sketch.dim)), before)


def test_matrix_batches_are_taken_apart_without_being_written_out():
    atoms = np.array([np.eye(2) * 2, np.zeros((2, 2))])
    batch, _ = Composed(FiniteSupport(atoms), RandK(2, 1)).support()
    assert isinstance(batch.outer, MatrixBatch)
    assert len(batch.outer.atoms) == 2
    assert isinstance(Composed(RandK(2, 1), Bernoulli(2, 0.5)).support()[0], DiagonalBatch)
    assert isinstance(Haar(3, 1).sample(np.random.default_rng(0), 1), FactorBatch)
