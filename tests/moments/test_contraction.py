"""True contraction factors against dense eigenvalues of the whole map of second moments, which is built here from steps."""

import numpy as np
import pytest

import mastsim as ms
from mastsim.draws import outcomes
from mastsim.moments import contraction, largest_stable_stepsize
from tests.oracles.affine_methods import HeavyBall

pytestmark = pytest.mark.slow

INTEGER = np.array([[13.0, 2.0, -10.0], [2.0, 8.0, 0.0], [-10.0, 0.0, 8.0]])


def rank(H):
    """Return how many eigenvalues of H are not zero; the matrices here have none in between."""
    values = np.linalg.eigvalsh(H)
    return int((values > 1e-11 * values[-1]).sum())


def linear_maps(F, method):
    """Return the linear part of a step for every outcome, and probabilities, gradients in units of points over the step."""
    d = F.dim
    kind = type(method.init(F, F.center[None]))
    units = np.repeat([1.0 if name in method.points else 1 / method.rule.largest for name in kind._fields], d)
    starts = np.concatenate([np.zeros((1, len(units))), np.diag(units)])

    def step(rows, draw):
        return np.concatenate(method.step(kind(*np.split(starts[rows], len(kind._fields), axis=1)), F, draw), axis=1)

    ends, weights = outcomes(step, len(starts))
    ends = ends.reshape(len(starts), len(weights), -1)
    return ((ends[1:] - ends[0]) / units).transpose(1, 2, 0), weights, units


def dense_factor(F, method):
    """Return the spectral radius of E[T ⊗ T] on what starts in range(H_D) lead to, modulo the kernel of H_D."""
    d, center = F.dim, method.target(F)
    U = np.linalg.eigh(F.curvature)[1][:, d - rank(F.curvature) :]
    T, weights, units = linear_maps(F, method)
    Q = np.kron(np.eye(len(units) // d), U)
    if np.abs(Q.T @ T @ (np.eye(len(Q)) - Q @ Q.T)).max() > 1e-9:  # compressed gradients leave the range: only points
        Q = np.block([[U, np.zeros((d, d))], [np.zeros((d, U.shape[1])), np.eye(d)]])
    T = Q.T @ T @ Q
    states = [np.concatenate(method.init(F, x[None]), axis=1)[0] / units for x in (center, *(center + U.T))]
    V = np.linalg.qr(Q.T @ (np.array(states[1:]) - states[0]).T)[0]
    while V.shape[1] < len(V):
        # Each direction on its own scale, so that rare and small ones count as others do.
        images = (T @ V).transpose(1, 0, 2).reshape(len(V), -1)
        images = images / np.maximum(np.linalg.norm(images, axis=0), 1e-300)
        left, sizes, _ = np.linalg.svd(images - V @ (V.T @ images), full_matrices=False)
        if not (sizes > 1e-7).any():
            break
        V = np.linalg.qr(np.concatenate([V, left[:, sizes > 1e-7]], axis=1))[0]
    T = V.T @ T @ V
    return float(np.abs(np.linalg.eigvals(np.einsum("n,nij,nkl->ikjl", weights, T, T).reshape(len(T[0]) ** 2, -1))).max())


def matrices(d):
    rng = np.random.default_rng(d)
    root, thin = rng.standard_normal((d, d)), rng.standard_normal((d, max(1, d - 1)))
    spread = np.geomspace(1.0, 30.0, d)
    return {
        "full": root @ root.T,
        "low rank": thin @ thin.T,
        "decoupled": np.diag(np.linspace(1.0, 2.0, d)),
        "equal": np.eye(d),
        "spread": spread[:, None] * (np.eye(d) + 0.1) * spread,
        "tiny": 1e-8 * (np.eye(d) + 0.3),
        "huge": 1e9 * (np.eye(d) + 0.3),
    }


def sketches(d):
    return [ms.RandK(d, k=1), ms.RandK(d, k=d), ms.Bernoulli(d, 0.5), ms.Bernoulli(d, 1e-2), ms.Bernoulli(d, 0.999)]


def methods(d, gamma):
    compress = ms.SketchCompressor(ms.RandK(d, k=1))
    return [
        ms.GD(gamma),
        ms.DSGD(gamma),
        ms.DSGD(gamma, compression=compress),
        ms.LSVRDSG(gamma, probability=0.3),
        ms.LSVRDSG(gamma, probability=1.0),
        ms.LSVRDSG(gamma, probability=1e-3),
        ms.PAGE(gamma, probability=0.3),
        ms.PAGE(gamma, probability=1.0),
        ms.PAGE(gamma, probability=1e-3, sketches=2 if d < 3 else 1),
        ms.PAGE(gamma, compression=compress),
        ms.SGD(gamma),
        ms.GDCI(gamma),
        HeavyBall(gamma),
    ]


@pytest.mark.parametrize("name", matrices(1))
@pytest.mark.parametrize("d", [1, 2, 3])
def test_every_method_is_bracketed_by_proved_ends(name, d):
    A = matrices(d)[name]
    for sketch in sketches(d):
        F = ms.Mast(ms.Quadratic(A, A @ np.ones(d)), sketch, shift=np.full(d, -0.5))
        for method in methods(d, 0.3 / (np.linalg.eigvalsh(A)[-1] * sketch.L_max)):
            found, wanted = contraction(F, method), dense_factor(F, method)
            assert found.lower - 1e-9 <= wanted <= found.upper + 1e-9, (sketch.name, method, found, wanted)
            assert found.upper - wanted <= 1e-5, (sketch.name, method, found, wanted)
            assert wanted - found.lower <= 2e-2, (sketch.name, method, found, wanted)
            assert found.how.startswith("proved" if found.proved else "estimate")


def test_full_rank_factors_of_random_sketches_are_proved():
    F = ms.Mast(ms.Quadratic(matrices(3)["full"], np.ones(3)), ms.RandK(3, k=1))
    for method in (ms.GD(0.01), ms.DSGD(0.01), ms.LSVRDSG(0.01), ms.PAGE(0.01), ms.DSGD(0.01, compression=compressor(3))):
        assert contraction(F, method).proved, method
    assert largest_stable_stepsize(F).proved


def compressor(d):
    return ms.SketchCompressor(ms.RandK(d, k=1))


def test_the_range_of_a_singular_integer_matrix():
    """Eigenvalues 0, 8 and 21: on the range (1 − 8/42)², on the whole space 1. The exact rank proves what is cut off."""
    F = ms.Mast(ms.Quadratic(INTEGER, np.zeros(3)), ms.Identity(3))
    for method in (ms.GD(1 / 42), ms.DSGD(1 / 42), ms.SGD(1 / 42), ms.PAGE(1 / 42, probability=0.5), ms.PAGE(1 / 42)):
        found = contraction(F, method)
        assert found.lower - 1e-11 <= (1 - 8 / 42) ** 2 <= found.upper + 1e-11, method
        assert found.upper - found.lower < 1e-6, method
        assert found.proved
    stable = largest_stable_stepsize(F)
    assert stable.lower == pytest.approx(2 / 21, rel=1e-9)
    assert stable.lower <= 2 / 21 <= stable.upper
    assert stable.how.startswith("proved")


def test_a_matrix_that_is_singular_up_to_rounding_proves_nothing():
    u = np.array([0.1, 0.7, 1.3])
    F = ms.Mast(ms.Quadratic(np.outer(u, u), np.zeros(3)), ms.Identity(3))
    found = contraction(F, ms.GD(0.1))
    assert F.upper_curvature.rank != 1
    assert not found.proved
    assert "count as zero" in found.how


def test_rows_and_columns_of_zeros_are_exact():
    F = ms.Mast(ms.Quadratic(np.diag([0.0, 2.0]), np.array([0.0, 1.0])), ms.Bernoulli(2, 0.5))
    for method in (ms.DSGD(0.125), ms.LSVRDSG(0.125, probability=0.5)):
        assert contraction(F, method).proved
    assert contraction(F, ms.DSGD(0.125)).upper == pytest.approx(0.5, abs=1e-10)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e9])
@pytest.mark.parametrize("seed", range(4))
def test_a_compressed_gradient_is_not_self_adjoint(seed, scale):
    rng = np.random.default_rng(seed)
    root, d = rng.standard_normal((4, 4)), 4
    A = scale * root @ root.T * np.geomspace(1, 10, d)[:, None] * np.geomspace(1, 10, d)
    F = ms.Mast(ms.Quadratic(A, np.zeros(d)), ms.RandK(d, k=2))
    gamma = 0.5 / (np.linalg.eigvalsh(A)[-1] * 16)
    method = ms.DSGD(gamma, compression=compressor(d))
    found, wanted = contraction(F, method), dense_factor(F, method)
    assert found.lower <= wanted * (1 + 1e-12)
    assert wanted <= found.upper * (1 + 1e-12)
    assert found.upper - found.lower < 1e-6


@pytest.mark.parametrize("d", [30, 60])
def test_many_coordinates_are_bracketed_as_well(d):
    """Beyond dense eigenvalues: coordinates that do not mix, so that each has a factor of its own, by hand."""
    A = np.diag(np.linspace(1, 2, d))
    F, gamma = ms.Mast(ms.Quadratic(A, np.zeros(d)), ms.Bernoulli(d, 0.5)), 0.05
    by_hand = max(0.5 + 0.5 * (1 - 4 * gamma * a) ** 2 for a in np.diag(A))
    plain = contraction(F, ms.DSGD(gamma))
    assert plain.lower <= by_hand <= plain.upper
    assert plain.upper - plain.lower < 1e-6
    for method in (ms.DSGD(gamma, compression=ms.SketchCompressor(ms.Bernoulli(d, 0.5))), ms.PAGE(gamma, probability=0.5)):
        one = ms.Mast(ms.Quadratic(A[:1, :1], np.zeros(1)), ms.Bernoulli(1, 0.5))
        alone = (
            method if isinstance(method, ms.PAGE) else ms.DSGD(gamma, compression=ms.SketchCompressor(ms.Bernoulli(1, 0.5)))
        )
        found = contraction(F, method)
        assert found.upper >= dense_factor(one, alone) * (1 - 1e-12)
        assert found.upper <= dense_factor(one, alone) + 1e-4
        assert found.lower <= dense_factor(one, alone) * (1 + 1e-12)


@pytest.mark.parametrize("name", ["full", "low rank", "decoupled", "spread", "tiny", "huge"])
@pytest.mark.parametrize("d", [2, 3])
def test_the_safe_end_of_the_largest_stable_step_is_safe(name, d):
    A = matrices(d)[name]
    for sketch in sketches(d):
        F = ms.Mast(ms.Quadratic(A, A @ np.ones(d)), sketch)
        stable = largest_stable_stepsize(F)
        assert 0 < stable.lower <= stable.upper < np.inf
        assert stable.upper <= stable.lower * (1 + 1e-6)
        assert dense_factor(F, ms.DSGD(stable.lower * (1 - 1e-9))) <= 1 + 1e-11
        assert dense_factor(F, ms.DSGD(stable.upper * (1 + 1e-6))) >= 1
