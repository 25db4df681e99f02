"""Worst-case factors and Lyapunov functions of sketched steps, for sketches of finitely many values, certified exactly."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from mastsim.files import write_whole
from mastsim.markup import html_table
from mastsim.methods import DSGD, LSVRDSG, Method, Refreshed
from mastsim.readonly import ReadOnly
from mastsim.sketches import Sketch
from mastsim.validation import UNLIMITED, instance, one_of, path, positive, texts
from mastsim.worstcase.cases import case_of_method, case_of_step, tightness
from mastsim.worstcase.check import Step, failures
from mastsim.worstcase.lmi import Answer, Inequality
from mastsim.worstcase.one_step import SOLVERS
from mastsim.worstcase.rational import certificate_of, rational, script_of

_WIDER = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
"""How much above what a solver finds rates are certified, relative to 1: the first that rationals prove."""
_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Certificate(ReadOnly):
    """A worst-case rate with its proof in rationals.

    Parameters
    ----------
    value : float
        What the solver found: the factor, or the least rate for the V that the bisection ended with.
    proved : Fraction
        The rate that the certificate proves in exact arithmetic: E V⁺ ≤ proved·V.
    lower : float
        The least rate that any proof could have with this V, attained by f = (h/2)‖x‖² with h = μ or h = L.
    tight : str
        What `value` is tight for.
    status, solver : str
        The solver's status, and its name.
    margin : float
        By how much the slack matrix was positive definite, in the solver's arithmetic.
    tried : tuple of (float, str)
        Rates of the bisection, and what came of each.
    certificate : dict
        The proof: what `worstcase.check.failures` takes, in units where L = 1.
    worst : Answer
        What the solver says of a worst case for this V.
    step : Step
        The step that it is a worst case of.

    References
    ----------
    This package; performance estimation: Taylor, Hendrickx and Glineur, Math. Program. 161 (2017); Lyapunov functions by
    linear matrix inequalities: Taylor, Van Scoy and Lessard, ICML 2018.

    Examples
    --------
    >>> import mastsim as ms
    >>> found = factor(ms.RandK(2, k=1), 0.25, smoothness=1.0, strong_convexity=0.1)
    >>> round(found.value, 6), found.lower <= found.proved <= found.lower + 1e-6, found.failures()
    (0.905, True, [])
    """

    value: float
    proved: Fraction
    lower: float
    tight: str
    status: str
    solver: str
    margin: float
    tried: tuple[tuple[float, str], ...]
    certificate: dict[str, Any] = field(repr=False)
    worst: Answer = field(repr=False)
    step: Step = field(repr=False)

    @property
    def upper(self) -> float:
        """The proved rate, rounded up."""
        return math.nextafter(float(self.proved), math.inf)

    @property
    def lyapunov(self) -> dict[str, float]:
        """The coefficients of V, in units where L = 1."""
        return {name: float(value) for name, value in self.certificate["lyapunov"].items()}

    def failures(self) -> list[str]:
        """Return what exact arithmetic finds wrong with the certificate: nothing."""
        return failures(self.certificate)

    def script(self) -> str:
        """Return a Python script that checks the certificate with nothing but the standard library."""
        return script_of(self.certificate)

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the script that checks the certificate.

        Parameters
        ----------
        file : path
            Where to; an existing file is replaced.
        """
        write_whole(path("file", file), self.script())

    def plot(self) -> Any:
        """Return a matplotlib figure of the worst-case function; see `worstcase.drawing`."""
        from mastsim.worstcase.drawing import draw_worst_case

        return draw_worst_case(self)

    def _repr_html_(self) -> str:
        """Return the numbers for notebooks."""
        facts = {"solver's value": f"{self.value:.9g}", "proved": f"{self.upper:.9g}", "attained": f"{self.lower:.9g}"}
        facts |= {"tight for": self.tight, "solver": f"{self.solver}, {self.status}"}
        return html_table(["worst case", ""], [[name, said] for name, said in facts.items()])


def factor(
    sketch: Sketch,
    stepsize: float,
    *,
    smoothness: float,
    strong_convexity: float,
    shift: Refreshed | None = None,
    lag: float = 1.0,
    solver: str | None = None,
) -> Certificate:
    """Return sup E‖x⁺ − y⁺‖²/‖x − y‖² of one DSGD step from x and y with the same sketch, over all L-smooth μ-convex f.

    The step is x⁺ = x − γ∇f_S(x). Where the shift v moves, it is sup E V⁺/V for V = ‖x − x*‖² + c‖x − v‖², x* the minimiser
    of f. Nothing is asked of the sketch but finitely many values; it need not be symmetric.

    Parameters
    ----------
    sketch : Sketch
        With few values in a small dimension: 2(N + 1)·dim ≤ 64 for N values.
    stepsize : float
        γ > 0, with γL ≤ 1e6.
    smoothness, strong_convexity : float
        0 < μ ≤ L.
    shift : Refreshed, optional
        How the shift moves; it is fixed when left out.
    lag : float, default 1.0
        c > 0, where the shift moves and is not the iterate itself.
    solver : str, optional
        "CLARABEL" or "SCS"; when left out the second is tried if the first fails.

    Returns
    -------
    Certificate
        `value` is tight for diagonal sketches (masks). For others it is tight for S ⊗ I_r, r large, and an upper bound for S
        itself. What is proved for a fixed shift lets every value of the sketch have a function of its own, which is more
        where a value is a mean of others.

    Raises
    ------
    ValueError
        If an argument is outside its range, or the sketch has too many values.
    RuntimeError
        If no solver reaches an optimal status, or nothing near its answer is proved.

    References
    ----------
    This package; performance estimation: Taylor, Hendrickx and Glineur, Math. Program. 161 (2017).

    Examples
    --------
    >>> import mastsim as ms
    >>> shear = ms.FiniteSupport([np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, -1.0], [0.0, 1.0]])])
    >>> found = factor(shear, 0.2, smoothness=1.0, strong_convexity=0.5)
    >>> found.lower <= found.upper < 1
    True
    """
    order, c = _order(solver), positive("lag", lag, UNLIMITED)
    if shift is None:
        case, V = case_of_step("pair", sketch, stepsize, smoothness, strong_convexity), np.ones(1)
        full, case = Step(case), case | {"kind": "difference"}
        own = Step(case)
    else:
        instance("shift", shift, Refreshed)
        case = case_of_method(DSGD(stepsize, shift=shift), sketch, smoothness, strong_convexity)
        own = full = Step(case)
        V = np.array([1 + c, -2 * c, c] if len(own.terms) > 1 else [1.0])
    worst = _solved(Inequality(full, ()), None, V, order)
    least = worst.rate if own is full else _solved(Inequality(own, ()), None, V, order).rate
    found, certificate = _proved(case, Inequality(own, ()), least, V, order)
    return Certificate(
        value=worst.rate,
        proved=certificate["rate"],
        lower=_attained(own, V),
        tight=tightness(case),
        status=worst.status,
        solver=worst.solver,
        margin=found.margin,
        tried=((worst.rate, worst.status),),
        certificate=certificate,
        worst=worst,
        step=full,
    )


def search(
    sketch: Sketch,
    method: Method,
    *,
    smoothness: float,
    strong_convexity: float,
    state: tuple[str, ...] | None = None,
    tolerance: float = _TOLERANCE,
    solver: str | None = None,
) -> Certificate:
    """Return a quadratic Lyapunov function V ≥ ‖x − x*‖² with the least rate ρ in E V⁺ ≤ ρV, over all L-smooth μ-convex f.

    Found by bisection on ρ: for each, a solver looks for V and a proof at once.

    Parameters
    ----------
    sketch : Sketch
        With few values in a small dimension.
    method : Method
        `DSGD` with a `Refreshed` shift (V of x − x* and v − x*, x* the minimiser of f), or `LSVRDSG` with the full anchor
        (V of x − x_D*, w − x_D* and the noise E‖∇f_S(w) − ∇f_S(x_D*)‖²).
    smoothness, strong_convexity : float
        0 < μ ≤ L.
    state : tuple of str, optional
        What V is of: "x" and perhaps "v"; or "x" and perhaps "w" and "noise". Everything when left out.
    tolerance : float, default 1e-4
        How far apart the last rates of the bisection are, at least 1e-7.
    solver : str, optional
        "CLARABEL" or "SCS"; when left out the second is tried if the first fails.

    Returns
    -------
    Certificate
        The rate, V and the proof. For L-SVRDSG every value of the sketch may have a function of its own, so that the rate is
        an upper bound.

    Raises
    ------
    ValueError
        If an argument is outside its range, or no rate below 1 is proved.
    RuntimeError
        If no solver reaches an optimal status.

    References
    ----------
    This package; Taylor, Van Scoy and Lessard, ICML 2018.

    Examples
    --------
    >>> import mastsim as ms
    >>> method = ms.DSGD(0.2, shift=ms.Refreshed(1.0))
    >>> found = search(ms.RandK(2, k=1), method, smoothness=1.0, strong_convexity=0.5, tolerance=1e-3)
    >>> found.lower <= found.upper <= found.lower + 2e-3
    True
    """
    instance("method", method, DSGD, LSVRDSG)
    case = case_of_method(method, sketch, smoothness, strong_convexity)
    step, order = Step(case), _order(solver)
    own = Inequality(step, _used(step, state))
    apart = positive("tolerance", tolerance, UNLIMITED)
    if not 1e-7 <= apart < 1:
        raise ValueError(f"tolerance={apart:g} is not accepted: it must be from 1e-7 to below 1")
    low, high, tried, best = 0.0, 1.0, [], None
    while high - low > apart:
        middle = (low + high) / 2
        answer = own.solve(middle, None, order)
        worked = answer is not None and answer.margin > 0 and not failures(_rational(case, step, answer))
        tried.append((middle, "proved" if worked else "no proof" if answer is None else f"margin {answer.margin:.2g}"))
        if worked:
            high, best = middle, answer
        else:
            low = middle
    if best is None:
        raise ValueError(f"stepsize={method.rule.largest:g}: no rate below 1 is proved for {method.name} with this state")
    worst = _solved(own, None, best.coefficients, order)
    return Certificate(
        value=worst.rate,
        proved=rational(best.rate),
        lower=_attained(step, best.coefficients),
        tight=tightness(case),
        status=best.status,
        solver=best.solver,
        margin=best.margin,
        tried=tuple(tried),
        certificate=_rational(case, step, best),
        worst=worst,
        step=step,
    )


def _rational(case: dict[str, Any], step: Step, answer: Answer) -> dict[str, Any]:
    return certificate_of(case, step, answer.rate, answer.coefficients, answer.multipliers)


def _order(solver: str | None) -> tuple[str, ...]:
    return SOLVERS if solver is None else (one_of("solver", solver, SOLVERS),)


def _used(step: Step, state: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the terms of V that the chosen state allows."""
    names = [name for name, _, _ in step.terms]
    known = sorted({part for name in names for part in name.split()}, key=["x", "v", "w", "noise"].index)
    chosen = known if state is None else [one_of("state", name, known) for name in texts("state", state)]
    if "x" not in chosen:
        raise ValueError(f"state={tuple(chosen)} is not accepted: V must be of x, so that it is at least ‖x − x*‖²")
    return tuple(name for name in names if set(name.split()) <= set(chosen))


def _solved(own: Inequality, rate: float | None, V: np.ndarray | None, order: tuple[str, ...]) -> Answer:
    answer = own.solve(rate, V, order)
    if answer is None:
        raise RuntimeError(f"no solver of {', '.join(order)} reached an optimal status")
    return answer


def _proved(
    case: dict[str, Any], own: Inequality, rate: float, V: np.ndarray, order: tuple[str, ...]
) -> tuple[Answer, dict[str, Any]]:
    """Return the answer and the certificate at the least rate above a solver's that rationals prove."""
    for wider in _WIDER:
        answer = own.solve(rate + wider * max(1.0, rate), V, order)
        if answer is not None and not failures(certificate := _rational(case, own.step, answer)):
            return answer, certificate
    raise RuntimeError(f"nothing within {_WIDER[-1]:g} of the solver's factor {rate:.9g} is proved")


def _attained(step: Step, V: np.ndarray) -> float:
    """Return the largest E V⁺/V on f = (h/2)‖x‖², h = μ or h = L = 1, for which ∇φ(x) is 0 or x."""
    return max(_on_quadratic(step, V, share) for share in (0.0, 1.0))


def _on_quadratic(step: Step, V: np.ndarray, share: float) -> float:
    own = Inequality(step, ())
    size, (before, after) = own.size, own.terms
    free, images = np.ones(size, dtype=bool), np.eye(size)
    for point, slope in zip(step.points, step.slopes, strict=True):
        for where, value in zip(slope, point, strict=True):
            for key in where:
                free[key], images[key] = False, 0.0
                for other, entry in value.items():
                    images[key, other] += share * float(entry)
    B = images[:, free]
    now, then = (np.tensordot(V, B.T @ forms @ B, 1) for forms in (before, after))
    values, vectors = np.linalg.eigh(now)
    W = vectors[:, values > 1e-12 * values[-1]] / np.sqrt(values[values > 1e-12 * values[-1]])
    return float(np.linalg.eigvalsh(W.T @ then @ W)[-1])
