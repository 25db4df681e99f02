"""Random numbers, row-independent products, hashes, provenance and validation."""

import copy
import pickle
import re
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import mastsim
from mastsim import validation
from mastsim.backend import PURPOSES, Streams, asnumpy, inner, namespace, philox, rows_times
from mastsim.problems import LeastSquares, LogisticRegression, Quadratic
from mastsim.provenance import Constant, content_hash
from mastsim.sketches import Bernoulli, FiniteSupport, RandK
from tests.oracles.fresh_interpreter import run_python

WORD = 0xFFFFFFFF

# Known answers published with Random123 (D. E. Shaw Research) for philox4x32-10.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((WORD,) * 4, (WORD,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_known_answers(counter, key, expected):
    words = philox(tuple(np.full(3, word, dtype=np.uint64) for word in counter), key)
    assert [word.tolist() for word in words] == [[word] * 3 for word in expected]


def philox_by_hand(counter, key):
    """Philox4x32-10 in whole numbers, from the description in the paper."""
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(c[0] * 0xD2511F53, 2**32)
        high1, low1 = divmod(c[2] * 0xCD9E8D57, 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


@given(
    seed=st.integers(0, 2**64 - 1),
    purpose=st.sampled_from(PURPOSES),
    step=st.integers(0, WORD),
    replica=st.integers(0, WORD),
    count=st.integers(1, 7),
)
def test_streams_address_philox_by_block_step_replica_and_purpose(seed, purpose, step, replica, count):
    found = Streams(seed).uniform(purpose, step, np.array([replica]), count)[0]
    expected = []
    for block in range(4):
        words = philox_by_hand((block, step, replica, PURPOSES.index(purpose)), (seed % 2**32, seed // 2**32))
        expected += [((words[i] >> 5) * 2**26 + (words[i + 1] >> 6)) / 2**53 for i in (0, 2)]
    assert found.tolist() == expected[:count]


@given(
    seed=st.integers(0, 2**64 - 1),
    step=st.integers(0, WORD),
    size=st.integers(1, 40),
    start=st.integers(0, 100),
    count=st.integers(1, 9),
    more=st.integers(0, 5),
)
def test_streams_do_not_depend_on_the_batch(seed, step, size, start, count, more):
    streams = Streams(seed)
    together = streams.uniform("sketch", step, np.arange(start + size), count + more)
    assert together.shape == (start + size, count + more)
    alone = streams.uniform("sketch", step, np.arange(start, start + size), count)
    assert (together[start:, :count] == alone).all()
    shuffled = np.random.default_rng(0).permutation(start + size)
    assert (streams.uniform("sketch", step, shuffled, count + more) == together[shuffled]).all()


def test_purposes_steps_seeds_and_replicas_have_numbers_of_their_own():
    numbers = [
        Streams(seed).uniform(purpose, step, np.arange(3), 4)
        for seed in (0, 1, 2**32, 2**64 - 1)
        for purpose in PURPOSES
        for step in (0, 1, WORD)
    ]
    assert len(np.unique(numbers)) == np.size(numbers)


def test_streams_are_uniform_and_uncorrelated():
    """Kolmogorov–Smirnov on 100,000 numbers (exact p-value) and four sums of bounded terms (Hoeffding), each at 1e-9 / 5."""
    n = 50_000
    u = Streams(20).uniform("sketch", 7, np.arange(n), 2)
    later = Streams(20).uniform("sketch", 8, np.arange(n), 2)
    assert ((u >= 0) & (u < 1)).all()
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-9 / 5
    centred, reach = u - 0.5, np.sqrt(2 * n * 0.25**2 * np.log(2 * 5 / 1e-9))
    pairs = [(centred[:, 0], centred[:, 1]), (centred[:, 0], later[:, 0] - 0.5)]
    pairs += [(centred[::2, 0], centred[1::2, 0]), (centred[::2, 1], later[1::2, 1] - 0.5)]
    for x, y in pairs:
        assert abs(float(x @ y)) < reach


def test_uniform_numbers_use_53_bits_and_stay_below_one():
    u = Streams(3).uniform("coin", 0, np.arange(1000), 8)
    scaled = u * 2**53
    assert (scaled == np.floor(scaled)).all()
    assert (scaled % 2 == 1).mean() > 0.4


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Streams(-1), ValueError, "seed=-1 is not accepted: it must be an integer from 0 to 18446744073709551615"),
        (lambda: Streams(2**64), ValueError, "seed=18446744073709551616 is not accepted"),
        (lambda: Streams(0.5), TypeError, "seed=0.5 is not accepted"),
        (lambda: Streams(0).uniform("sketch", -1, np.arange(1), 1), ValueError, "step=-1 is not accepted"),
        (lambda: Streams(0).uniform("sketch", 2**56, np.arange(1), 1), ValueError, "step=72057594037927936 is not accepted"),
        (
            lambda: Streams(0).uniform("sketches", 0, np.arange(1), 1),
            ValueError,
            "unknown purpose 'sketches'; did you mean 'sketch'",
        ),
    ],
)
def test_streams_refuse(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.parametrize("form", [np.asarray, np.asfortranarray, sp.csr_array], ids=["rows", "columns", "sparse"])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (7, 3), (40, 33), (300, 100), (3, 500)])
def test_rows_times_does_not_depend_on_the_batch(form, n, d):
    rng = np.random.default_rng(0)
    A, x = rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.6), rng.standard_normal((4, 5, d))
    matrix = form(A)
    everything = rows_times(matrix, x)
    np.testing.assert_allclose(everything, x @ A.T, rtol=0, atol=1e-13 * d)
    assert everything.flags.c_contiguous
    for i, j in np.ndindex(4, 5):
        assert (rows_times(matrix, x[i, j]) == everything[i, j]).all()
    assert (rows_times(matrix, x[1:3]) == everything[1:3]).all()
    assert (rows_times(matrix, np.asfortranarray(x)) == everything).all()
    assert (rows_times(matrix, np.repeat(x, 2, axis=-1)[..., ::2]) == everything).all()
    assert (rows_times(matrix, x[:, ::-1])[:, ::-1] == everything).all()


@pytest.mark.parametrize("d", [1, 7, 8, 129, 1000])
def test_inner_products_do_not_depend_on_the_batch_or_its_memory_order(d):
    x, y = np.random.default_rng(0).standard_normal((2, 9, d))
    everything = inner(x, y)
    np.testing.assert_allclose(everything, np.einsum("ij,ij->i", x, y), rtol=0, atol=1e-14 * d)
    assert [float(inner(a, b)) for a, b in zip(x, y, strict=True)] == everything.tolist()
    assert (inner(np.asfortranarray(x), np.asfortranarray(y)) == everything).all()
    assert (inner(x, y[0])[3:5] == inner(x[3:5], y[0])).all()


def test_namespace_is_that_of_the_arrays():
    assert namespace(np.ones(2), np.zeros(1)).asarray([1]).tolist() == [1]
    with pytest.raises(TypeError):
        namespace([1.0])
    assert asnumpy(np.ones(2)).tolist() == [1.0, 1.0]


@dataclass(frozen=True)
class Setting:
    a: object
    b: object = None


@dataclass(frozen=True)
class Other:
    a: object
    b: object = None


THINGS = [
    None,
    True,
    1,
    1.0,
    -1.0,
    0.1,
    float("inf"),
    "",
    "a",
    "1",
    "a', 'b",
    (),
    [],
    {},
    (1,),
    [1],
    (1, 2),
    ((1,), 2),
    (1, (2,)),
    ("a", "b"),
    ("ab",),
    {"a": 1},
    {"a": 1, "b": 2},
    {1: 2},
    np.float64(1.0),
    np.float32(1.0),
    np.int64(1),
    np.zeros(0),
    np.zeros(2),
    np.zeros((2, 1)),
    np.zeros(2, dtype=np.float32),
    np.zeros(2, dtype=int),
    np.array([0.0, -0.0]),
    np.array(["a"]),
    sp.csr_array(np.eye(2)),
    sp.csr_array(2 * np.eye(2)),
    sp.csr_array(np.eye(2)[::-1]),
    sp.csr_array((np.ones(2), np.array([0, 1]), np.array([0, 1, 2])), shape=(2, 3)),
    Setting(1),
    Setting(1, 2),
    Other(1),
    Constant(1.0, "exact", "s"),
    Constant(1.0 + 1e-12, "exact", "s"),
    Constant(1.0, "upper", "s"),
    Constant(1.0, "exact", "t"),
    RandK(4, 2),
    RandK(4, 3),
    Bernoulli(4, 0.5),
    Bernoulli(4, 0.5 + 1e-15),
    Bernoulli(4, np.full(4, 0.5)),
    FiniteSupport([np.eye(2)]),
    FiniteSupport([np.eye(3)]),
    Quadratic(np.eye(2), np.ones(2)),
    LeastSquares(np.eye(2), np.ones(2), l2=1.0),
    LogisticRegression(np.eye(2), np.ones(2), l2=1.0),
    LogisticRegression(sp.csr_array(np.eye(2)), np.ones(2), l2=1.0),
]


def test_different_contents_have_different_hashes():
    hashes = [content_hash(thing) for thing in THINGS]
    for i, thing in enumerate(THINGS):
        assert hashes.index(hashes[i]) == i, f"{thing!r} and {THINGS[hashes.index(hashes[i])]!r} share a hash"
        assert re.fullmatch("[0-9a-f]{64}", hashes[i])


def test_equal_contents_have_equal_hashes():
    A = np.random.default_rng(0).standard_normal((4, 3))
    same = [
        (np.asfortranarray(A), A),
        (A[::2], A[::2].copy()),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (RandK(np.int64(4), np.int64(2)), RandK(4, 2)),
        (Bernoulli(4, np.float64(0.5)), Bernoulli(4, 0.5)),
        (Bernoulli(2, [0.5, 1]), Bernoulli(2, np.array([0.5, 1.0]))),
        (LeastSquares(A, np.ones(4), l2=1), LeastSquares(np.asfortranarray(A), [1, 1, 1, 1], l2=np.float64(1.0))),
        (LeastSquares(A, np.ones(4), condition_number=100), LeastSquares(A, np.ones(4), condition_number=100.0)),
        (LeastSquares(sp.coo_array(A), np.ones(4), l2=1), LeastSquares(sp.csc_array(A), np.ones(4), l2=1)),
        (Constant(1.0, "exact", "s"), pickle.loads(pickle.dumps(Constant(1.0, "exact", "s")))),
    ]
    for one, other in same:
        assert content_hash(one) == content_hash(other)


def test_a_problem_hashes_the_same_before_and_after_it_is_used():
    problem = LogisticRegression(np.eye(3), [1, -1, 1], condition_number=10)
    before = content_hash(problem)
    problem.minimize()
    assert content_hash(problem) == before


def test_hashes_are_the_same_in_every_process():
    code = (
        "import numpy as np, mastsim as ms\n"
        "from mastsim.provenance import content_hash\n"
        "print(content_hash(ms.Mast(ms.LeastSquares(np.eye(2), np.ones(2), l2=1), ms.Bernoulli(2, 0.5), [1, 2])))\n"
        "print(content_hash({'a': (1.5, 'x'), 'b': None}))"
    )
    objective = mastsim.Mast(LeastSquares(np.eye(2), np.ones(2), l2=1), Bernoulli(2, 0.5), [1, 2])
    assert run_python(code).split() == [content_hash(objective), content_hash({"a": (1.5, "x"), "b": None})]


@pytest.mark.parametrize("thing", [object(), {1, 2}, b"x", 1j, np.array([object()]), Setting, lambda: 0, (1, object())])
def test_what_has_no_known_content_is_refused(thing):
    with pytest.raises(TypeError, match=r"the content of .* is not known: it must be made of dataclasses, arrays and plain"):
        content_hash(thing)


def test_a_constant_is_a_number_that_says_where_it_comes_from():
    L = Constant(2.0, "upper", "Lemma 1 (ii)", error=0.5)
    assert (float(L), L.value, L.kind, L.source, L.error) == (2.0, 2.0, "upper", "Lemma 1 (ii)", 0.5)
    assert type(L.value) is float
    assert type(2 * L) is float
    assert L == 2.0
    assert repr(L) == "Constant(2, 'upper', 'Lemma 1 (ii)')"
    assert L.record() == {"value": 2.0, "kind": "upper", "source": "Lemma 1 (ii)", "error": 0.5}
    for other in (copy.copy(L), copy.deepcopy(L), pickle.loads(pickle.dumps(L))):
        assert other.record() == L.record()
    assert Constant(float("inf"), "exact", "s").value == float("inf")
    with pytest.raises(ValueError, match="kind='sure' is not accepted: it must be one of exact, upper, lower, estimate"):
        Constant(1.0, "sure", "s")


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: validation.positive("x", np.float64(2)), 2.0),
        (lambda: validation.nonnegative("x", 0), 0.0),
        (lambda: validation.real("x", -3), -3.0),
        (lambda: validation.integer("x", np.int32(3), 1, 3), 3),
        (lambda: validation.number("x", "1e-3", "x:NUMBER"), 1e-3),
        (lambda: validation.one_of("x", "b", ["a", "b"]), "b"),
        (lambda: validation.keep_fraction("x", [1, 0.5]).tolist(), [1.0, 0.5]),
        (lambda: validation.vector("x", (1, True), 2).tolist(), [1.0, 1.0]),
        (lambda: validation.matrix("x", sp.coo_array(np.eye(2, dtype=bool))).toarray().tolist(), [[1.0, 0.0], [0.0, 1.0]]),
    ],
)
def test_what_is_accepted(call, expected):
    found = call()
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: validation.positive("step", 0), ValueError, "step=0 is not accepted: it must be a finite number > 0"),
        (
            lambda: validation.positive("step", float("inf")),
            ValueError,
            "step=inf is not accepted: it must be a finite number > 0",
        ),
        (
            lambda: validation.positive("step", float("nan")),
            ValueError,
            "step=nan is not accepted: it must be a finite number > 0",
        ),
        (lambda: validation.positive("step", None), TypeError, "step=None is not accepted: it must be a real number"),
        (lambda: validation.positive("step", "1"), TypeError, "step='1' is not accepted: it must be a real number"),
        (lambda: validation.positive("step", 10**400), TypeError, "is not accepted: it must be a real number"),
        (lambda: validation.nonnegative("l2", -0.5), ValueError, "l2=-0.5 is not accepted: it must be a finite number >= 0"),
        (lambda: validation.nonnegative("l2", 1j), TypeError, "l2=1j is not accepted: it must be a real number"),
        (lambda: validation.real("c", float("nan")), ValueError, "c=nan is not accepted: it must be a finite number"),
        (lambda: validation.integer("k", 0, 1), ValueError, "k=0 is not accepted: it must be an integer >= 1"),
        (lambda: validation.integer("k", 9, 1, 4), ValueError, "k=9 is not accepted: it must be an integer from 1 to 4"),
        (lambda: validation.integer("k", 1.0, 1, 4), TypeError, "k=1.0 is not accepted: it must be an integer from 1 to 4"),
        (lambda: validation.vector("v", [1.0], 2), ValueError, "v has shape (1,), but it must be a vector of length 2"),
        (
            lambda: validation.vector("v", [1.0, np.nan], 2),
            ValueError,
            "v holds nan at index (1,): every entry must be finite",
        ),
        (
            lambda: validation.vector("v", ["a", "b"], 2),
            TypeError,
            "v is not accepted: it must be an array of real numbers, not list",
        ),
        (
            lambda: validation.vector("v", {}, 2),
            TypeError,
            "v is not accepted: it must be an array of real numbers, not dict",
        ),
        (lambda: validation.matrix("A", sp.csr_array([[0, np.inf]])), ValueError, "A holds inf at index (0, 1)"),
        (lambda: validation.number("keep", "", "randk:KEEP"), ValueError, "keep '' is not accepted: write randk:KEEP"),
        (
            lambda: validation.one_of("method", "dgsd", ["gd", "dsgd"]),
            ValueError,
            "unknown method 'dgsd'; did you mean 'dsgd'? Known names: gd, dsgd",
        ),
        (lambda: validation.one_of("method", None, ["gd"]), ValueError, "unknown method None. Known names: gd"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
