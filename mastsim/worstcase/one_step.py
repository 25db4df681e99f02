"""The worst-case factor of one DSGD step: what is asked, what is answered, and which solver answered."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from mastsim.readonly import ReadOnly
from mastsim.validation import UNLIMITED, integer, one_of, positive
from mastsim.worstcase.program import Program, Residuals
from mastsim.worstcase.solving import modelling

SOLVERS = ("CLARABEL", "SCS")
"""Solvers in the order in which they are tried."""

_MOST_SUBSETS = 10
_LONGEST_STEP = 1e6


@dataclass(frozen=True, eq=False)
class WorstCase(ReadOnly):
    """The tight one-step factor, between a lower bound that is attained and a certified upper bound.

    Parameters
    ----------
    value : float
        Optimal value that the solver reports.
    proven : float
        Theorem 2's factor 1 − γμ_Dμ_f; a bound on `value` for γ ≤ 1/(L_f·L_S^max).
    lower : float
        Factor attained by f = (μ/2)‖x‖² or f = (L/2)‖x‖², whichever contracts less.
    certified : float
        Upper bound that `multipliers` prove by themselves, valid up to floating rounding; the solver is not trusted.
    status : str
        The solver's status, "optimal" or "optimal_inaccurate".
    solver : str
        Name of the solver that answered.
    residuals : Residuals
        Feasibility and optimality of the solver's answer.
    multipliers : ndarray, shape (C(blocks, keep),)
        For each kept set, the weight in the certificate of ⟨w, S(x − y)⟩ ≥ ‖w‖², where w = ∇φ(Sx) − ∇φ(Sy) and
        f = (μ/2)‖·‖² + (L − μ)φ, in units where L = 1.

    References
    ----------
    This package; performance estimation: Taylor, Hendrickx and Glineur, Math. Program. 161 (2017).

    Examples
    --------
    >>> worst = worst_case_factor(0.25, smoothness=1.0, strong_convexity=0.1, blocks=2, keep=1)
    >>> worst.lower <= worst.upper <= worst.lower + 1e-6
    True
    """

    value: float
    proven: float
    lower: float
    certified: float
    status: str
    solver: str
    residuals: Residuals
    multipliers: np.ndarray

    @property
    def upper(self) -> float:
        """The certified upper bound."""
        return self.certified


def worst_case_factor(
    stepsize: float, *, smoothness: float, strong_convexity: float, blocks: int, keep: int, solver: str | None = None
) -> WorstCase:
    """Return sup E‖x⁺ − y⁺‖²/‖x − y‖² for one DSGD step, over all L-smooth μ-strongly convex f, all dimensions, x and y.

    The step is x⁺ = x − γ∇f_S(x), and y⁺ the same from y with the same sketch S, which keeps `keep` of `blocks` equal
    blocks, uniformly, scaled by blocks/keep; the shift is 0. Of E‖x⁺ − x_D*‖²/‖x − x_D*‖² there is no finite supremum in
    general, as ∇f_S(x_D*) ≠ 0: that noise is what the second term of Theorem 2 pays for. Where it vanishes (interpolation,
    or keep = 1), y = x_D* is a fixed point and the two agree.

    Parameters
    ----------
    stepsize : float
        γ > 0, with γ·L_f·L_S^max ≤ 1e6.
    smoothness, strong_convexity : float
        0 < μ ≤ L, finite.
    blocks, keep : int
        1 ≤ keep ≤ blocks; at most 10 subsets C(blocks, keep), as the program grows with the fourth power of their number.
    solver : str, optional
        "CLARABEL" or "SCS"; when left out the second is tried if the first fails, and `WorstCase.solver` says so.

    Returns
    -------
    WorstCase
        The factor, with bounds from both sides and the residuals of the solver's answer.

    Raises
    ------
    TypeError
        If an argument is not a number, or `blocks` or `keep` not an integer.
    ValueError
        If an argument is outside its range.
    RuntimeError
        If no solver reaches an optimal status.

    References
    ----------
    This package; Theorem 2: MAST, arXiv 2311.16086; interpolation: Taylor, Hendrickx and Glineur, Math. Program. 161 (2017).

    Examples
    --------
    >>> worst = worst_case_factor(0.25, smoothness=1.0, strong_convexity=0.1, blocks=2, keep=1)
    >>> round(worst.value, 4), round(worst.proven, 4), worst.solver
    (0.905, 0.95, 'CLARABEL')
    """
    program = _program(stepsize, smoothness, strong_convexity, blocks, keep)
    name = _solve(program, SOLVERS if solver is None else (one_of("solver", solver, SOLVERS),))
    multipliers = program.multipliers()
    return WorstCase(
        value=float(program.problem.value) * program.unit,
        proven=1 - program.stepsize * program.scale * program.ratio,
        lower=program.attained,
        certified=program.certify(multipliers),
        status=str(program.problem.status),
        solver=name,
        residuals=program.residuals(),
        multipliers=multipliers,
    )


def _program(stepsize: float, smoothness: float, strong_convexity: float, blocks: int, keep: int) -> Program:
    gamma, L = positive("stepsize", stepsize, UNLIMITED), positive("smoothness", smoothness, UNLIMITED)
    mu = positive("strong_convexity", strong_convexity, UNLIMITED)
    if mu > L:
        raise ValueError(f"strong_convexity={mu:g} is not accepted: it must be at most smoothness={L:g}")
    count = integer("blocks", blocks, 1)
    chosen = integer("keep", keep, 1, count)
    subsets = math.comb(count, chosen)
    if subsets > _MOST_SUBSETS:
        raise ValueError(f"blocks={count}, keep={chosen} give {subsets} subsets: at most {_MOST_SUBSETS} are accepted")
    longest = _LONGEST_STEP * (chosen / count) ** 2
    if not 0 < gamma * L <= longest:
        raise ValueError(
            f"stepsize={gamma:g} is not accepted: stepsize * smoothness must be above 0 and at most {longest:g}"
        )
    return Program(gamma * L, mu / L, count, chosen)


def _solve(program: Program, order: tuple[str, ...]) -> str:
    """Solve with the first solver that reaches an optimal status, and return its name."""
    cp, seen = modelling(), []
    for name in order:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # cvxpy warns of what the status says
                program.problem.solve(solver=name)
        except cp.SolverError as error:
            seen.append(f"{name}: {error}")
            continue
        if program.problem.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            return name
        seen.append(f"{name}: {program.problem.status}")
    raise RuntimeError(f"no solver reached an optimal status ({'; '.join(seen)})")
