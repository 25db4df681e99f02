"""Checks that a loss is what it says it is, by a scan of one dimension."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mastsim.problems import Loss
from mastsim.testing.assertions import about, require
from mastsim.validation import instance, integer

_EPS = float(np.finfo(float).eps)
_GRID = np.unique(np.concatenate([np.linspace(-12.0, 12.0, 2401), *(s * np.geomspace(1e-6, 40.0, 400) for s in (-1, 1))]))
_LABELS = 6
_REACHES = (0.1, 1.0, 8.0, 30.0)
_ROUNDS = 40
_MARGIN = 1e-9
_STEP = 1e-5


def check_loss(loss: Loss, seed: int = 0) -> None:
    """Check a loss against its definition: derivatives, curvature bounds, infimum, exponential sum, pieces and labels.

    Everything is one function ψ of a scalar w, so that a scan of one dimension sees nearly all there is: |w| up to 40, some
    3000 points, and the extremes among them climbed. A curvature bound, an infimum or an error that is too small by more
    than rounding is found unless it is so only farther out, or in a peak narrower than 0.01.

    Parameters
    ----------
    loss : Loss
        The loss to check.
    seed : int, default 0
        Seed of the labels that are tried; a result repeats exactly.

    Raises
    ------
    AssertionError
        If something is wrong; the message names the member, the values, where they were found and what to write instead.

    References
    ----------
    This package.

    Examples
    --------
    >>> from mastsim.extend import ResidualLoss
    >>> class Careless(ResidualLoss):
    ...     name, curvature_max, curvature_min = "half a square", 0.8, 0.8
    ...     def psi(self, w, order=0):
    ...         return (0.5 * w**2, w, np.ones_like(w))[order]
    >>> try:
    ...     check_loss(Careless())
    ... except AssertionError as failure:
    ...     print(str(failure)[:63])
    half a square loss: curvature_max fails: it is 0.8, but ψ'' = 1
    """
    instance("loss", loss, Loss)
    rng = np.random.default_rng(integer("seed", seed, 0))
    with about(f"{getattr(loss, 'name', type(loss).__name__)} loss"), np.errstate(over="ignore", invalid="ignore"):
        grid = _usable(loss)
        for order in (1, 2):
            _check_derivative(loss, grid, order)
        _check_curvature(loss, grid)
        _check_size(loss, grid)
        _check_steepest(loss, grid)
        _check_pieces(loss, grid)
        for reach in _REACHES:
            _check_exponential_sum(loss, grid, reach)
        _check_labels(loss, grid, loss.labels_like(3 * rng.standard_normal(_LABELS)))


def _usable(loss: Loss) -> np.ndarray:
    """Return the points at which ψ and its derivatives are finite, refusing a ψ that is not elementwise."""
    values = [np.asarray(loss.psi(_GRID, order)) for order in range(3)]
    for order, found in enumerate(values):
        require(f"psi(w, {order}) is elementwise", found.shape == _GRID.shape, f"{found.shape} for w of {_GRID.shape}")
        table = np.asarray(loss.psi(_GRID[:6].reshape(2, 3), order))
        alike = table.shape == (2, 3) and np.array_equal(table.ravel(), found[:6], equal_nan=True)
        require(f"psi(w, {order}) is elementwise", alike, "w of shape (2, 3) gives something else than w of shape (6,)")
    inside = np.isfinite(values).all(axis=0) & (np.max(np.abs(values), axis=0) < 1e100)
    near = np.abs(_GRID) <= 1
    require("psi is finite", inside[near].all(), f"it is not at w = {_first(_GRID[near], ~inside[near]):.6g}")
    return _GRID[inside]


def _first(points: np.ndarray, where: np.ndarray) -> float:
    return float(points[where][0]) if where.any() else math.nan


def _check_derivative(loss: Loss, grid: np.ndarray, order: int) -> None:
    # The difference is a mean of ψ⁽ᵒ⁾ over the segment, so it is off by no more than that changes there.
    h = _STEP * (1 + np.abs(grid))
    here = loss.psi(grid, order)
    change = sum(np.abs(loss.psi(grid + s * h, order) - here) for s in (-1.0, -0.5, 0.5, 1.0))
    ahead, behind = loss.psi(grid + h, order - 1), loss.psi(grid - h, order - 1)
    wide = (grid + h) - (grid - h)
    noise = 64 * _EPS * (loss.terms(grid, order - 1) + np.abs(ahead) + np.abs(behind) + 1e-3) / h
    off = np.abs((ahead - behind) / wide - here) - change - noise
    off[~np.isfinite(off)] = -np.inf
    worst, what = int(off.argmax()), "ψ" + "'" * order
    slope = (ahead - behind)[worst] / wide[worst]
    require(
        f"psi(w, {order})",
        off[worst] <= 0,
        f"it says {what} = {here[worst]:.9g} at w = {grid[worst]:.6g}, but psi(w, {order - 1}) rises by {slope:.9g} there; "
        f"correct one of the two",
    )


def _extreme(of: Callable[[np.ndarray], np.ndarray], grid: np.ndarray) -> tuple[float, float]:
    """Return where a function is largest near the best points of a grid, and how large."""
    values = np.nan_to_num(of(grid), nan=-np.inf)
    found = (float(grid[values.argmax()]), float(values.max()))
    for top in np.argsort(values)[-8:]:
        low, high = grid[max(top - 1, 0)], grid[min(top + 1, len(grid) - 1)]
        for _ in range(_ROUNDS):
            points = np.linspace(low, high, 9)
            tried = np.nan_to_num(of(points), nan=-np.inf)
            best = int(tried.argmax())
            if tried[best] > found[1]:
                found = float(points[best]), float(tried[best])
            low, high = points[max(best - 1, 0)], points[min(best + 1, 8)]
    return found


def _check_curvature(loss: Loss, grid: np.ndarray) -> None:
    scale = max(float(np.abs(loss.psi(grid, 2)).max()), 1e-300) if math.isfinite(loss.bend) else 1.0
    for name, sign, bound in (("curvature_max", 1.0, loss.curvature_max), ("curvature_min", -1.0, loss.curvature_min)):
        where, value = _extreme(lambda w, sign=sign: sign * loss.psi(w, 2), grid)  # type: ignore[misc]
        side, level = ("least", "most")[sign < 0], sign * value
        require(
            name,
            value <= sign * bound + _MARGIN * scale,
            f"it is {bound:.9g}, but ψ'' = {level:.9g} at w = {where:.6g}; write at {side} {level:.6g}, or "
            f"{sign * math.inf} if no bound is known",
        )
    require("curvature_min ≤ curvature_max", loss.curvature_min <= loss.curvature_max, "it is the other way round")
    if loss.curvature_is_attained:
        nought = float(np.asarray(loss.psi(np.zeros(1), 2))[0])
        flat = float(np.min(loss.psi(grid, 2)))
        require(
            "curvature_is_attained",
            abs(nought - loss.curvature_max) <= _MARGIN * scale and flat <= loss.curvature_min + 1e-3 * scale,
            f"ψ'' is {nought:.9g} at 0 and at least {flat:.3g}, but the bounds are {loss.curvature_max:.9g} and "
            f"{loss.curvature_min:.9g}; write False, or the bounds that are attained",
        )


def _check_size(loss: Loss, grid: np.ndarray) -> None:
    where, value = _extreme(lambda w: np.abs(loss.psi(w)), grid)
    require(
        "largest",
        value <= loss.largest * (1 + _MARGIN),
        f"it is {loss.largest:.9g}, but |ψ| = {value:.9g} at w = {where:.6g}; write at least that, or inf",
    )


def _check_steepest(loss: Loss, grid: np.ndarray) -> None:
    for away in (0.0, 0.3, 3.0):
        bound = np.asarray(loss.steepest(grid, np.full(grid.shape, away)))
        for share in (-1.0, -0.5, 0.0, 0.5, 1.0):
            slope = np.abs(loss.psi(grid + share * away, 1))
            wrong = np.isfinite(slope) & ~(slope <= bound * (1 + _MARGIN) + 1e-300)
            at = _first(grid, wrong)
            require("steepest", not wrong.any(), f"|ψ'| is larger than it says within {away:g} of w = {at:.6g}")


def _check_pieces(loss: Loss, grid: np.ndarray) -> None:
    if (pieces := loss.pieces) is None:
        return
    c0, c1, c2 = pieces.coefficients[np.searchsorted(pieces.knots, grid, side="right")].T
    off = np.abs(c0 + grid * (c1 + grid * c2) - loss.psi(grid))
    size = 64 * _EPS * (np.abs(c0) + np.abs(c1 * grid) + np.abs(c2) * grid**2 + 1)
    at = _first(grid, off > size)
    require("pieces", not (off > size).any(), f"they differ from psi at w = {at:.6g}")


def _check_exponential_sum(loss: Loss, grid: np.ndarray, reach: float) -> None:
    found = loss.exponential_sum(reach)
    if found is None:
        return
    require("exponential_sum", found.reach >= reach, f"reach = {found.reach:g} when {reach:g} was asked for")
    w = grid[np.abs(grid) <= reach]
    exponents = found.rate + 1j * found.step * np.arange(len(found.weights))
    terms = found.weights * np.exp(np.outer(w, exponents))
    total = found.constant + found.slope * w + found.square * w**2 + terms.sum(axis=1).real
    size = abs(found.constant) + np.abs(found.slope * w) + np.abs(found.square) * w**2 + np.abs(terms).sum(axis=1)
    off = np.abs(total - loss.psi(w)) - 64 * _EPS * (size + np.abs(loss.psi(w)))
    worst = int(off.argmax())
    require(
        "exponential_sum",
        off[worst] <= found.error,
        f"with reach = {reach:g} it is {total[worst]:.9g} at w = {w[worst]:.6g}, where ψ = {loss.psi(w)[worst]:.9g}, off by "
        f"{off[worst]:.3g} where its error bound is {found.error:.3g}; mend the weights or the bound, or return None",
    )


def _check_labels(loss: Loss, grid: np.ndarray, y: np.ndarray) -> None:
    try:
        loss.check_labels(y)
    except ValueError as refusal:
        raise AssertionError(f"labels_like fails: check_labels refuses what it makes: {refusal}") from None
    form = loss.row_form(y)
    require("row_form", (np.abs(form.sign) == 1).all(), "signs must be −1 or +1")
    infima = np.asarray(loss.infima(y))
    require("infima", infima.shape == y.shape, f"shape {infima.shape} for {y.shape} labels")
    for label, infimum in zip(y, infima, strict=True):
        u, one = grid + label, np.full(grid.shape, label)
        where, negative = _extreme(lambda u, label=label: -loss.value(u, np.full(u.shape, label)), u)  # type: ignore[misc]
        lowest = min(float(infimum), float(loss.lower_bound(np.array([label]))))
        require(
            "lower_bound",
            -negative >= lowest - 64 * _EPS * (1 + abs(negative) + float(loss.terms(np.array([where - label]), 0)[0])),
            f"it is {lowest:.9g} for the label {label:.6g}, but φ(u; y) = {-negative:.9g} at u = {where:.6g}; write at most "
            "that, or -inf if none is known",
        )
        _check_prediction(loss, u, one)


def _check_prediction(loss: Loss, u: np.ndarray, y: np.ndarray) -> None:
    """Compare value, derivative and second_derivative at predictions with ψ, for losses that override them."""
    form = loss.row_form(y)
    w = form.sign * u + form.offset
    for name, order, found in (
        ("derivative", 1, loss.derivative(u, y)),
        ("second_derivative", 2, loss.second_derivative(u, y)),
    ):
        expected = form.sign**order * loss.psi(w, order) + (form.slope if order == 1 else 0.0)
        wrong = np.isfinite(expected) & (np.abs(found - expected) > 1e-9 * (1 + np.abs(expected)))
        require(name, not wrong.any(), f"it differs from psi and row_form at u = {_first(u, wrong):.6g}")
