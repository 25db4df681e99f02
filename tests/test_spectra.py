"""Two-sided brackets of the largest eigenvalue, against dense eigenvalues, known spectra and starts that mislead."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastsim.spectra import collatz_wielandt, lanczos


@given(
    seed=st.integers(0, 2**32 - 1),
    dim=st.integers(1, 300),
    rank=st.integers(0, 300),
    spread=st.sampled_from([1, 1e6, 1e-150]),
    shift=st.sampled_from([0.0, 1.0, -1.0]),
)
def test_the_bracket_holds_the_largest_eigenvalue(seed, dim, rank, spread, shift):
    """The upper end may fail with probability 1e-12 over the start; dense eigenvalues are off by 1e-13 of the size."""
    rng = np.random.default_rng(seed)
    B = rng.standard_normal((dim, min(rank, dim))) * np.geomspace(1, spread, min(rank, dim))
    A = B @ B.T
    size = np.abs(A).max() * dim
    A = A + shift * size * np.eye(dim)
    top = np.linalg.eigvalsh(A)[-1]
    found, vector = lanczos(lambda w: A @ w, dim, 1e-8, rounding=1e-14 * size, seed=seed)
    assert found.lower <= top + 1e-13 * size
    assert found.upper >= top - 1e-13 * size
    assert found.upper - found.lower <= 1e-2 * abs(top) + 1e-10 * size
    if dim <= 100:
        assert found.upper - found.lower <= 1.1e-8 * abs(top) + 1e-10 * size
    assert vector @ A @ vector == pytest.approx(found.lower, rel=1e-6, abs=1e-10 * size)


def test_a_start_that_misses_the_top_is_paid_for():
    """The Ritz value alone is below the eigenvalue here; the upper end is not."""
    spectrum = np.append(np.linspace(0, 1, 5_000), 1.0005)
    found, _ = lanczos(lambda w: spectrum * w, len(spectrum), 1e-8)
    assert found.lower < 1.0005 <= found.upper
    assert found.upper < 1.01


def test_a_top_that_the_start_hardly_sees_is_within_the_upper_end():
    """A weight of 1e-11 along the top stands for the worst start that the failure probability allows."""
    spectrum = np.append(np.linspace(0, 1, 400), 1.5)

    def seen(w):
        return spectrum * w

    for seed in range(3):
        start = np.random.Generator(np.random.Philox(seed)).standard_normal(401)
        start /= np.linalg.norm(start)
        # A rotation that takes the start of the search to one with 1e-11 along the top.
        wanted = start.copy()
        wanted[-1] = 1e-11
        wanted /= np.linalg.norm(wanted)
        mirror = (start - wanted) / np.linalg.norm(start - wanted)
        turned = lambda w, mirror=mirror: seen(w - 2 * mirror * (mirror @ w))  # noqa: E731
        product = lambda w, mirror=mirror, turned=turned: turned(w) - 2 * mirror * (mirror @ turned(w))  # noqa: E731
        for steps in range(4, 40, 4):
            found, _ = lanczos(product, 401, 0.0, seed=seed, steps=steps)
            assert found.upper >= 1.5 - 1e-9, steps
        assert found.upper < 1.6


@given(seed=st.integers(0, 2**32 - 1), dim=st.integers(1, 40), holes=st.floats(0, 1))
def test_no_positive_vector_bounds_from_below(seed, dim, holes):
    rng = np.random.default_rng(seed)
    M = rng.random((dim, dim)) * (rng.random((dim, dim)) > holes)
    M = M + M.T - rng.random() * np.eye(dim)
    top = np.linalg.eigvalsh(M)[-1]
    for enough in (np.inf, top):
        found = collatz_wielandt(lambda w: (M @ w, 1e-14 * w), rng.standard_normal(dim), enough, shift=1.0)
        assert found >= top - 1e-13 * dim
    if holes < 0.1:
        assert found <= top + 1e-6 * dim
