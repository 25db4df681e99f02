"""The compiled expectations against enumeration of every kept set."""

import itertools
import math
import threading

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mastsim.expected import kernels
from mastsim.expected.kernels import Groups, Nodes

TOLERANCE = 1e-12  # relative to the sum of the absolute values of the terms


def logistic_sum(limit):
    """Step, constants and weights such that log(1+e^u) = c0 + u/2 + c2 u^2 + Re sum w_k exp(ikhu) for |u| <= limit."""
    period = limit + 38.0
    step = 2 * np.pi / period
    t = step * np.arange(1, math.ceil(11.5 / step))
    weights = np.append(0.0, -step / (t * np.sinh(np.pi * t)))
    return step, math.log(2.0) - weights.sum(), step / (4 * np.pi), weights


def make_nodes(*sums):
    """Pack (step, sigma, complex weights) triples."""
    weights = np.concatenate([np.asarray(w, dtype=complex) for _, _, w in sums])
    start = np.append(0, np.cumsum([len(w) for _, _, w in sums]))
    return Nodes(
        np.array([s for s, _, _ in sums]), np.array([s for _, s, _ in sums]), start, weights.real, weights.imag
    )


def independent_law(prob):
    """Every kept set of one row and its probability."""
    masks = np.array(list(itertools.product([0.0, 1.0], repeat=len(prob)))).reshape(2 ** len(prob), len(prob))
    return masks, np.prod(np.where(masks > 0, prob, 1.0 - np.asarray(prob)), axis=1)


def subset_law(groups):
    """Every kept set of one row, given (entries, units, kept) per group, and its probability: all subsets, counted."""
    masks, chance = np.zeros((1, 0)), np.ones(1)
    for entries, units, kept in groups:
        hits = {}
        for chosen in itertools.combinations(range(units), kept):
            key = tuple(float(j in chosen) for j in range(entries))
            hits[key] = hits.get(key, 0) + 1
        total = math.comb(units, kept)
        masks = np.array([(*a, *b) for a in masks for b in hits]).reshape(len(masks) * len(hits), -1)
        chance = np.array([a * count / total for a in chance for count in hits.values()])
    return masks, chance


def enumerate_row(law, theta, offset, nodes, b, delta, delta0):
    """(value, d_theta, d_offset, dd_theta, dd_offset) of one row by direct summation, and the scale of each."""
    masks, chance = law
    weights = (nodes.w_re + 1j * nodes.w_im)[nodes.start[b] : nodes.start[b + 1]]
    s = nodes.sigma[b] + 1j * nodes.step[b] * np.arange(weights.size)
    terms = chance[:, None] * weights * np.exp(np.outer(offset + masks @ theta, s))
    tilt = (delta0 + masks @ delta)[:, None]
    first, second = (terms * s).sum(1).real, (terms * s**2 * tilt).sum(1).real
    exact = terms.sum().real, masks.T @ first, first.sum(), masks.T @ second, second.sum()
    sizes = [np.abs(x).sum() for x in (terms, terms * s, terms * s**2)]
    reach = abs(delta0) + np.abs(delta).sum()
    return exact, (sizes[0], sizes[1], sizes[1], sizes[2] * reach, sizes[2] * reach)


def check(results, laws, indptr, theta, offset, bucket, nodes, delta, delta0):
    """Compare every row of the kernels' results with enumeration."""
    for i, law in enumerate(laws):
        row = slice(indptr[i], indptr[i + 1])
        exact, sizes = enumerate_row(law, theta[row], offset[i], nodes, bucket[i], delta[row], delta0[i])
        places = (i, row, i, row, i)
        for result, place, want, size in zip(results, places, exact, sizes, strict=False):
            np.testing.assert_allclose(result[place], want, rtol=0, atol=TOLERANCE * size + 1e-300)


class Case:
    """Rows given as lists of entry values, with one probability per entry or one list of groups per row."""

    def __init__(self, rows, nodes, bucket=None, offset=None, seed=0):
        rng = np.random.default_rng(seed)
        self.indptr = np.append(0, np.cumsum([len(row) for row in rows]))
        self.theta = np.array([x for row in rows for x in row], dtype=float)
        self.offset = rng.uniform(-3, 3, len(rows)) if offset is None else np.asarray(offset, dtype=float)
        self.bucket = np.zeros(len(rows), dtype=np.int64) if bucket is None else np.asarray(bucket)
        self.nodes = nodes
        self.delta, self.delta0 = rng.standard_normal(self.theta.size), rng.standard_normal(len(rows))

    def independent(self, prob, order):
        name = ("value", "gradient", "curvature")[order]
        args = (self.indptr, self.theta, self.offset, np.asarray(prob, dtype=float), self.bucket, self.nodes)
        return self.call(f"independent_{name}", order, args)

    def subset(self, groups, order):
        flat = [g for row in groups for g in row]
        packed = Groups(
            np.append(0, np.cumsum([len(row) for row in groups])),
            np.append(0, np.cumsum([g[0] for g in flat])).astype(np.int64),
            np.array([g[1] for g in flat], dtype=np.int64),
            np.array([g[2] for g in flat], dtype=np.int64),
        )
        name = ("value", "gradient", "curvature")[order]
        args = (self.indptr, self.theta, self.offset, packed, self.bucket, self.nodes)
        return self.call(f"subset_{name}", order, args)

    def call(self, name, order, args):
        result = getattr(kernels, name)(*args, *((self.delta, self.delta0) if order == 2 else ()))
        return result if order else (result,)

    def check_independent(self, prob):
        laws = [independent_law(prob[a:b]) for a, b in itertools.pairwise(self.indptr)]
        for order in range(3):
            self.check(self.independent(prob, order), laws)

    def check_subset(self, groups):
        laws = [subset_law(row) for row in groups]
        for order in range(3):
            self.check(self.subset(groups, order), laws)

    def check(self, results, laws):
        check(results, laws, self.indptr, self.theta, self.offset, self.bucket, self.nodes, self.delta, self.delta0)


def random_sums(seed):
    """Four sums: logistic, sigmoid-like (imaginary), complex with a growing real part, and the Poisson exponential."""
    rng = np.random.default_rng(seed)
    step, _, _, weights = logistic_sum(30.0)
    wild = rng.standard_normal(21) + 1j * rng.standard_normal(21)
    return make_nodes((step, 0.0, weights), (step, 0.0, 1j * weights), (0.3, 0.25, wild), (1.0, 1.0, [1.0]))


LENGTHS = [0, 1, 8, 3, 0, 5, 1, 2, 7, 4, 6, 8]


def random_case(seed, lengths=LENGTHS):
    rng = np.random.default_rng(seed)
    rows = [rng.uniform(-6, 6, r) for r in lengths]
    return Case(rows, random_sums(seed), rng.integers(0, 4, len(rows)), seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_independent_matches_enumeration(seed):
    case = random_case(seed)
    prob = 10.0 ** np.random.default_rng(seed).uniform(-3, 0, case.theta.size)
    prob[::7] = 1.0
    case.check_independent(prob)


SPLITS = [
    [[(8, 12, 5)], [(3, 3, 2), (5, 9, 3)], [(2, 4, 2), (2, 4, 2), (2, 4, 2), (2, 4, 2)]],
    [[(8, 8, 8)], [(4, 6, 6), (4, 6, 1)], [(1, 1, 1), (1, 7, 2), (6, 7, 6)]],
    [[(8, 9, 8)], [(5, 6, 5), (3, 4, 1)], [(0, 3, 1), (8, 10, 2), (0, 0, 0)]],  # fewer dropped than entries: forced
    [[(8, 13, 1)], [(4, 5, 0), (4, 5, 4)], [(7, 7, 3), (1, 2, 1)]],
]


@pytest.mark.parametrize("groups", SPLITS)
def test_subset_matches_enumeration(groups):
    random_case(11, [8, 8, 8]).check_subset(groups)


@pytest.mark.parametrize("kept", range(9))
def test_every_subset_size_matches_enumeration(kept):
    case = random_case(kept, [6, 0, 1, 8])
    case.check_subset([[(6, 8, kept)], [], [(1, 8, kept)], [(8, 8, kept)]])


def test_a_factor_that_vanishes():
    """p = 1/2 and h theta k = pi at every odd k: dividing prefix products by factors would fail here."""
    nodes = make_nodes((np.pi / 2, 0.0, [0.3, 1.0, -0.5, 0.25, 0.1]))
    case = Case([[2.0, 2.0, 1.3], [2.0], [2.0, -2.0]], nodes)
    case.check_independent(np.full(6, 0.5))
    case.check_subset([[(3, 4, 2)], [(1, 2, 1)], [(2, 4, 2)]])


def test_logistic_loss():
    """The kernels plus the quadratic part are the expected logistic loss itself."""
    rng = np.random.default_rng(5)
    theta, prob, offset = rng.uniform(-20, 20, 8), rng.uniform(0.05, 1, 8), 1.5
    step, c0, c2, weights = logistic_sum(np.abs(theta).sum() + offset)
    case = Case([theta], make_nodes((step, 0.0, weights)), offset=[offset])
    masks, chance = independent_law(prob)
    u = offset + masks @ theta
    value, d_theta, d_offset = case.independent(prob, 1)
    polynomial = chance @ (c0 + u / 2 + c2 * u**2)
    assert value[0] + polynomial == pytest.approx(chance @ np.logaddexp(0, u), rel=1e-13)
    sigmoid = chance / (1 + np.exp(-u))
    slope = chance * (0.5 + 2 * c2 * u)
    np.testing.assert_allclose(d_theta + masks.T @ slope, masks.T @ sigmoid, rtol=0, atol=2e-14)
    np.testing.assert_allclose(d_offset[0] + slope.sum(), sigmoid.sum(), rtol=0, atol=2e-14)


def test_phases_stay_accurate():
    """Errors are a few ulp of the phase up to 1e7 and beyond, with the nodes counted in ten thousands."""
    count = 20_001
    step, theta = 5.7e-4, np.array([1.0, 37.7, -1234.5, 1e6, 3.3e9])
    for k in (1, 7, 8, 1234, count - 1):
        weights = np.zeros(count)
        weights[k] = 1.0
        case = Case([[x] for x in theta], make_nodes((step, 0.0, weights)), offset=np.zeros(5))
        (value,) = case.independent(np.ones(5), 0)
        phase = k * step * theta.astype(np.longdouble)
        assert np.all(np.abs(value - np.cos(phase)) <= 4 * np.finfo(float).eps * (1 + np.abs(phase)))


@pytest.mark.parametrize("law", ["independent", "subset"])
def test_exponentials_do_not_overflow_on_the_way(law):
    nodes = make_nodes((1.0, 1.0, [1.0]))
    case = Case([[800.0, -900.0], [800.0, 0.0]], nodes, offset=[-790.0, 0.0])
    result = case.independent(np.full(4, 0.5), 0) if law == "independent" else case.subset([[(2, 4, 2)]] * 2, 0)
    both = 0.25 if law == "independent" else 1 / 6
    assert result[0][0] == pytest.approx((0.5 - both) * math.exp(10.0), rel=1e-12)
    assert result[0][1] == math.inf


def test_poisson_rand_k_of_many_units():
    """The largest kept set is not all of what grows: scaling by the latter would underflow to nothing."""
    entry, r, kept = 6.0, 400, 12
    case = Case([[entry] * r, [-entry] * r, [800.0] * 3], make_nodes((1.0, 1.0, [1.0])), offset=[0.0, 0.0, -1590.0])
    value, d_theta, d_offset = case.subset([[(r, r, kept)], [(r, r, r - kept)], [(3, 4, 2)]], 1)
    np.testing.assert_allclose(value[0], math.exp(entry * kept), rtol=1e-12)
    np.testing.assert_allclose(d_theta[:r], math.exp(entry * kept) * kept / r, rtol=1e-12)
    assert value[1] == pytest.approx(0.0, abs=1e-300)
    np.testing.assert_allclose(value[2], 0.5 * math.exp(10.0) + 0.5 * math.exp(-790.0), rtol=1e-12)
    np.testing.assert_allclose(d_offset, value, rtol=1e-12)


@pytest.mark.parametrize(
    ("theta", "units", "kept", "want"),
    [
        ([-700.0], 49, 49, math.exp(-700.0)),
        ([900.0], 49, 0, 1.0),
        ([-500.0, -500.0, 900.0], 3, 3, math.exp(-100.0)),
        ([-300.0, -300.0], 49, 48, 2 / 49 * math.exp(-300.0)),  # at least one of two is kept when one of 49 is not
        ([600.0, 600.0, -600.0], 49, 1, (1 / 49) * 2 * math.exp(600.0)),  # two are never kept together
    ],
)
def test_impossible_sets_have_probability_exactly_zero(theta, units, kept, want):
    """A leak of one rounding error into a set that cannot occur would outweigh these answers."""
    case = Case([theta], make_nodes((1.0, 1.0, [1.0])), offset=[0.0])
    assert case.subset([[(len(theta), units, kept)]], 0)[0][0] == pytest.approx(want, rel=1e-12)


def test_no_rows_and_no_entries():
    nodes = make_nodes((0.5, 0.0, [1.0, 2.0]))
    for result in Case([], nodes).independent([], 2) + Case([], nodes).subset([], 2):
        assert result.size == 0
    case = Case([[], []], nodes, offset=[0.0, 1.0])
    case.check_independent(np.empty(0))
    case.check_subset([[], []])


def big_case():
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 20, 700)
    case = random_case(3, lengths)
    return case, rng.uniform(0, 1, case.theta.size), [[(r, 25, 4)] for r in lengths]


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_threads_do_not_change_a_bit():
    case, prob, groups = big_case()
    before = numba.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            numba.set_num_threads(threads)
            found.append(case.independent(prob, 2) + case.subset(groups, 2))
    finally:
        numba.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_row_does_not_depend_on_the_others():
    case, prob, groups = big_case()
    together = case.independent(prob, 2), case.subset(groups, 2)
    for i in (0, 5, 699):
        row = slice(case.indptr[i], case.indptr[i + 1])
        alone = Case([case.theta[row]], case.nodes, case.bucket[i : i + 1], case.offset[i : i + 1])
        alone.delta, alone.delta0 = case.delta[row], case.delta0[i : i + 1]
        results = alone.independent(prob[row], 2), alone.subset([groups[i]], 2)
        for whole, part in zip(together, results, strict=True):
            for x, y, place in zip(whole, part, (slice(i, i + 1), row) * 2 + (slice(i, i + 1),), strict=False):
                if x.size == (case.theta.size if place is row else 700):
                    np.testing.assert_array_equal(x[place], y)


def test_python_threads_may_call_at_once():
    case, prob, _ = big_case()
    found = []
    workers = [threading.Thread(target=lambda: found.append(case.independent(prob, 1)[0])) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4
    for value in found:
        np.testing.assert_array_equal(value, found[0])


def test_inputs_are_converted_not_recompiled():
    case = random_case(2, [3, 2])
    prob = np.broadcast_to(0.5, 5)
    want = case.independent(prob, 1)
    case.indptr, case.bucket = case.indptr.astype(np.int32), list(case.bucket)
    case.theta = np.repeat(case.theta, 2)[::2]
    case.offset.flags.writeable = False
    for x, y in zip(want, case.independent(prob, 1), strict=True):
        np.testing.assert_array_equal(x, y)
    assert len(kernels._independent_kernel.signatures) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indptr": [0, 3, 2]}, "indptr"),
        ({"indptr": [0, 3, 6]}, "indptr"),
        ({"offset": np.zeros(3)}, "offset"),
        ({"prob": np.full(5, 1.1)}, "prob"),
        ({"prob": np.full(4, 0.5)}, "prob"),
        ({"bucket": [0, 4]}, "bucket"),
        ({"bucket": [0]}, "bucket"),
        ({"nodes": random_sums(0)._replace(start=np.array([0, 1]))}, "start"),
        ({"nodes": random_sums(0)._replace(sigma=np.zeros(1))}, "sigma"),
    ],
)
def test_bad_inputs_are_refused(change, message):
    case = random_case(0, [3, 2])
    arguments = {
        "indptr": case.indptr,
        "theta": case.theta,
        "offset": case.offset,
        "prob": np.full(5, 0.5),
        "bucket": case.bucket,
        "nodes": case.nodes,
    }
    with pytest.raises(ValueError, match=message):
        kernels.independent_value(**{**arguments, **change})


@pytest.mark.parametrize(
    "groups",
    [
        [[(3, 2, 1)], [(2, 4, 1)]],  # more entries than units
        [[(3, 4, 5)], [(2, 4, 1)]],  # more kept than units
        [[(3, 4, -1)], [(2, 4, 1)]],
        [[(2, 4, 2)], [(3, 4, 1)]],  # not the entries of the rows
        [[(3, 4, 2), (2, 4, 1)]],
    ],
)
def test_bad_groups_are_refused(groups):
    with pytest.raises(ValueError, match="group"):
        random_case(0, [3, 2]).subset(groups, 0)


# Properties ----------------------------------------------------------------------------------------------------------

entries = st.floats(-20, 20) | st.sampled_from([0.0, 1.0, -1.0, 10.0])
chances = st.floats(1e-3, 1.0) | st.sampled_from([0.5, 1.0, 0.0])
sums = st.tuples(
    st.floats(0.05, 1.0),
    st.sampled_from([0.0, 0.0, 1.0, -0.5]),
    st.lists(st.complex_numbers(max_magnitude=3.0), min_size=1, max_size=20),
)
modest = settings(deadline=None, derandomize=True, max_examples=80)


@modest
@given(st.lists(st.lists(st.tuples(entries, chances), max_size=6), max_size=3), sums, st.integers(0, 99))
def test_independent_property(rows, one_sum, seed):
    case = Case([[x for x, _ in row] for row in rows], make_nodes(one_sum), seed=seed)
    case.check_independent(np.array([p for row in rows for _, p in row]))


@st.composite
def grouped_rows(draw):
    rows, groups = [], []
    for _ in range(draw(st.integers(0, 3))):
        row, split = [], []
        for _ in range(draw(st.integers(0, 3))):
            units = draw(st.integers(0, 6))
            values = draw(st.lists(entries, max_size=min(units, 4)))
            row += values
            split.append((len(values), units, draw(st.integers(0, units))))
        rows.append(row)
        groups.append(split)
    return rows, groups


@modest
@given(grouped_rows(), sums, st.integers(0, 99))
def test_subset_property(drawn, one_sum, seed):
    rows, groups = drawn
    Case(rows, make_nodes(one_sum), seed=seed).check_subset(groups)


@modest
@given(st.lists(st.tuples(entries, st.integers(1, 9), st.integers(0, 9)), max_size=12), st.integers(0, 3))
def test_groups_of_one_entry_are_independent(drawn, b):
    """One entry of a group of M units is kept with probability N/M, whatever the other groups do."""
    kept = [(m, min(m, k)) for _, m, k in drawn]
    case = Case([[x / 4 for x, _, _ in drawn]], random_sums(0), bucket=[b])
    ones = case.subset([[(1, m, k) for m, k in kept]], 2)
    alone = case.independent([k / m for m, k in kept], 2)
    size = np.abs(case.theta).sum() + 3
    scale = np.exp(case.nodes.sigma[b] * size) * 1e4 * (1 + np.abs(case.delta).sum() + 3)
    for x, y in zip(ones, alone, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-14 * scale)


@modest
@given(st.lists(entries, min_size=2, max_size=20), st.integers(1, 30), st.randoms(use_true_random=False))
def test_order_of_entries_does_not_matter(row, kept, random):
    units = len(row) + 10
    kept = min(kept, units)
    swap = list(range(len(row)))
    random.shuffle(swap)
    nodes = make_nodes((0.2, 0.0, logistic_sum(0.0)[3][:30] + 0.1j))
    one, two = Case([row], nodes, offset=[0.7]), Case([[row[j] for j in swap]], nodes, offset=[0.7])
    two.delta, two.delta0 = one.delta[swap], one.delta0
    place = (slice(None), swap, slice(None), swap, slice(None))
    for x, y, where in zip(
        one.subset([[(len(row), units, kept)]], 2), two.subset([[(len(row), units, kept)]], 2), place, strict=True
    ):
        np.testing.assert_allclose(x[where], y, rtol=0, atol=1e-10)
