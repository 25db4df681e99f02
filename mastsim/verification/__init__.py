"""Verdicts: theorems decided exactly where that is possible, and with a controlled error elsewhere."""

from __future__ import annotations

from mastsim.run import Run
from mastsim.theorems import Inequality, Rate, Theorem
from mastsim.validation import instance, integer, shown
from mastsim.verification.exact_rates import decide_rate_exactly
from mastsim.verification.inequalities import decide_inequality
from mastsim.verification.sampled_rates import check_run, decide_by_simulation, judge_run
from mastsim.verification.sequential import decide_mean_at_most, family_alpha
from mastsim.verification.suite import FAMILY_ALPHA, SuiteInterrupted, as_expected, run_suite
from mastsim.verification.tasks import FULL, QUICK, Effort
from mastsim.verification.trial import Trial, exact_recursion
from mastsim.verification.verdict import Curve, Verdict

__all__ = [
    "FAMILY_ALPHA",
    "FULL",
    "QUICK",
    "Curve",
    "Effort",
    "SuiteInterrupted",
    "Verdict",
    "as_expected",
    "decide_inequality",
    "decide_mean_at_most",
    "run_suite",
    "verify",
]


def verify(theorem: Theorem, run: Run | None = None, *, alpha: float = FAMILY_ALPHA, seed: int = 0) -> Verdict:
    """Put a theorem on trial: exactly where that is possible, otherwise on replicas with error probability `alpha`.

    Parameters
    ----------
    theorem : Theorem
        The theorem with its objective, for example ``theorems.StronglyConvexDSGD(F)``.
    run : Run, optional
        Replicas to judge a rate by; when left out, exact moments are used on quadratics, and replicas are simulated
        elsewhere. Where there are too few for a proof, a confirmation relies on the central limit theorem, and says so.
    alpha : float, default 1e-6
        Error probability of a verdict from replicas.
    seed : int, default 0
        Seed of whatever is drawn here.

    Returns
    -------
    Verdict
        ``holds``, ``refuted`` or ``inconclusive``, with the numbers.

    Raises
    ------
    ValueError
        If `run` does not belong to the theorem, f_D is only estimated, or `alpha` is not between 0 and 1.
    AssumptionError
        If the step size of `run` is larger than the theorem allows.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    >>> v = verify(ms.theorems.StronglyConvexDSGD(F))
    >>> v.verdict, v.tier, round(v.max_ratio, 12)
    ('holds', 'exact', 1.0)
    """
    family_alpha(alpha, 1)
    integer("seed", seed, 0, 2**64 - 1)
    if run is not None:
        instance("run", run, Run)
    if isinstance(theorem, Inequality):
        if run is not None:
            raise ValueError(f"run is not accepted: {theorem.title} is about no method")
        return decide_inequality(theorem, seed=seed)
    if not isinstance(theorem, Rate):
        raise TypeError(f"theorem={shown(theorem)} is not accepted: it must be an Inequality or a Rate")
    if run is not None:
        return judge_run(check_run(theorem, run), run, alpha)
    trial = Trial.of(theorem)
    if (chain := exact_recursion(trial)) is not None:
        return decide_rate_exactly(trial, chain)
    return decide_by_simulation(trial, FULL.sampled_steps, seed, alpha)
