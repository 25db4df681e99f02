"""Many matrices and many starts at once are what each is alone; the rounding of all starts is that of its own recursion."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.linalg import symmetric_part
from mastsim.moments import ClosedRecursion, EnumeratedRecursion, standard_forms
from mastsim.recursions.base import UNIT, MomentPath, absolute

SKETCHES = (
    ms.Identity(6),
    ms.Bernoulli(6, 0.4),
    ms.Bernoulli(6, np.linspace(0.2, 1.0, 6)),
    ms.RandK(6, 2),
    ms.BlockBernoulli(6, 3, 0.5),
    ms.NofM(6, 1, 3),
    ms.Haar(6, 2),
    ms.Gaussian(6, 2),
    ms.Rotated(ms.RandK(6, 2), np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]),
    ms.FiniteSupport([np.eye(6) + np.diag(np.ones(5), 1), np.eye(6) - np.diag(np.ones(5), 1)]),
    ms.PermK(6, clients=3),
)


@pytest.mark.parametrize("sketch", SKETCHES, ids=lambda sketch: sketch.name)
@pytest.mark.parametrize("name", ["curvature2", "mixed", "plain"])
def test_maps_of_many_matrices_are_those_of_each(sketch, name):
    rng = np.random.default_rng(1)
    A, M = symmetric_part(rng.standard_normal((3, 6, 6))), rng.standard_normal((2, 1, 6, 6))
    together = getattr(sketch.moment_operators(A), name)(M)
    each = [[getattr(sketch.moment_operators(a), name)(m[0]) for a in A] for m in M]
    np.testing.assert_allclose(np.broadcast_to(together, (2, 3, 6, 6)), each, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="not symmetric"):
        sketch.moment_operators(A + np.triu(np.ones((6, 6))))


def test_maps_of_two_clients_of_many_matrices_are_those_of_each():
    rng = np.random.default_rng(2)
    A, B = symmetric_part(rng.standard_normal((2, 6, 6)))
    pair, M = ms.PermK(6, clients=3).law.crossed(A, B), rng.standard_normal((4, 6, 6))
    for name in ("curvature2", "mixed", "plain"):
        np.testing.assert_allclose(getattr(pair, name)(M), [getattr(pair, name)(m) for m in M], rtol=1e-13, atol=1e-13)


def some_sum(dim=3):
    rng = np.random.default_rng(3)
    roots = rng.standard_normal((4, dim, dim))
    return ms.FiniteSum([ms.Quadratic(root @ root.T, rng.standard_normal(dim)) for root in roots])


@functools.cache
def cases():
    """Return objectives and methods for a recursion of every kind."""
    f, one = some_sum(), some_sum().problems[0]
    flat = ms.Quadratic(np.ones((3, 3)), np.full(3, 2.0))
    mean, several = ms.Mast(f, ms.RandK(3, 1), shift=np.ones(3)), ms.Distributed(list(f.problems), ms.RandK(3, 1))
    dealt = ms.Distributed(list(f.problems)[:3], ms.PermK(3, clients=3), shift=np.ones(3))
    return [
        (mean, ms.GD(0.01)),
        (mean, ms.DSGD(0.01)),
        (mean, ms.DSGD(0.01, ms.Nice(2))),
        (mean, ms.DSGD(0.01, ms.Nice(4))),
        (mean, ms.DSGD(0.01, ms.WithReplacement(2, np.array([0.4, 0.3, 0.2, 0.1])))),
        (mean, ms.DSGD(0.01, ms.Nice(1), ms.SketchCompressor(ms.RandK(3, 1)))),
        (mean, ms.DSGD(0.01, shift=ms.Refreshed(0.3, variant="b"))),
        (ms.Mast(one, ms.RandK(3, 1), shift=np.ones(3)), ms.DSGD(0.01, shift=ms.Refreshed(0.3, variant="a"))),
        (ms.Mast(one, ms.RandK(3, 1)), ms.DSGD(0.01, order=ms.Reshuffled())),
        (ms.Mast(one, ms.RandK(3, 1)), ms.LSVRDSG(0.01, probability=0.3, anchor=1)),
        (ms.Mast(one, ms.RandK(3, 1)), ms.PAGE(0.01, probability=0.3)),
        (ms.Mast(flat, ms.Bernoulli(3, 0.5)), ms.DSGD(0.01)),
        (ms.Mast(flat, ms.Bernoulli(3, 0.5)), ms.PAGE(0.01, probability=0.3)),
        (several, ms.DistributedDSGD(0.01)),
        (dealt, ms.DistributedDSGD(0.01)),
        (mean, ms.DSGD(1e3)),
    ]


@pytest.mark.parametrize("kind", [ClosedRecursion, EnumeratedRecursion])
@pytest.mark.parametrize("case", range(16))
def test_paths_of_many_starts_are_those_of_each(kind, case):
    chain = kind(*cases()[case])
    starts = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [-1e3, 1e3, 5.0]])
    forms = list(standard_forms(chain.objective, chain.center).values())
    together = chain.follow(starts, 60, forms)
    for row, x0 in enumerate(starts):
        alone = chain.follow(x0, 60, forms)
        finite = np.isfinite(alone.values)
        assert np.array_equal(np.isfinite(together.values[row]), finite)
        assert (np.abs(together.values[row][finite] - alone.values[finite]) <= alone.rounding[finite]).all()
        np.testing.assert_allclose(together.rounding[row], alone.rounding, rtol=1e-6)


@pytest.mark.parametrize("case", range(16))
def test_closed_forms_are_what_every_outcome_gives(case):
    closed, listed = (kind(*cases()[case]) for kind in (ClosedRecursion, EnumeratedRecursion))
    forms = [form for name, form in standard_forms(closed.objective, closed.center).items() if name in ("distance", "gap")]
    starts = np.array([[1.0, 2.0, 3.0], [-1e3, 1e3, 5.0]])
    one, two = (chain.follow(starts, 30, forms) for chain in (closed, listed))
    finite = np.isfinite(two.values)
    assert (np.abs(one.values[finite] - two.values[finite]) <= one.rounding[finite] + two.rounding[finite]).all()


def rounding_step_by_step(path, seen, misplaced):
    """Return the bounds by the recursion E⁺ = Φ(E) + what one step rounds by, for one start, without sharing anything."""
    chain, d = path.chain, len(path.y0)
    N, curvature, units = chain.noise_size, chain.stepsize**2 * chain.curvature_size, chain.units
    noise = UNIT * d * N + misplaced * (2 * np.sqrt(N * curvature) + curvature * misplaced)
    E = UNIT * d * float(path.y0 @ path.y0 + path.still @ path.still) * np.diag(units**2)
    out = []
    for t, size in enumerate(seen.sizes):
        weight = t * chain.rounding_rate
        sizes = [absolute(Q) for Q in path.forms]
        whole = [E + UNIT * d * size * np.diag(units**2) for _ in sizes]
        out.append([np.vdot(Q[:-1, :-1], W) + Q[-1, -1] * (weight + UNIT * d) for Q, W in zip(sizes, whole, strict=True)])
        E = symmetric_part(chain.linear(E)) + (weight * N + chain.rounding_rate * size + noise) * np.diag(units**2)
    return np.array(out)


@given(seed=st.integers(0, 2**32 - 1), misplaced=st.sampled_from([0.0, 1e-9]))
def test_rounding_is_that_of_the_recursion_of_error_matrices(seed, misplaced):
    rng = np.random.default_rng(seed)
    chain = ClosedRecursion(*cases()[rng.integers(15)]).chain
    size = len(chain.fields) * 3 + 1
    forms = [symmetric_part(rng.standard_normal((size, size))) for _ in range(2)]
    path = MomentPath(chain, rng.standard_normal(3) * 10.0 ** rng.uniform(-9, 9), forms)
    seen = path.follow(40)
    np.testing.assert_allclose(path.rounding(seen, misplaced), rounding_step_by_step(path, seen, misplaced), rtol=1e-9)
