"""The compiled expectations against enumeration of every kept set."""

import itertools
import math
import threading

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mastsim.expected.transforms import Groups, independent, independent_law, subset, subset_law
from mastsim.expected.transforms import pack as pack_sums
from mastsim.parallel import limited_threads
from mastsim.problems.losses import LogisticLoss

TOLERANCE = 1e-12  # relative to the sum of the absolute values of the terms


def make_nodes(*sums):
    """Pack (step, sigma, complex weights) triples."""
    return pack_sums([(sigma, step * np.arange(len(w)), w) for step, sigma, w in sums])


def independent_sets(prob):
    """Every kept set of one row and its probability."""
    masks = np.array(list(itertools.product([0.0, 1.0], repeat=len(prob)))).reshape(2 ** len(prob), len(prob))
    return masks, np.prod(np.where(masks > 0, prob, 1.0 - np.asarray(prob)), axis=1)


def subset_sets(groups):
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


def enumerate_row(sets, theta, offset, nodes, b, delta):
    """Value, derivatives and directionals of one row by direct summation, and the scale of each."""
    masks, chance = sets
    weights = (nodes.w_re + 1j * nodes.w_im)[nodes.start[b] : nodes.start[b + 1]]
    s = nodes.sigma[b] + 1j * nodes.frequency[nodes.start[b] : nodes.start[b + 1]]
    terms = chance[:, None] * weights * np.exp(np.outer(offset + masks @ theta, s))
    first, second = (terms * s).sum(1).real, (terms * s**2).sum(1).real * (masks @ delta)
    sizes = [np.abs(x).sum() for x in (terms, terms * s, terms * s**2)]
    return (terms.sum().real, masks.T @ first, masks.T @ second), (sizes[0], sizes[1], sizes[2] * np.abs(delta).sum())


def pack(groups):
    """Groups from one list of (entries, units, kept) per row."""
    flat = np.array([g for row in groups for g in row], dtype=np.int64).reshape(-1, 3)
    return Groups(
        np.append(0, np.cumsum([len(row) for row in groups], dtype=np.int64)),
        np.append(0, np.cumsum(flat[:, 0])),
        flat[:, 1],
        flat[:, 2],
    )


class Case:
    """Rows given as lists of entry values."""

    def __init__(self, rows, nodes, bucket=None, offset=None, seed=0):
        rng = np.random.default_rng(seed)
        self.indptr = np.append(0, np.cumsum([len(row) for row in rows], dtype=np.int64))
        self.theta = np.array([x for row in rows for x in row], dtype=float)
        self.offset = rng.uniform(-3, 3, len(rows)) if offset is None else np.asarray(offset, dtype=float)
        self.bucket = np.zeros(len(rows), dtype=np.int64) if bucket is None else np.asarray(bucket)
        self.nodes = nodes
        self.delta = rng.standard_normal(self.theta.size)

    def evaluate(self, order, law):
        """Results for ``law``, which is one probability per entry or one list of groups per row."""
        function, law = (subset, pack(law)) if isinstance(law, list) else (independent, law)
        delta = self.delta if order == 2 else None
        return function(order, self.indptr, self.theta, self.offset, law, self.bucket, self.nodes, delta)

    def check(self, law):
        """Compare all orders, row by row, with enumeration."""
        for order in range(3):
            found = self.evaluate(order, law)
            assert [x.size for x in found[order + 1 :]] == [0] * (2 - order)
            for i, (a, b) in enumerate(itertools.pairwise(self.indptr)):
                sets = subset_sets(law[i]) if isinstance(law, list) else independent_sets(law[a:b])
                row = sets, self.theta[a:b], self.offset[i], self.nodes, self.bucket[i], self.delta[a:b]
                for got, want, size in list(zip(found, *enumerate_row(*row), strict=True))[: order + 1]:
                    got = got[a:b] if got is not found.values else got[i]
                    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE * size + 1e-300)


def random_sums(seed):
    """Four sums: logistic, its turn by i, complex with a growing real part, and the Poisson exponential."""
    rng = np.random.default_rng(seed)
    logistic = LogisticLoss().exponential_sum(30.0)
    wild = rng.standard_normal(21) + 1j * rng.standard_normal(21)
    step, weights = logistic.step, logistic.weights
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
    case.check(prob)


SPLITS = [
    [[(8, 12, 5)], [(3, 3, 2), (5, 9, 3)], [(2, 4, 2), (2, 4, 2), (2, 4, 2), (2, 4, 2)]],
    [[(8, 8, 8)], [(4, 6, 6), (4, 6, 1)], [(1, 1, 1), (1, 7, 2), (6, 7, 6)]],
    [[(8, 9, 8)], [(5, 6, 5), (3, 4, 1)], [(0, 3, 1), (8, 10, 2), (0, 0, 0)]],  # fewer dropped than entries: forced
    [[(8, 13, 1)], [(4, 5, 0), (4, 5, 4)], [(7, 7, 3), (1, 2, 1)]],
]


@pytest.mark.parametrize("groups", SPLITS)
def test_subset_matches_enumeration(groups):
    random_case(11, [8, 8, 8]).check(groups)


@pytest.mark.parametrize("kept", range(9))
def test_every_subset_size_matches_enumeration(kept):
    random_case(kept, [6, 0, 1, 8]).check([[(6, 8, kept)], [], [(1, 8, kept)], [(8, 8, kept)]])


def test_a_factor_that_vanishes():
    """p = 1/2 and h theta k = pi at every odd k: dividing prefix products by factors would fail here."""
    nodes = make_nodes((np.pi / 2, 0.0, [0.3, 1.0, -0.5, 0.25, 0.1]))
    case = Case([[2.0, 2.0, 1.3], [2.0], [2.0, -2.0]], nodes)
    case.check(np.full(6, 0.5))
    case.check([[(3, 4, 2)], [(1, 2, 1)], [(2, 4, 2)]])


@pytest.mark.parametrize("law", ["independent", "subset"])
def test_logistic_loss(law):
    """The transforms plus the polynomial part are the expected logistic loss itself, and so are the derivatives."""
    rng = np.random.default_rng(5)
    theta, prob, offset = rng.uniform(-20, 20, 8), rng.uniform(0.05, 1, 8), 1.5
    rule = LogisticLoss().exponential_sum(np.abs(theta).sum() + offset)
    case = Case([theta], make_nodes((rule.step, rule.rate, rule.weights)), offset=[offset])
    masks, chance = independent_sets(prob) if law == "independent" else subset_sets([(8, 12, 3)])
    found = case.evaluate(2, prob if law == "independent" else [[(8, 12, 3)]])
    w, along = offset + masks @ theta, masks @ case.delta
    sigmoid = 1 / (1 + np.exp(-w))
    value = chance @ (np.logaddexp(0, -w) - rule.constant - rule.slope * w - rule.square * w**2)
    first = masks.T @ (chance * (sigmoid - 1 - rule.slope - 2 * rule.square * w))
    second = masks.T @ (chance * along * (sigmoid * (1 - sigmoid) - 2 * rule.square))
    assert found.values[0] == pytest.approx(value, rel=0, abs=1e-13 * chance @ np.abs(w))
    np.testing.assert_allclose(found.derivatives, first, rtol=0, atol=2e-14)
    np.testing.assert_allclose(found.directionals, second, rtol=0, atol=2e-14)


def test_phases_stay_accurate():
    """Errors are a few ulp of the phase up to 1e7 and beyond, with the nodes counted in ten thousands."""
    count = 20_001
    step, theta = 5.7e-4, np.array([1.0, 37.7, -1234.5, 1e6, 3.3e9])
    for k in (1, 7, 8, 1234, count - 1):
        weights = np.zeros(count)
        weights[k] = 1.0
        case = Case([[x] for x in theta], make_nodes((step, 0.0, weights)), offset=np.zeros(5))
        phase = k * step * theta.astype(np.longdouble)
        error = np.abs(case.evaluate(0, np.ones(5)).values - np.cos(phase))
        assert np.all(error <= 4 * np.finfo(float).eps * (1 + np.abs(phase)))


@pytest.mark.parametrize("law", ["independent", "subset"])
def test_exponentials_do_not_overflow_on_the_way(law):
    case = Case([[800.0, -900.0], [800.0, 0.0]], make_nodes((1.0, 1.0, [1.0])), offset=[-790.0, 0.0])
    found = case.evaluate(2, np.full(4, 0.5) if law == "independent" else [[(2, 4, 2)]] * 2)
    both = 0.25 if law == "independent" else 1 / 6
    want = (0.5 - both) * math.exp(10.0)
    assert found.values[0] == pytest.approx(want, rel=1e-12)
    np.testing.assert_allclose(found.derivatives[:2], [want, 0.0], rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(found.directionals[:2], [want * case.delta[0], 0.0], rtol=1e-12, atol=1e-300)
    assert found.values[1] == math.inf


FORCED = st.tuples(st.floats(-5e3, 5e3), st.sampled_from([0.0, 1.0]))
CHANCES = st.tuples(st.floats(-300.0, 800.0), st.sampled_from([1e-300, 1e-12, 0.25, 1 - 1e-12]))


@example([], [(28.0, 1e-300), (690.0, 1e-300)], 0.0)
@example([], [(700.0, 1e-300)] * 50, 0.0)
@example([(-9.0, 1.0)], [(4.0, 0.25)] * 700, 1.0)
@example([], [(-300.0, 1 - 1e-12)] * 60, 0.0)
@given(st.lists(FORCED, max_size=4), st.lists(CHANCES, max_size=4), st.floats(-600.0, 600.0))
def test_an_exponential_is_finite_where_its_expectation_is(forced, others, log):
    """What is kept for sure may be far out and cancel, and what grows beyond a float may be as unlikely."""
    entry = [*forced, *others]
    theta, prob = np.array([pair[0] for pair in entry]), np.array([pair[1] for pair in entry])
    # The entry that is always kept and brings the expectation to exp(log), up to what the rest of a float is.
    grown = mpmath.fsum(mpmath.log(1 - mpmath.mpf(p) + p * mpmath.exp(mpmath.mpf(t))) for t, p in entry)
    theta, prob = np.append(theta, log - float(grown)), np.append(prob, 1.0)
    want = mpmath.exp(grown + mpmath.mpf(theta[-1]))
    found = Case([theta], make_nodes((1.0, 1.0, [1.0])), offset=[0.0]).evaluate(2, prob)
    assert float(abs(mpmath.mpf(float(found.values[0])) / want - 1)) < 1e-15 * (100 + np.abs(theta).sum())
    assert np.isfinite(found.derivatives).all()
    assert found.derivatives[-1] == pytest.approx(found.values[0], rel=1e-11)
    assert np.isfinite(found.directionals).all()


def test_poisson_rand_k_of_many_units():
    """The largest kept set is not all of what grows: scaling by the latter would underflow to nothing."""
    entry, r, kept = 6.0, 400, 12
    case = Case([[entry] * r, [-entry] * r, [800.0] * 3], make_nodes((1.0, 1.0, [1.0])), offset=[0.0, 0.0, -1590.0])
    found = case.evaluate(1, [[(r, r, kept)], [(r, r, r - kept)], [(3, 4, 2)]])
    np.testing.assert_allclose(found.values[0], math.exp(entry * kept), rtol=1e-12)
    np.testing.assert_allclose(found.derivatives[:r], math.exp(entry * kept) * kept / r, rtol=1e-12)
    assert found.values[1] == pytest.approx(0.0, abs=1e-300)
    np.testing.assert_allclose(found.values[2], 0.5 * math.exp(10.0) + 0.5 * math.exp(-790.0), rtol=1e-12)
    np.testing.assert_allclose(found.derivatives[-3:], math.exp(10.0) / 3 + math.exp(-790.0) / 6, rtol=1e-12)


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
    assert case.evaluate(0, [[(len(theta), units, kept)]]).values[0] == pytest.approx(want, rel=1e-12)


def test_no_rows_no_entries_and_no_nodes():
    nodes = make_nodes((0.5, 0.0, [1.0, 2.0]))
    for law in ([], np.empty(0)):
        assert all(result.size == 0 for result in Case([], nodes).evaluate(2, law))
    case = Case([[], []], nodes, offset=[0.0, 1.0])
    case.check(np.empty(0))
    case.check([[], []])
    for found in (Case([[1.0]], make_nodes((0.5, 0.0, []))).evaluate(2, law) for law in ([[(1, 2, 1)]], np.ones(1))):
        np.testing.assert_array_equal(np.concatenate(found), np.zeros(3))


def big_case():
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 20, 700)
    case = random_case(3, lengths)
    return case, (rng.uniform(0, 1, case.theta.size), [[(r, 25, 4)] for r in lengths])


def test_threads_do_not_change_a_bit():
    case, laws = big_case()
    found = []
    for threads in (1, 2):
        with limited_threads(threads):
            found.append([x for law in laws for x in case.evaluate(2, law)])
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_row_does_not_depend_on_the_others():
    case, laws = big_case()
    for law in laws:
        together = case.evaluate(2, law)
        for i in (0, 5, 699):
            row = slice(case.indptr[i], case.indptr[i + 1])
            alone = Case([case.theta[row]], case.nodes, case.bucket[i : i + 1], case.offset[i : i + 1])
            alone.delta = case.delta[row]
            values, derivatives, directionals = alone.evaluate(2, [law[i]] if isinstance(law, list) else law[row])
            assert values[0] == together.values[i]
            np.testing.assert_array_equal(derivatives, together.derivatives[row])
            np.testing.assert_array_equal(directionals, together.directionals[row])


def call_from_four_threads():
    case, (prob, _) = big_case()
    found = []
    workers = [threading.Thread(target=lambda: found.extend(case.evaluate(1, prob) for _ in range(20))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 80
    for one in found:
        np.testing.assert_array_equal(one.values, found[0].values)
        np.testing.assert_array_equal(one.derivatives, found[0].derivatives)


def test_python_threads_may_call_at_once():
    call_from_four_threads()


def test_inputs_are_converted_not_recompiled():
    case = random_case(2, [3, 2])
    prob = np.broadcast_to(0.5, 5)
    want = case.evaluate(1, prob)
    case.evaluate(0, [[(3, 4, 2)], [(2, 3, 1)]])
    case.indptr, case.bucket = case.indptr.astype(np.int32), list(case.bucket)
    case.theta = np.repeat(case.theta, 2)[::2]
    case.offset.flags.writeable = False
    for x, y in zip(want, case.evaluate(1, prob), strict=True):
        np.testing.assert_array_equal(x, y)
    assert len(independent_law.kernel.signatures) == len(subset_law.kernel.signatures) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": 3}, "order is 3, but it must be 0, 1 or 2"),
        ({"order": 2}, "delta is missing"),
        ({"delta": np.zeros(5)}, "delta is given"),
        ({"order": 2, "delta": np.zeros(4)}, r"delta has shape \(4,\)"),
        ({"indptr": [0, 3, 2]}, "indptr"),
        ({"indptr": [0, 3, 6]}, "indptr .* from 0 to 5"),
        ({"indptr": [1, 3, 5]}, "indptr"),
        ({"indptr": [0, 2.5, 5]}, "indptr holds 2.5"),
        ({"offset": np.zeros(3)}, r"offset has shape \(3,\), but it must be \(2,\)"),
        ({"prob": np.full(5, 1.1)}, "prob goes from 1.1 to 1.1"),
        ({"prob": np.full(5, np.nan)}, "prob"),
        ({"prob": np.full(4, 0.5)}, "prob has shape"),
        ({"bucket": [0, 4]}, "bucket goes from 0 to 4, but the sums are 0 to 3"),
        ({"bucket": [0, -1]}, "bucket goes from -1"),
        ({"bucket": [0]}, "bucket has shape"),
        ({"nodes": random_sums(0)._replace(start=np.array([0, 8]))}, "start"),
        ({"nodes": make_nodes((1.0, 0.0, np.ones(16)))._replace(start=np.array([0, 9, 16]))}, "start holds 9"),
        ({"nodes": random_sums(0)._replace(sigma=np.zeros(1))}, "sigma has shape"),
        ({"nodes": random_sums(0)._replace(frequency=np.ones(5))}, "frequency has shape"),
        ({"nodes": random_sums(0)._replace(w_im=np.ones(5))}, "w_im has shape"),
    ],
)
def test_bad_inputs_are_refused(change, message):
    case = random_case(0, [3, 2])
    arguments = {
        "order": 0,
        "indptr": case.indptr,
        "theta": case.theta,
        "offset": case.offset,
        "prob": np.full(5, 0.5),
        "bucket": case.bucket,
        "nodes": case.nodes,
    }
    with pytest.raises(ValueError, match=message):
        independent(**{**arguments, **change})


@pytest.mark.parametrize(
    "groups",
    [
        [[(3, 2, 1)], [(2, 4, 1)]],  # more entries than units
        [[(3, 4, 5)], [(2, 4, 1)]],  # more kept than units
        [[(3, 4, -1)], [(2, 4, 1)]],
        [[(2, 4, 2)], [(3, 4, 1)]],  # not the entries of the rows
        [[(3, 4, 2), (2, 4, 1)]],
        [[(3, 4, 2)], [(2, 4, 1)], []],
    ],
)
def test_bad_groups_are_refused(groups):
    with pytest.raises(ValueError, match="group"):
        random_case(0, [3, 2]).evaluate(0, groups)


def test_fractions_of_units_are_refused():
    case = random_case(0, [3, 2])
    groups = pack([[(3, 4, 2)], [(2, 4, 1)]])._replace(kept=np.array([2.0, 0.5]))
    with pytest.raises(ValueError, match=r"kept holds 0\.5, but it must hold integers"):
        subset(0, case.indptr, case.theta, case.offset, groups, case.bucket, case.nodes)


# Properties ----------------------------------------------------------------------------------------------------------

entries = st.floats(-20, 20) | st.sampled_from([0.0, 1.0, -1.0, 10.0])
chances = st.floats(1e-3, 1.0) | st.sampled_from([0.5, 1.0, 0.0])
sums = st.tuples(
    st.floats(0.05, 1.0),
    st.sampled_from([0.0, 0.0, 1.0, -0.5]),
    st.lists(st.complex_numbers(max_magnitude=3.0), min_size=1, max_size=20),
)


@given(st.lists(st.lists(st.tuples(entries, chances), max_size=6), max_size=3), sums, st.integers(0, 99))
def test_independent_property(rows, one_sum, seed):
    case = Case([[x for x, _ in row] for row in rows], make_nodes(one_sum), seed=seed)
    case.check(np.array([p for row in rows for _, p in row]))


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


@given(grouped_rows(), sums, st.integers(0, 99))
def test_subset_property(drawn, one_sum, seed):
    rows, groups = drawn
    Case(rows, make_nodes(one_sum), seed=seed).check(groups)


@given(st.lists(st.tuples(entries, st.integers(1, 9), st.integers(0, 9)), max_size=12), st.integers(0, 3))
def test_groups_of_one_entry_are_independent(drawn, b):
    """One entry of a group of M units is kept with probability N/M, whatever the other groups do."""
    kept = [(m, min(m, k)) for _, m, k in drawn]
    case = Case([[x / 4 for x, _, _ in drawn]], random_sums(0), bucket=[b])
    ones = case.evaluate(2, [[(1, m, k) for m, k in kept]])
    alone = case.evaluate(2, np.array([k / m for m, k in kept]))
    size = np.abs(case.theta).sum() + 3
    scale = np.exp(case.nodes.sigma[b] * size) * 1e4 * (1 + np.abs(case.delta).sum())
    for x, y in zip(ones, alone, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-14 * scale)


@given(st.lists(entries, min_size=2, max_size=20), st.integers(1, 30), st.randoms(use_true_random=False))
def test_order_of_entries_does_not_matter(row, kept, random):
    units = len(row) + 10
    swap = list(range(len(row)))
    random.shuffle(swap)
    nodes = make_nodes((0.2, 0.0, LogisticLoss().exponential_sum(1.0).weights[:30] + 0.1j))
    one, two = Case([row], nodes, offset=[0.7]), Case([[row[j] for j in swap]], nodes, offset=[0.7])
    two.delta = one.delta[swap]
    found, swapped = (case.evaluate(2, [[(len(row), units, min(kept, units))]]) for case in (one, two))
    np.testing.assert_allclose(found.values, swapped.values, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.derivatives[swap], swapped.derivatives, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.directionals[swap], swapped.directionals, rtol=0, atol=1e-10)
