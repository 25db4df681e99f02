"""Checks that a sketch is what it says it is."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mastsim.expected.rows import RowExpectation
from mastsim.problems import LogisticRegression, SigmoidClassification
from mastsim.sketches import Sketch, SketchBatch
from mastsim.testing.assertions import about, agree, at_most, empirical_bernstein, require, same
from mastsim.validation import instance, integer

ERROR = 1e-9
"""Probability with which a correct sketch fails the comparisons that rest on samples, all of them together."""

_LISTED = 1 << 20  # entries of the matrices of a support that is enumerated
_COUNTED = 1 << 10  # values of S whose frequencies are compared
_DRAWS = 1 << 14  # samples for the frequencies
_ROUNDING = 1e-12


def check_sketch(sketch: Sketch, seed: int = 0) -> None:
    """Check a sketch against its definition: sampling, moments, spectra, products and the law of aᵀSz.

    Where the support is small everything is compared with its enumeration, and the enumeration with the frequencies of
    samples. Otherwise moments are compared with sample means: a correct sketch fails with probability at most 1e-9,
    proven by an empirical Bernstein bound when `L_max` is finite, by the normal approximation when it is not. Matrices of
    shape (dim, dim) are formed.

    Parameters
    ----------
    sketch : Sketch
        The sketch to check.
    seed : int, default 0
        Seed of the samples and of the random matrices and vectors; a result repeats exactly.

    Raises
    ------
    AssertionError
        If an identity fails; the message names it and says by how much.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> check_sketch(ms.RandK(4, k=2))
    >>> class Careless(ms.RandK):
    ...     @property
    ...     def L_max(self):
    ...         return self.dim / self.k
    >>> try:
    ...     check_sketch(Careless(4, k=2))
    ... except AssertionError as failure:
    ...     print(failure)
    Rand-2 of 4: λ_max(SᵀS) ≤ L_max on samples fails at (0,): 4 against 2, off by 2 where 4e-12 is accepted
    """
    instance("sketch", sketch, Sketch)
    rng = np.random.default_rng(integer("seed", seed, 0))
    with threadpool_limits(limits=1, user_api="blas"), about(getattr(sketch, "name", type(sketch).__name__)):
        integer("dim", sketch.dim, 1)
        _check_sampling(sketch, seed)
        _check_uniforms(sketch, rng)
        sampled = sketch.sample(rng, max(2, min(64, (1 << 20) // sketch.dim**2)))
        _check_products(sketch, sampled, rng)
        _check_spectra(sketch, sampled)
        listed = sketch.support_size * sketch.dim**2 <= _LISTED
        if listed:
            _check_by_enumeration(sketch, rng)
        else:
            _check_curvature(sketch, np.asarray(sampled.matrices()), rng, complete=False)
        if not listed or sketch.support_size > _COUNTED:
            _check_by_samples(sketch, rng)


def _check_sampling(sketch: Sketch, seed: int) -> None:
    before = repr(np.random.get_state()), random.getstate()  # noqa: NPY002
    batch, again = (sketch.sample(np.random.default_rng(seed), 5) for _ in range(2))
    after = repr(np.random.get_state()), random.getstate()  # noqa: NPY002
    require("sampling advances only its rng", before == after, "a global random state changed")
    require("sample returns a SketchBatch", isinstance(batch, SketchBatch), f"it returned {type(batch).__name__}")
    matrices = np.asarray(batch.matrices())
    shape = (5, sketch.dim, sketch.dim)
    require("shape of sampled matrices", matrices.shape == shape, f"{matrices.shape} instead of {shape}")
    require("sampled matrices are finite", np.isfinite(matrices).all(), "there are NaN or infinite entries")
    same("sampling repeats with an equal rng", again.matrices(), matrices)


def _check_uniforms(sketch: Sketch, rng: np.random.Generator) -> None:
    u = _uniforms(sketch, rng)
    before = u.copy()
    together = np.asarray(sketch.from_uniforms(u).matrices())
    same("from_uniforms leaves its argument alone", u, before)
    alone = np.concatenate([np.asarray(sketch.from_uniforms(u[i : i + 1]).matrices()) for i in range(len(u))])
    same("from_uniforms does not depend on the other rows", together, alone)
    require("from_uniforms is finite on [0, 1)", np.isfinite(together).all(), "there are NaN or infinite entries")


def _uniforms(sketch: Sketch, rng: np.random.Generator) -> np.ndarray:
    count = integer("uniforms", sketch.uniforms, 0)
    ends = [np.zeros(count), np.full(count, np.nextafter(1.0, 0.0))]
    return np.concatenate([rng.random((4, count)), ends])


def _check_products(sketch: Sketch, batch: SketchBatch, rng: np.random.Generator) -> None:
    S = np.asarray(batch.matrices())
    for z in (rng.standard_normal((len(S), sketch.dim)), rng.standard_normal(sketch.dim), rng.integers(-9, 9, sketch.dim)):
        each = np.broadcast_to(z, (len(S), sketch.dim))
        for name, found, matrices in (
            ("apply(z) = S z", batch.apply(z), S),
            ("apply_transpose(g) = Sᵀ g", batch.apply_transpose(z), S.transpose(0, 2, 1)),
        ):
            size = np.einsum("rij,rj->ri", np.abs(matrices), np.abs(each))
            agree(name, found, np.einsum("rij,rj->ri", matrices, each), _ROUNDING * size.max())
    squares = np.linalg.svd(S, compute_uv=False) ** 2
    low, high = batch.square_norms()
    agree("square_norms: λ_max(SᵀS)", high, squares[:, 0], _ROUNDING * squares.max())
    agree("square_norms: λ_min(SᵀS)", low, squares[:, -1], _ROUNDING * squares.max())


def _check_spectra(sketch: Sketch, sampled: SketchBatch) -> None:
    moment = np.asarray(sketch.second_moment())
    require("shape of second_moment", moment.shape == (sketch.dim, sketch.dim), f"{moment.shape}")
    size = float(np.abs(moment).max())
    agree("second_moment is symmetric", moment, moment.T, _ROUNDING * size)
    agree("second_moment = quadratic_moment(I)", sketch.quadratic_moment(np.eye(sketch.dim)), moment, _ROUNDING * size)
    spectrum = np.linalg.eigvalsh(moment)
    slack = _ROUNDING * sketch.dim * spectrum[-1]
    agree("L_D = λ_max(E[SᵀS])", sketch.L_D, spectrum[-1], slack)
    agree("μ_D = λ_min(E[SᵀS])", sketch.mu_D, spectrum[0], slack)
    if sketch.unbiased:
        at_most("E[SᵀS] ⪰ I, which E[S] = I implies", 1.0, spectrum[0], slack + 1e-8)
    high = np.asarray(sampled.square_norms()[1])
    at_most("λ_max(SᵀS) ≤ L_max on samples", high, sketch.L_max, _ROUNDING * high)
    at_most("L_D ≤ L_max", sketch.L_D, sketch.L_max, slack)


def _check_by_enumeration(sketch: Sketch, rng: np.random.Generator) -> None:
    batch, weights = sketch.support()
    S, weights = np.asarray(batch.matrices()), np.asarray(weights)
    at_most("support weights are not negative", -weights, 0.0)
    agree("support weights add up to 1", weights.sum(), 1.0, _ROUNDING)
    require("support_size", len(S) == sketch.support_size, f"{sketch.support_size} claimed, {len(S)} values listed")
    if len(S) <= _COUNTED:
        _check_frequencies(sketch, S, weights, rng)
    size = float(np.tensordot(weights, np.abs(S), axes=1).max())
    if sketch.unbiased:
        agree("E[S] = I", np.tensordot(weights, S, axes=1), np.eye(sketch.dim), 2e-9 * max(1.0, size))
    top = float((np.linalg.norm(S[weights > 0], ord=2, axis=(1, 2)) ** 2).max())
    at_most("λ_max(SᵀS) ≤ L_max over the support", top, sketch.L_max, _ROUNDING * top)
    if getattr(sketch, "L_max_is_exact", True):
        agree("L_max = max λ_max(SᵀS) over the support", sketch.L_max, top, _ROUNDING * top)
    for A in (np.eye(sketch.dim), *_symmetric(sketch.dim, rng)):
        absolute = np.einsum("n,nki,kl,nlj->ij", weights, np.abs(S), np.abs(A), np.abs(S), optimize=True)
        moment = np.einsum("n,nki,kl,nlj->ij", weights, S, A, S, optimize=True)
        agree("quadratic_moment(A) = E[SᵀAS]", sketch.quadratic_moment(A), moment, _ROUNDING * absolute.max())
    agree("second_moment = E[SᵀS]", *(sketch.second_moment(), np.einsum("n,nki,nkj->ij", weights, S, S)), _ROUNDING * top)
    _check_curvature(sketch, S, rng, complete=True)
    _check_fourth_moment(sketch, S, weights, rng)
    _check_operators(sketch, S, weights, rng)
    _check_rows(sketch, S, weights, rng)
    _check_projection(sketch, S, weights, rng)


def _asked(sketch: Sketch, name: str, *arguments: np.ndarray) -> Any:
    """Return what a method gives that not every sketch has, and that may refuse with ValueError; None when it does not."""
    try:
        return getattr(sketch, name)(*arguments) if hasattr(sketch, name) else None
    except ValueError:
        return None


def _check_fourth_moment(sketch: Sketch, S: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
    for A in _symmetric(sketch.dim, rng):
        if (found := _asked(sketch, "fourth_moment", A)) is None:
            return
        turned = S.transpose(0, 2, 1)
        absolute = np.abs(turned) @ np.abs(A) @ np.abs(S) @ np.abs(turned) @ np.abs(A) @ np.abs(S)
        moment, size = (np.tensordot(weights, each, axes=1) for each in (turned @ A @ S @ turned @ A @ S, absolute))
        agree("fourth_moment(A) = E[SᵀASSᵀAS]", found, moment, 10 * _ROUNDING * size.max())


def _check_operators(sketch: Sketch, S: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
    A, M = _symmetric(sketch.dim, rng)[0], rng.standard_normal((sketch.dim, sketch.dim))
    if (operators := _asked(sketch, "moment_operators", A)) is None:
        return
    turned, absolute = S.transpose(0, 2, 1), np.abs(S)
    H, size = turned @ A @ S, absolute.transpose(0, 2, 1) @ np.abs(A) @ absolute
    for name, left, right, sizes in (
        ("curvature2", H, H, (size, size)),
        ("mixed", H, S, (size, absolute)),
        ("plain", turned, S, (absolute.transpose(0, 2, 1), absolute)),
    ):
        expected = np.tensordot(weights, left @ M @ right, axes=1)
        scale = np.tensordot(weights, sizes[0] @ np.abs(M) @ sizes[1], axes=1).max()
        agree(f"moment_operators(A).{name}", getattr(operators, name)(M), expected, 10 * _ROUNDING * scale)


def _check_rows(sketch: Sketch, S: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
    A, (z, v) = rng.standard_normal((3, sketch.dim)), rng.standard_normal((2, sketch.dim))
    f = LogisticRegression(A, np.array([1.0, -1.0, 1.0]), l2=0.0)
    if RowExpectation.refusal(f, sketch) is not None:
        return
    points, scale = v + S @ z, 1 + float(np.abs(S @ z).max()) * float(np.abs(A).sum())
    value, gradient = RowExpectation(f, sketch, v).value_and_gradient(v + z)
    back = (S.transpose(0, 2, 1) @ f.gradient(points)[..., None])[..., 0]
    agree("f_D of a logistic model by rows", value, weights @ f.value(points), 10 * _ROUNDING * scale)
    agree("∇f_D of a logistic model by rows", gradient, weights @ back, 10 * _ROUNDING * scale * float(np.abs(S).max()))


def _check_frequencies(sketch: Sketch, S: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
    # Matrices are told apart by the scalar aᵀSz: for random a and z, different ones have different scalars.
    a, z = rng.standard_normal((2, sketch.dim))
    listed = S @ z @ a
    ends = np.asarray(sketch.from_uniforms(_uniforms(sketch, rng)[-2:]).apply(z)) @ a
    drawn = np.asarray(sketch.sample(rng, _DRAWS).apply(z)) @ a
    laws = (listed, weights), (ends, np.ones(len(ends))), (drawn, np.full(len(drawn), 1 / len(drawn)))
    size = float((np.abs(S) @ np.abs(z) @ np.abs(a)).max())
    chances, at_ends, share = _masses(laws, 10 * sketch.dim * _ROUNDING * size)
    strays = float((at_ends + share)[chances == 0].sum())
    require("every sample lies in the support", strays == 0, "values outside it were drawn")
    # Bernstein's inequality for every value, joined by the union bound.
    rate = math.log(2 * len(S) / ERROR) / _DRAWS
    agree("sample frequencies = support weights", share, chances, rate / 3 + np.sqrt((rate / 3) ** 2 + 2 * chances * rate))


def _symmetric(dim: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    half, a = rng.standard_normal((dim, dim)), rng.standard_normal(dim)
    return half + half.T, np.outer(a, a)


def _check_by_samples(sketch: Sketch, rng: np.random.Generator) -> None:
    a, z = (v / np.linalg.norm(v) for v in rng.standard_normal((2, sketch.dim)))
    indefinite, rank_one = (A / np.linalg.norm(A, ord=2) for A in _symmetric(sketch.dim, rng))
    images = _images(sketch, z, rng)
    probes = [
        ("second_moment", (images**2).sum(axis=1), z @ sketch.second_moment() @ z, sketch.L_max),
        ("quadratic_moment", _forms(images, indefinite), z @ sketch.quadratic_moment(indefinite) @ z, 2 * sketch.L_max),
        ("quadratic_moment", _forms(images, rank_one), z @ sketch.quadratic_moment(rank_one) @ z, sketch.L_max),
    ]
    if sketch.unbiased:
        probes.append(("E[S] = I", images @ a, a @ z, 2 * math.sqrt(sketch.L_max)))
    if (law := _asked(sketch, "projection", a, z)) is not None:
        _check_scalar_moments(sketch, law, a, z, images @ a)
        transform = complex(law.characteristic_function(np.array(2.0)))
        probes.append(("characteristic function of aᵀSz", np.cos(2 * images @ a), transform.real, 2.0))
        probes.append(("characteristic function of aᵀSz", np.sin(2 * images @ a), transform.imag, 2.0))
    f = SigmoidClassification(a[None], np.ones(1), l2=0.0)
    if RowExpectation.refusal(f, sketch) is None:
        exact = float(RowExpectation(f, sketch, np.zeros(sketch.dim)).value(z))
        probes.append(("E ψ(aᵀSz) of the sigmoid loss", f.loss.psi(images @ a), exact, 1.0))
    for name, sample, expected, spread in probes:
        bound = empirical_bernstein(sample, spread, ERROR / len(probes))
        agree(f"{name} against {len(sample)} samples", sample.mean(), expected, bound)


def _images(sketch: Sketch, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count = max(1 << 10, min(1 << 14, (1 << 23) // sketch.dim))
    pieces = [np.asarray(sketch.sample(rng, 1 << 10).apply(z)) for _ in range(count >> 10)]
    return np.concatenate(pieces)


def _forms(points: np.ndarray, A: np.ndarray) -> np.ndarray:
    forms: np.ndarray = ((points @ A) * points).sum(axis=1)
    return forms


def _check_curvature(sketch: Sketch, S: np.ndarray, rng: np.random.Generator, complete: bool) -> None:
    half = rng.standard_normal((sketch.dim, sketch.dim))
    a = rng.standard_normal(sketch.dim)
    for A in (half @ half.T, np.outer(a, a), np.diag(a**2)):
        claim = sketch.supremum_curvature(A)
        require("supremum_curvature says what it is", claim.kind in ("exact", "upper"), f"its kind is {claim.kind!r}")
        top = np.linalg.eigvalsh(S.transpose(0, 2, 1) @ A @ S)[:, -1]
        size = float(np.linalg.norm(A, ord=2)) * float(np.linalg.norm(S, ord=2, axis=(1, 2)).max()) ** 2
        at_most("λ_max(SᵀAS) ≤ supremum_curvature(A)", top, claim, _ROUNDING * sketch.dim * size)
        if complete and claim.kind == "exact":
            agree("supremum_curvature is attained", top.max(), claim.value, _ROUNDING * sketch.dim * size)


def _check_scalar_moments(sketch: Sketch, law: Any, a: np.ndarray, z: np.ndarray, values: np.ndarray) -> None:
    square = float(z @ sketch.quadratic_moment(np.outer(a, a)) @ z)
    size = float(np.abs(values).max()) ** 2 + square
    agree("mean of aᵀSz", law.mean, a @ z, _ROUNDING * math.sqrt(size) * sketch.dim)
    agree("variance of aᵀSz", law.variance, square - (a @ z) ** 2, _ROUNDING * size * sketch.dim)
    low, high = law.bounds
    at_most("lower bound of aᵀSz", low, values, _ROUNDING * sketch.dim * (high - low))
    at_most("upper bound of aᵀSz", values, high, _ROUNDING * sketch.dim * (high - low))


def _check_projection(sketch: Sketch, S: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
    a, z = rng.standard_normal((2, sketch.dim))
    a[rng.random(sketch.dim) < 0.2] = 0
    if (law := _asked(sketch, "projection", a, z)) is None:
        return
    values = S @ z @ a
    size = float((np.abs(S) @ np.abs(z) @ np.abs(a)).max()) or 1.0
    _check_scalar_moments(sketch, law, a, z, values)
    mean = float(weights @ values)
    agree("mean of aᵀSz", law.mean, mean, _ROUNDING * size)
    agree("variance of aᵀSz", law.variance, weights @ (values - mean) ** 2, _ROUNDING * size**2)
    t = np.linspace(-3.0, 3.0, 7) / size
    for name, found, exponents in (
        ("characteristic function of aᵀSz", law.characteristic_function(t), 1j * t),
        ("moment generating function of aᵀSz", law.moment_generating_function(t), t),
    ):
        agree(name, found, np.exp(np.outer(exponents, values)) @ weights, 100 * _ROUNDING)
    _check_scalar_support(law, values, weights, size)


def _check_scalar_support(law: Any, values: np.ndarray, weights: np.ndarray, size: float) -> None:
    listed, chances = law.support()
    require("support of aᵀSz increases", (np.diff(listed) > 0).all(), "its values are out of order or repeated")
    at_most("support of aᵀSz has positive chances", -chances, 0.0)
    found, expected = _masses([(listed, chances), (values, weights)], 100 * _ROUNDING * size)
    agree("support of aᵀSz", found, expected, 100 * _ROUNDING)


def _masses(laws: Sequence[tuple[np.ndarray, np.ndarray]], within: float) -> list[np.ndarray]:
    """Return the mass that each law (values, weights) puts on each cluster of values, clusters being `within` apart."""
    values = np.concatenate([own for own, _ in laws])
    order = np.argsort(values)
    cluster = np.empty(len(values), dtype=int)
    cluster[order] = np.cumsum(np.diff(values[order], prepend=values[order[0]]) > within)
    parts = np.split(cluster, np.cumsum([len(own) for own, _ in laws])[:-1])
    return [
        np.bincount(part, weights=weights, minlength=cluster.max() + 1)
        for part, (_, weights) in zip(parts, laws, strict=True)
    ]
