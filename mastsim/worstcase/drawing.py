"""The worst-case function of a step, drawn along the line on which its points lie farthest apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mastsim.colours import COLOURS, DASHES, MARKERS
from mastsim.worstcase.check import Step, Vector
from mastsim.worstcase.lmi import Answer
from mastsim.worstcase.solving import modelling

_GRID = 81


def interpolant(points: np.ndarray, slopes: np.ndarray, values: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the largest convex 1-smooth function with given gradients and values at some points, at others.

    It is the convex hull of the quadratics φ_i + ⟨w_i, z − x_i⟩ + ½‖z − x_i‖²: min over λ in the simplex of
    ½‖z − Σλ_i(x_i − w_i)‖² + Σλ_i(φ_i − ½‖w_i‖²).

    Parameters
    ----------
    points, slopes : ndarray, shape (n, dim)
        x_i and w_i.
    values : ndarray, shape (n,)
        φ_i, which together must be those of such a function.
    z : ndarray, shape (m, dim)
        Where.

    References
    ----------
    Taylor, Hendrickx and Glineur, Math. Program. 161 (2017), on interpolation by smooth convex functions.

    Examples
    --------
    >>> x = np.array([[0.0], [2.0]])
    >>> interpolant(x, x, np.array([0.0, 2.0]), np.array([[1.0]])).round(6)
    array([0.5])
    """
    cp = modelling()
    shares = cp.Variable((len(z), len(points)), nonneg=True)
    rest = values - 0.5 * np.sum(slopes**2, axis=1)
    each = 0.5 * cp.sum(cp.square(z - shares @ (points - slopes)), axis=1) + shares @ rest
    problem = cp.Problem(cp.Minimize(cp.sum(each)), [cp.sum(shares, axis=1) == 1])
    problem.solve(solver="CLARABEL")
    return np.asarray(each.value)


def realised(worst: Answer, step: Step) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points, gradients and values of φ in a worst case, shape (points, coordinates·r) each but the last.

    Parameters
    ----------
    worst : Answer
        What the solver says of it.
    step : Step
        The step.
    """
    sizes, vectors = np.linalg.eigh((worst.gram + worst.gram.T) / 2)
    kept = sizes > 1e-6 * max(sizes[-1], 0.0)
    unknowns = vectors[:, kept] * np.sqrt(sizes[kept])
    points, slopes = (np.array([_in_space(a, unknowns) for a in group]) for group in (step.points, step.slopes))
    # Solvers do not agree about the sign of dual variables: the right one obeys the inequalities of convex functions.
    return points, slopes, min((worst.values, -worst.values), key=lambda values: _excess(step, points, slopes, values))


def _in_space(a: Vector, unknowns: np.ndarray) -> np.ndarray:
    rows = [sum((float(entry) * unknowns[key] for key, entry in row.items()), np.zeros(unknowns.shape[1])) for row in a]
    return np.concatenate(rows)


def _excess(step: Step, points: np.ndarray, slopes: np.ndarray, values: np.ndarray) -> float:
    """Return by how much the worst of the interpolation conditions fails."""
    found = 0.0
    for i, j, _ in step.conditions():
        change = slopes[i] - slopes[j]
        least = values[j] + slopes[j] @ (points[i] - points[j]) + 0.5 * change @ change
        found = max(found, float(least - values[i]))
    return found


def draw_worst_case(found: Any) -> Figure:
    """Return a plot of the worst-case f, L = 1, along the line on which its points lie farthest apart.

    Parameters
    ----------
    found : Certificate
        What `factor` or `search` returned.
    """
    points, slopes, values = realised(found.worst, found.step)
    mu, groups = float(found.step.mu), np.array(found.step.groups)
    middle = points.mean(axis=0)
    line = np.linalg.svd(points - middle)[2][0] if points.size else np.ones(1)
    at = (points - middle) @ line
    reach = 1.2 * max(float(np.abs(at).max(initial=0.0)), 1e-9)
    t = np.linspace(-reach, reach, _GRID)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for place, group in enumerate(sorted(set(groups.tolist()))):
        mine = groups == group
        z = middle + np.multiply.outer(t, line)
        phi = interpolant(points[mine], slopes[mine], values[mine], z)
        style: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)]}
        axes.plot(t, 0.5 * mu * np.sum(z**2, axis=1) + (1 - mu) * phi, linestyle=("-", *DASHES)[place % 7], **style)
        height = 0.5 * mu * np.sum(points[mine] ** 2, axis=1) + (1 - mu) * values[mine]
        axes.plot(at[mine], height, MARKERS[place % len(MARKERS)], label=_name(groups, group), **style)
    axes.set_xlabel("along the line of largest spread (points off the line are projected)")
    axes.set_ylabel("f, in units where L = 1")
    axes.set_title(f"worst case: E V⁺ ≤ {found.value:.5g} V, μ/L = {mu:.3g}", fontsize=9)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _name(groups: np.ndarray, group: int) -> str:
    return "points where f is looked at" if len(set(groups.tolist())) == 1 else f"f of sketch {group + 1}"
