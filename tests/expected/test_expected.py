"""f_D and its derivatives, by every evaluation there is, against the sum over all values of the sketch."""

import math
from contextlib import contextmanager

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.expected import row_sums
from mastsim.parallel import limited_threads
from mastsim.problems import Problem
from tests.oracles.brute_force import (
    LONG,
    MASKS,
    Instance,
    bernoulli_support,
    finite_support,
    instances,
    rand_k_support,
    vectors,
)

# Relative to the size of what is added up, see Instance; largest found: 1e-15, 1e-15 and 5e-15.
VALUE, GRADIENT, HESSIAN = 1e-13, 1e-13, 1e-12

ROUTES = ("auto", "closed form", "enumeration", "rows", "rows by exponential sums", "rows by enumeration")


@contextmanager
def forced(instance, route):
    """Give the objective with one way to evaluate it, whatever it would choose itself."""
    with pytest.MonkeyPatch.context() as patch:
        if route in ROUTES[-2:]:
            patch.setattr(row_sums, "_ATOM_COST", math.inf if route == ROUTES[-2] else 0.0)
        yield instance.mast(evaluate=route.split(" by ")[0])


def applies(instance, route):
    """Say whether an evaluation applies, from what it is."""
    selects = isinstance(instance.sketch, (ms.Identity, ms.Bernoulli, ms.RandK))
    return {"closed form": instance.loss == "squared", "rows": selects}.get(route.split(" by ")[0], True)


def check(instance, F, x):
    """Compare value, gradient, Hessian and its products with brute force."""
    value, size = instance.value(x)
    assert abs(float(F.value(x) - value)) <= VALUE * size
    gradient, size = instance.gradient(x)
    assert np.abs(F.gradient(x) - gradient).max() <= GRADIENT * size
    hessian, size = instance.hessian(x)
    assert np.abs(F.hessian(x) - hessian).max() <= HESSIAN * size
    w = np.linspace(-1, 2, F.dim)
    assert np.abs(F.hessian_product(x, w) - hessian @ w).max() <= HESSIAN * size * np.abs(w).sum()


@pytest.mark.parametrize("route", ROUTES)
@given(instance=instances())
def test_every_route_matches_brute_force(route, instance):
    assume(applies(instance, route))
    with forced(instance, route) as F:
        check(instance, F, instance.x)
        check(instance, F, instance.v)


def make(loss="logistic", sketch="bernoulli", n=6, d=8, l2=0.1, keep=0.3, shift=1.0, spread=1.0, seed=0):
    """Make a dense instance; `keep` is K for Rand-K."""
    rng = np.random.default_rng(seed)
    A, v = rng.standard_normal((n, d)), shift * rng.standard_normal(d)
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    if sketch == "finite":
        law = finite_support(rng, d, 4)
    elif sketch == "bernoulli":
        law = ms.Bernoulli(d, keep), bernoulli_support(np.broadcast_to(keep, (d,)))
    else:
        law = ms.RandK(d, keep), rand_k_support(d, keep)
    return Instance(loss, A, y, l2, *law, v, spread * rng.uniform(-1, 1, d))


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("loss", ["logistic", "squared"])
@pytest.mark.parametrize(
    "law",
    [
        {"keep": 0.5},
        {"keep": 1e-3},
        {"keep": 1.0},
        {"keep": np.geomspace(1e-3, 1, 8)},
        {"sketch": "rand-k", "keep": 1},
        {"sketch": "rand-k", "keep": 3},
        {"sketch": "rand-k", "keep": 8},
        {"sketch": "finite"},
    ],
)
@pytest.mark.parametrize("spread", [1.0, 50.0])
def test_far_and_near_with_rare_and_certain_coordinates(route, loss, law, spread):
    """|x| up to 50 with keep down to 1e-3: predictions reach 1e5 and more."""
    for shift, l2 in ((0.0, 0.0), (2.0, 0.1)):
        instance = make(loss, shift=shift, spread=spread, l2=l2, **law)
        if applies(instance, route):
            with forced(instance, route) as F:
                check(instance, F, instance.x)


def test_what_the_far_instances_reach():
    instance = make(keep=1e-3, spread=50.0)
    assert instance.reach(instance.x) > 1e5


@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 6), (9, 1)])
@pytest.mark.parametrize("sketch", ["bernoulli", "rand-k"])
def test_one_row_and_one_column(n, d, sketch):
    instance = make(n=n, d=d, sketch=sketch, keep=0.4 if sketch == "bernoulli" else 1)
    for route in ("auto", "enumeration", *ROUTES[-2:]):
        with forced(instance, route) as F:
            check(instance, F, instance.x)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_matrix, sp.coo_array])
@pytest.mark.parametrize("sketch", ["bernoulli", "rand-k"])
def test_rows_of_zeros_explicit_zeros_and_nothing_but_zeros(container, sketch):
    instance = make(sketch=sketch, n=4, d=5, keep=0.4 if sketch == "bernoulli" else 2)
    table = instance.A.copy()
    table[1], table[3, 2:], table[:, 1] = 0, 0, 0
    for A in (table, np.zeros_like(table)):
        instance.A = container(A)
        for route in ROUTES[3:]:
            with forced(instance, route) as F:
                check(instance, F, instance.x)
    stored = sp.csr_array(table)
    stored.data[:2] = 0.0
    instance.A = stored
    check(instance, instance.mast(), instance.x)


def test_unsorted_and_repeated_entries():
    instance = make(n=1, d=3, keep=0.4)
    triples = (np.array([1.0, 2.0, -1.0, 0.5]), (np.zeros(4, dtype=int), np.array([2, 0, 2, 1])))
    instance.A = sp.coo_array(triples, shape=(1, 3))
    check(instance, instance.mast(), instance.x)


@given(instance=instances(losses=("squared",), families=MASKS, most=4, size=5.0))
def test_three_routes_agree_on_least_squares(instance):
    """E[SᵀAS], mean and variance of every prediction, and the sum over all masks are three independent computations."""
    found = [instance.mast(evaluate=route) for route in ("closed form", "rows", "enumeration")]
    value, gradient, hessian = (max(f(instance.x)[1], 1) for f in (instance.value, instance.gradient, instance.hessian))
    for F in found[1:]:
        assert abs(F.value(instance.x) - found[0].value(instance.x)) <= VALUE * value
        assert np.abs(F.gradient(instance.x) - found[0].gradient(instance.x)).max() <= GRADIENT * gradient
        assert np.abs(F.hessian(instance.x) - found[0].hessian(instance.x)).max() <= HESSIAN * hessian


@pytest.mark.parametrize("spectrum", [[1.0, 4.0, 0.5], [2.0, 0.0, 0.0], [1e8, 1.0, 1e-4], [0.0, 0.0, 0.0]])
@pytest.mark.parametrize("sketch", ["bernoulli", "rand-k", "finite"])
def test_quadratics_match_the_sum_over_the_support(spectrum, sketch):
    """f(x) = ½xᵀAx − bᵀx + c itself, with A of full and of lower rank."""
    rng = np.random.default_rng(1)
    Q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    A = Q @ np.diag(spectrum) @ Q.T
    A = (A + A.T) / 2
    b, v, x, w = A @ rng.standard_normal(3), *rng.standard_normal((3, 3))
    law = make(sketch=sketch, d=3, keep=0.2 if sketch == "bernoulli" else 2)
    f = ms.Quadratic(A, b, c=2.5)
    points = v + law.support[0] @ (x - v)
    slopes = points @ A.T - b
    value = law.support[1] @ (0.5 * ((points @ A) * points).sum(axis=1) - points @ b + LONG(2.5))
    gradient = np.einsum("s,sij,si->j", law.support[1], law.support[0], slopes)
    product = np.einsum("s,sij,si->j", law.support[1], law.support[0], law.support[0] @ w @ A)
    size = 1 + max(spectrum) * float(np.abs(law.support[0]).max()) ** 2 * 20
    for evaluate in ("auto", "enumeration"):
        F = ms.Mast(f, law.sketch, shift=v, evaluate=evaluate)
        assert abs(float(F.value(x) - value)) <= 1e-14 * size
        assert np.abs(F.gradient(x) - gradient).max() <= 1e-14 * size
        assert np.abs(F.hessian_product(x, w) - product).max() <= 1e-14 * size


# Derivatives ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
@given(instance=instances(size=2.0, most=4))
def test_gradients_and_products_are_derivatives(route, instance):
    """Central differences with step h are off by h²/6 of two derivatives more, and by rounding over h."""
    assume(applies(instance, route))
    w = np.cos(np.arange(len(instance.x)))
    slope_per_step = (
        float(np.abs(instance.support[0]).max()) * max(1.0, float(np.abs(instance.data).max())) * np.abs(w).sum()
    )
    step = 1e-4 / slope_per_step
    bend = instance.hessian(instance.x)[1] * np.abs(w).sum() ** 2
    ahead, behind = instance.x + step * w, instance.x - step * w
    with forced(instance, route) as F:
        slope = (F.value(ahead) - F.value(behind)) / (2 * step)
        rounding = 1e-15 * instance.value(instance.x)[1] / step
        assert abs(slope - F.gradient(instance.x) @ w) <= 1e-4 * step * bend + rounding
        change = (F.gradient(ahead) - F.gradient(behind)) / (2 * step)
        rounding = 1e-15 * instance.gradient(instance.x)[1] / step
        assert np.abs(change - F.hessian_product(instance.x, w)).max() <= 1e-8 * bend + rounding


# Invariances ---------------------------------------------------------------------------------------------------------


@given(instance=instances(families=MASKS), order=st.randoms(use_true_random=False))
def test_renaming_the_coordinates_changes_nothing(instance, order):
    swap = list(range(len(instance.x)))
    order.shuffle(swap)
    F = instance.mast()
    sketch = instance.sketch
    if isinstance(sketch, ms.Bernoulli):
        sketch = ms.Bernoulli(sketch.dim, np.broadcast_to(sketch.keep, (sketch.dim,))[swap])
    other = Instance(
        instance.loss, instance.data[:, swap].astype(float), instance.y, instance.l2, sketch, None, instance.v[swap]
    )
    G, x = other.mast(), instance.x
    assert abs(F.value(x) - G.value(x[swap])) <= VALUE * instance.value(x)[1]
    assert np.abs(F.gradient(x)[swap] - G.gradient(x[swap])).max() <= GRADIENT * instance.gradient(x)[1]
    assert np.abs(F.hessian(x)[swap][:, swap] - G.hessian(x[swap])).max() <= HESSIAN * instance.hessian(x)[1]


@given(instance=instances(families=MASKS))
def test_rows_said_twice_count_as_once(instance):
    F, x = instance.mast(), instance.x
    twice = Instance(
        instance.loss,
        np.vstack([instance.data, instance.data]).astype(float),
        np.append(instance.y, instance.y),
        instance.l2,
        instance.sketch,
        None,
        instance.v,
    ).mast()
    assert abs(F.value(x) - twice.value(x)) <= VALUE * instance.value(x)[1]
    assert np.abs(F.gradient(x) - twice.gradient(x)).max() <= GRADIENT * instance.gradient(x)[1]


@given(instance=instances(losses=("logistic",), families=MASKS, l2=(0.0,)), factor=st.sampled_from([0.25, 3.0]))
def test_data_times_c_and_points_over_c_are_the_same(instance, factor):
    scaled = Instance("logistic", factor * instance.A, instance.y, 0.0, instance.sketch, None, instance.v / factor)
    F, G, x = instance.mast(), scaled.mast(), instance.x
    assert abs(F.value(x) - G.value(x / factor)) <= VALUE * instance.value(x)[1]
    assert np.abs(factor * F.gradient(x) - G.gradient(x / factor)).max() <= factor * GRADIENT * instance.gradient(x)[1]


@given(instance=instances(losses=("logistic",), families=MASKS))
def test_the_mean_over_two_halves_is_the_whole(instance):
    """f_D is linear in f: with as many rows in each half, it is the mean of the two."""
    rows = len(instance.y) // 2
    assume(rows > 0)
    A, y = instance.data[: 2 * rows].astype(float), instance.y[: 2 * rows]
    law = (instance.l2, instance.sketch, instance.support, instance.v)
    whole = Instance("logistic", A, y, *law)
    halves = [Instance("logistic", A[i::2], y[i::2], *law).mast().value(instance.x) for i in (0, 1)]
    assert abs(whole.mast().value(instance.x) - np.mean(halves)) <= VALUE * whole.value(instance.x)[1]


@given(instance=instances(families=MASKS), flip=vectors(4, st.sampled_from([-1.0, 1.0])))
def test_flipping_labels_with_their_rows_changes_nothing(instance, flip):
    sign = flip[: len(instance.y)]
    turned = Instance(
        instance.loss,
        sign[:, None] * instance.data.astype(float),
        sign * instance.y,
        instance.l2,
        instance.sketch,
        None,
        instance.v,
    )
    size = instance.value(instance.x)[1]
    assert abs(turned.mast().value(instance.x) - instance.mast().value(instance.x)) <= VALUE * size


@given(instance=instances(size=5.0))
def test_at_the_shift_nothing_is_sketched(instance):
    """f_D(v) = f(v) and ∇f_D(v) = ∇f(v)."""
    F = instance.mast()
    assert abs(float(F.value(instance.v) - instance.f(instance.v))) <= VALUE * instance.value(instance.v)[1]
    plain = instance.problem.gradient(instance.v)
    assert np.abs(F.gradient(instance.v) - plain).max() <= GRADIENT * instance.gradient(instance.v)[1]


@given(instance=instances(size=5.0))
def test_sketching_a_convex_function_raises_it(instance):
    """Lemma 2: f_D ≥ f."""
    size = instance.value(instance.x)[1]
    assert float(instance.mast().value(instance.x)) >= float(instance.f(instance.x)) - VALUE * size


# Replicas, threads, types --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_replicas_are_evaluated_as_if_alone(route, loss):
    instance = make(loss, n=40, d=8)
    if not applies(instance, route):
        return
    x = np.random.default_rng(2).standard_normal((2, 3, 8))
    with forced(instance, route) as F:
        values, gradients, products = F.value(x), F.gradient(x), F.hessian_product(x, x[::-1])
        assert (values.shape, gradients.shape, products.shape) == ((2, 3), x.shape, x.shape)
        for i in np.ndindex(2, 3):
            assert values[i] == F.value(x[i])
            np.testing.assert_array_equal(gradients[i], F.gradient(x[i]))
            np.testing.assert_array_equal(products[i], F.hessian_product(x[i], x[::-1][i]))
        both = F.expectation.value_and_gradient(x[0, 0])
        assert both[0] == values[0, 0]
        np.testing.assert_array_equal(both[1], gradients[0, 0])


@pytest.mark.parametrize("sketch", [ms.Bernoulli(25, 0.2), ms.RandK(25, 5)])
def test_threads_do_not_change_a_bit(sketch):
    rng = np.random.default_rng(0)
    A = sp.csr_array(rng.standard_normal((900, 25)) * (rng.random((900, 25)) < 0.7))
    F = ms.Mast(ms.LogisticRegression(A, np.where(rng.random(900) < 0.5, 1.0, -1.0), l2=0.1), sketch)
    x, w = rng.standard_normal((2, 25))
    found = []
    for threads in (1, 2):
        with limited_threads(threads):
            found.append((F.value(x), *F.gradient(x), *F.hessian_product(x, w)))
    assert found[0] == found[1]


def test_lists_and_integers_are_points():
    F = make(d=3, keep=0.4).mast()
    for G in (F, ms.Mast(ms.Quadratic(np.eye(3), np.ones(3)), ms.RandK(3, 2))):
        want = G.value(np.array([1.0, 2.0, -3.0]))
        assert want == G.value([1, 2, -3]) == G.value(np.array([1, 2, -3]))


def test_a_shift_changed_afterwards_changes_nothing():
    shift = np.ones(8)
    instance = make()
    F = ms.Mast(instance.problem, instance.sketch, shift=shift)
    before = F.value(instance.x)
    shift += 100
    assert F.value(instance.x) == before


def test_evaluations_say_what_they_are():
    def evaluation(instance, evaluate="auto"):
        return instance.mast(evaluate=evaluate).evaluation

    assert evaluation(make()).name == "rows"
    assert evaluation(make("squared")).name == "closed form"
    assert evaluation(make(sketch="finite")).name == "enumeration"
    assert evaluation(make("squared"), "rows").name == "rows"
    assert evaluation(make(), "enumeration").reason == "the sketch has 256 values"
    exact = ("closed form", "rows", "enumeration")
    assert {evaluation(make("squared"), name).tier for name in exact} == {"exact"}
    assert evaluation(make("squared"), "monte carlo").tier == "estimate"


def test_error_bounds():
    rows = make()
    with forced(rows, "rows by exponential sums") as F:
        assert 1e-16 < F.error_bound(rows.x) < 1e-11
        # The largest over a batch; it grows with the reach.
        assert F.error_bound(rows.x) < F.error_bound(np.stack([rows.x, 100 * rows.x])) == F.error_bound(100 * rows.x)
    for instance, route in ((rows, "enumeration"), (rows, "rows by enumeration"), (make("squared"), "rows")):
        with forced(instance, route) as F:
            assert 1e-16 < F.error_bound(instance.x) < 1e-10
    assert 0 < make("squared").mast().error_bound(rows.x) < 1e-11


def test_sketched_value_and_gradient():
    """Their means over the support are f_D and ∇f_D; each is that of f at v + S(x − v)."""
    instance = make(sketch="finite")
    F = instance.mast()
    batch, chances = instance.sketch.support()
    values, gradients = F.sketched_value(instance.x, batch), F.sketched_gradient(instance.x, batch)
    losses = instance.losses(instance.x)[0].mean(axis=1) + 0.05 * (instance.points(instance.x) ** 2).sum(axis=1)
    np.testing.assert_allclose(values, losses.astype(float), rtol=1e-13)
    np.testing.assert_allclose(chances @ gradients, instance.gradient(instance.x)[0].astype(float), rtol=0, atol=1e-12)


# Refusals ------------------------------------------------------------------------------------------------------------


def test_dimensions_must_agree():
    with pytest.raises(ValueError, match="the sketch has dimension 4, but the problem has dimension 8"):
        ms.Mast(make().problem, ms.RandK(4, 1))


@pytest.mark.parametrize(
    ("shift", "message"),
    [
        (np.zeros(7), r"shift has shape \(7,\), but it must be a vector of length 8"),
        (np.zeros((1, 8)), r"shift has shape \(1, 8\)"),
        (0.0, r"shift has shape \(\)"),
        (np.array([0, 0, math.nan, 0, 0, 0, 0, 0]), r"shift holds nan at index \(2,\)"),
        (np.full(8, math.inf), "shift holds inf"),
    ],
)
def test_bad_shifts_are_refused(shift, message):
    instance = make()
    with pytest.raises(ValueError, match=message):
        ms.Mast(instance.problem, instance.sketch, shift=shift)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
@pytest.mark.parametrize("x", [np.zeros(7), np.zeros(1), np.zeros((8, 1)), 1.0, [1.0, 2.0]])
def test_points_of_the_wrong_length_are_refused(loss, x):
    """Also of length 1, which NumPy would stretch without a word."""
    F = make(loss).mast()
    for call in (F.value, F.gradient, F.error_bound, lambda x: F.hessian_product(x, np.zeros(8))):
        with pytest.raises(ValueError, match=r"x has shape .*, but its last axis must have length 8"):
            call(x)
    with pytest.raises(ValueError, match="x has shape"):
        F.hessian(x)
    with pytest.raises(ValueError, match="w has shape"):
        F.hessian_product(np.zeros(8), x)


def test_point_and_direction_must_have_the_same_shape():
    with pytest.raises(ValueError, match=r"x has shape \(2, 8\) and w has shape \(8,\)"):
        make().mast().hessian_product(np.zeros((2, 8)), np.zeros(8))


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        ("row", "unknown evaluate 'row'; did you mean 'rows'"),
        ("closed", "did you mean 'closed form'"),
        ("enumerate", "did you mean 'enumeration'"),
        ("", "Known names: auto, closed form, rows, finite sum"),
    ],
)
def test_unknown_evaluations_are_refused(evaluate, message):
    with pytest.raises(ValueError, match=message):
        make().mast(evaluate=evaluate)


@pytest.mark.parametrize(
    ("instance", "evaluate", "message"),
    [
        (
            make(),
            "closed form",
            "evaluate='closed form' is not accepted here: f is not quadratic; what applies: auto, rows, en",
        ),
        (make(sketch="finite"), "rows", "the law of aᵀSz is not known in closed form; what applies: auto, enumeration"),
        (make(keep=0.5), "enumeration", None),
    ],
)
def test_an_evaluation_that_does_not_apply_is_refused(instance, evaluate, message):
    if message is None:
        assert instance.mast(evaluate=evaluate).evaluation.name == evaluate
        return
    with pytest.raises(ValueError, match=message):
        instance.mast(evaluate=evaluate)


def test_enumeration_of_too_many_values_is_refused():
    problem = ms.LogisticRegression(np.ones((2, 13)), np.array([1.0, -1.0]), l2=0.1)
    with pytest.raises(ValueError, match=r"evaluate='enumeration' .* the sketch has 8192 values, more than 4096"):
        ms.Mast(problem, ms.Bernoulli(13, 0.5), evaluate="enumeration")
    assert ms.Mast(problem, ms.Bernoulli(13, 0.5)).evaluation.name == "rows"


def test_quadratic_rows_need_a_linear_model():
    with pytest.raises(
        ValueError, match="f is not a generalised linear model; what applies: auto, closed form, enumeration"
    ):
        ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, 1), evaluate="rows")


def test_the_last_resort_is_labelled_and_says_how_good_it_is():
    """No linear model, and a sketch too large to enumerate: cos(2·x) with x = π/2 kept or not has mean 0 and variance 1."""

    class Cosine(Problem):
        dim = 13
        hessian_product = gradient = upper_curvature = lower_curvature = minimize = None
        curvature_is_attained, lower_bound = True, -1.0

        def value(self, x):
            return np.cos(x[..., 0])

    F = ms.Mast(Cosine(), ms.Bernoulli(13, 0.5))
    assert (F.evaluation.name, F.evaluation.tier) == ("monte carlo", "estimate")
    x = np.full(13, np.pi / 2)
    assert F.error_bound(x) == np.inf
    assert F.standard_error(x) == pytest.approx(1 / np.sqrt(4096), rel=0.01)
    # Hoeffding at 1e-9: |mean| <= sqrt(2 log(2e9) / 4096).
    assert abs(F.value(x)) <= np.sqrt(2 * np.log(2e9) / 4096)


def test_unscaled_masks_have_no_closed_form():
    """E[S] ≠ I: the closed form would be wrong, so f_D is enumerated."""
    sketch = ms.Unscaled(ms.Bernoulli(2, 0.5))
    f = ms.Quadratic(np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 0.0]))
    F = ms.Mast(f, sketch, shift=np.array([0.5, -1.0]))
    assert F.evaluation.name == "enumeration"
    x = np.array([2.0, 4.0])
    masks = [np.array([a, b]) for a in (0, 1) for b in (0, 1)]
    want = np.mean([f.value(F.center + mask * (x - F.center)) for mask in masks])
    assert F.value(x) == pytest.approx(want, rel=1e-14)
    with pytest.raises(ValueError, match="E\\[S\\] differs from I"):
        ms.Mast(f, sketch, evaluate="closed form")
