"""Anytime-valid decisions of one claim ``E[X] <= B`` about a nonnegative random variable.

Both directions are games of betting against a hypothesis: a bet whose wealth grows is evidence, and by Ville's
inequality the wealth ever reaches ``1 / alpha`` with probability at most ``alpha`` if the hypothesis is true. So the
number of replicas may depend on what was seen so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import erfcx, log_ndtr

from mastsim.validation import UNLIMITED, floats, integer, nonnegative, positive

# Wealth is the average over constant fractions, not one plug-in fraction: it cannot peek, its final value does not
# depend on the order of the replicas, and it is within log(15) of the best fraction on the grid, in hindsight. Halving
# costs at most 1/9 of the best growth rate (2c - c^2 = 8/9 at the worst c = 2/3); 2^-12 serves 10^6 noisy replicas.
# Measured beside the plug-in aGRAPA at alpha = 1e-8: at most 10 % slower at E[X]/B = 1.05, level at 1.2, 1 to 2 times
# faster at 2, 2.5 to 6 times at 10.
_FRACTIONS = np.array([*(2.0**-k for k in range(12, 0, -1)), 0.75, 0.9, 0.99])
_GRID_COST = math.log(len(_FRACTIONS))
_ROOT_RTOL = 1e-10
_CHUNK = 4096  # the table (fractions, samples) stays in cache
# The normal mixture must be tuned before n is known; at alpha = 1e-8 this costs at most 8 % of radius, n = 100 … 10^6.
_TUNED_FOR = 1024


@dataclass(frozen=True)
class SequentialDecision:
    """What the samples say about the claim ``E[X] <= bound``.

    Attributes
    ----------
    verdict : {"holds", "refuted", "inconclusive"}
        ``refuted`` needs nothing but ``X >= 0``; ``holds`` is as good as its ``tier``.
    tier : {"bounded", "asymptotic"}
        How the claim could be confirmed: from a proven upper bound on ``X`` (valid for every sample size), or from
        the central limit theorem (valid only as the sample size grows, so it is judged once, after the last sample).
    mean, stderr : float
        Sample mean and its standard error (infinite for one sample or a diverged replica).
    bound : float
        The bound tested, rounding included.
    upper_limit : float
        Upper confidence limit of ``E[X]`` at level ``1 - alpha``; ``<= bound`` if and only if that side was confirmed.
    log_evidence_against, log_evidence_for : float
        Log wealth of the bet against / for the claim, stopped when it first reaches ``1 / alpha`` (so it is an e-value,
        ``>= -log(alpha)`` exactly when that side is decided).
    samples : int
        Number of samples given.
    needed : float
        Samples after which the verdict was reached; if inconclusive, the estimated number that would decide, by
        extrapolating the growth of the log wealth (infinite when nothing grows).
    smallest_violation : float
        The smallest ratio ``E[X] / bound`` that samples like these, rescaled, would have refuted.
    alpha : float
        Error level of each direction.
    """

    verdict: Literal["holds", "refuted", "inconclusive"]
    tier: Literal["bounded", "asymptotic"]
    mean: float
    stderr: float
    bound: float
    upper_limit: float
    log_evidence_against: float
    log_evidence_for: float
    samples: int
    needed: float
    smallest_violation: float
    alpha: float


def decide_mean_at_most(
    samples: ArrayLike, bound: float, alpha: float, upper: float | None = None, rounding: float = 1e-12
) -> SequentialDecision:
    """Decide the claim ``E[X] <= bound`` from independent samples of ``X >= 0``, valid under optional stopping.

    Refuting and confirming each spend the whole of ``alpha``: they are bets against opposite hypotheses, of which
    only one is true, so the verdict is wrong with probability at most ``alpha`` (asymptotically so for ``holds``
    without ``upper``). Refuting bets on ``X / bound`` and uses only ``X >= 0``. Confirming bets on
    ``(upper - X) / (upper - bound)``, which is nonnegative with mean at most 1 whenever ``E[X] >= bound``.

    Parameters
    ----------
    samples : array_like of shape (n,)
        Independent samples in replica order; infinite means a diverged replica, which refutes every finite bound.
    bound : float
        The claimed bound, at least 0. For 0, one positive sample refutes.
    alpha : float
        Error level in (0, 1).
    upper : float, optional
        A *proven* almost-sure upper bound of ``X``; a sample above it is an error, since then the proof is wrong.
    rounding : float
        Relative rounding error of the samples: the bound tested is ``bound * (1 + rounding)``.

    Returns
    -------
    SequentialDecision

    References
    ----------
    J. Ville, *Étude critique de la notion de collectif*, 1939.
    I. Waudby-Smith, A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86, 2024.
    S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
    sequences", Annals of Statistics 49, 2021 (one-sided normal mixture).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(0, 2, size=2000)  # mean 1
    >>> decide_mean_at_most(x, bound=0.8, alpha=1e-8).verdict
    'refuted'
    >>> decision = decide_mean_at_most(x, bound=1.2, alpha=1e-8, upper=2.0)
    >>> decision.verdict, decision.tier, round(decision.upper_limit, 2)
    ('holds', 'bounded', 1.08)
    >>> decide_mean_at_most(x, bound=1.01, alpha=1e-8, upper=2.0).verdict
    'inconclusive'
    """
    alpha = _level(alpha)
    rounding = nonnegative("rounding", rounding, UNLIMITED)
    bound = nonnegative("bound", bound, UNLIMITED) * (1 + rounding)
    x = _checked(samples)
    mean, deviation = _mean_and_deviation(x)
    threshold = -math.log(alpha)

    against = _bet(_ratio(x, bound), threshold)
    if upper is None:
        supporting, limit = _asymptotic(x.size, mean, deviation, bound, threshold)
    else:
        supporting, limit = _bounded(x, bound, _proven_upper(upper, x, rounding), threshold)
    holds = supporting.log_wealth >= threshold
    refuted = against.log_wealth >= threshold
    needed = min(against.needed, supporting.needed)
    if refuted or holds:
        needed = against.needed if refuted else supporting.needed
    return SequentialDecision(
        # Both sides win with probability <= alpha only; the proof-grade refutation then goes first.
        verdict="refuted" if refuted else "holds" if holds else "inconclusive",
        tier="asymptotic" if upper is None else "bounded",
        mean=mean,
        stderr=deviation / math.sqrt(x.size),
        bound=bound,
        # The wealth at the bound is the decision; the limit found by a root finder may not contradict it.
        upper_limit=min(limit, bound) if holds else max(limit, math.nextafter(bound, math.inf)),
        log_evidence_against=against.log_wealth,
        log_evidence_for=supporting.log_wealth,
        samples=x.size,
        needed=needed,
        smallest_violation=_crossing_scale(_ratio(x, mean), threshold) if 0 < mean < math.inf else math.inf,
        alpha=alpha,
    )


def family_alpha(alpha: float, tests: int) -> float:
    """Return the level of each of ``tests`` tests that keeps the family-wise error at ``alpha`` (Bonferroni).

    Parameters
    ----------
    alpha : float
        Probability allowed for any wrong verdict in the family, in (0, 1).
    tests : int
        Number of tests, at least 1.

    Returns
    -------
    float

    References
    ----------
    C. E. Bonferroni, *Teoria statistica delle classi e calcolo delle probabilità*, 1936.

    Examples
    --------
    >>> family_alpha(1e-6, 100)
    1e-08
    """
    return _level(alpha) / integer("tests", tests, 1)


class _Evidence(NamedTuple):
    log_wealth: float
    needed: float


def _bet(ratios: np.ndarray, threshold: float) -> _Evidence:
    """Bet against ``E[ratio] <= 1`` until the log wealth reaches the threshold."""
    path, growth = _log_wealth(ratios)
    crossed = path >= threshold
    if crossed.any():
        first = int(crossed.argmax())
        return _Evidence(float(path[first]), float(first + 1))
    projected = (threshold + _GRID_COST) / growth if growth > 0 else math.inf
    return _Evidence(float(path[-1]), max(_whole(projected), path.size + 1.0))


def _log_wealth(ratios: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the log wealth after every sample, and the growth per sample of the fraction best in hindsight."""
    path = np.full(ratios.size, math.inf)
    diverged = np.isinf(ratios)
    end = int(diverged.argmax()) if diverged.any() else ratios.size
    total = np.zeros(len(_FRACTIONS))
    for start in range(0, end, _CHUNK):
        block = slice(start, min(start + _CHUNK, end))
        logs = np.log1p(_FRACTIONS[:, None] * (ratios[block] - 1.0))
        logs[:, 0] += total
        np.cumsum(logs, axis=1, out=logs)
        total = logs[:, -1].copy()
        top = logs.max(axis=0)
        path[block] = top + np.log(np.exp(logs - top).sum(axis=0)) - _GRID_COST
    return path, float(total.max()) / ratios.size


def _crossing_scale(weights: np.ndarray, threshold: float) -> float:
    """Return the least ``c`` for which the bet on ``c * weights`` reaches the threshold (infinite if none does)."""

    def margin(scale: float) -> float:
        with np.errstate(over="ignore"):  # an overflow is above every threshold
            top = float(_log_wealth(scale * weights)[0].max())
        return min(top - threshold, 1e300)

    mean, deviation = _mean_and_deviation(weights)
    if mean == 0:
        return math.inf
    relative = deviation / mean * math.sqrt(2 * threshold / weights.size) if weights.size > 1 else 1.0
    # Every evaluation is a pass over the samples, so begin where Bernstein's inequality expects the crossing.
    return _least(margin, 1 / mean, (relative + threshold / weights.size) / mean)


def _bounded(x: np.ndarray, bound: float, upper: float, threshold: float) -> tuple[_Evidence, float]:
    """Bet against ``E[X] >= bound`` knowing ``0 <= X <= upper``; return the evidence and the upper limit of E[X]."""
    shortfall = np.maximum(1.0 - x / upper, 0.0) if upper > 0 else np.zeros_like(x)
    # E[X] >= m is E[shortfall] <= 1 - m/upper: testing m is the same bet with the shortfalls scaled by 1/(1 - m/upper).
    limit = upper * (1.0 - 1.0 / _crossing_scale(shortfall, threshold))
    if bound >= upper:
        return _Evidence(math.inf, 1.0), limit
    return _bet(shortfall * (upper / (upper - bound)), threshold), limit


def _asymptotic(n: int, mean: float, deviation: float, bound: float, threshold: float) -> tuple[_Evidence, float]:
    """Return evidence for ``E[X] <= bound`` and the upper limit of E[X] as if the sample mean were normal."""
    # One pretended sample off by the bound: without it, a few equal samples would prove anything.
    spread = math.hypot(bound, deviation * math.sqrt(n - 1)) / math.sqrt(n) if n > 1 else bound
    if not (0 < spread < math.inf and mean < math.inf):
        return _Evidence(-math.inf, math.inf), math.inf
    effect = (bound - mean) / spread
    evidence = _normal_mixture(n, effect, threshold)
    limit = mean + spread * _least(lambda size: _normal_mixture(n, size, threshold) - threshold, 1.0, 1.0)
    if evidence >= threshold:
        return _Evidence(evidence, float(n)), limit
    needed = math.inf
    if effect > 0:
        needed = _whole(_least(lambda count: _normal_mixture(count, effect, threshold) - threshold, float(n), float(n)))
    return _Evidence(evidence, max(needed, n + 1.0)), limit


def _normal_mixture(n: float, effect: float, threshold: float) -> float:
    """Log of exp(a S - a² n/2) averaged over the half-normal a ~ |N(0, tau)|, for S = n * effect."""
    tau = (2 * threshold + math.log1p(2 * threshold) + 1) / _TUNED_FOR
    half = effect * n * math.sqrt(tau / (n * tau + 1) / 2)
    # Both are log(2 Phi(score) exp(score^2 / 2)); each overflows or cancels where the other does not.
    tail = math.log(erfcx(-half)) if half < 0 else half * half + math.log(2) + float(log_ndtr(math.sqrt(2) * half))
    return tail - math.log1p(n * tau) / 2


def _least(increasing: Callable[[float], float], start: float, step: float) -> float:
    """Return the least point of [0, inf) where an increasing function, negative at 0, is no longer negative."""
    low, high = 0.0, start
    while increasing(high) < 0:
        low, high, step = high, high + step, 2 * step
        if high > 1e300:
            return math.inf
    root = float(brentq(increasing, low, high, xtol=1e-15, rtol=_ROOT_RTOL, maxiter=1000))
    return min(root + 1e-15 + _ROOT_RTOL * root, high)  # err upwards: limits stay on the safe side


def _ratio(x: np.ndarray, scale: float) -> np.ndarray:
    if scale == 0:
        return np.where(x > 0, math.inf, 1.0)
    with np.errstate(over="ignore"):
        ratios = x / scale
    return np.where(np.isinf(x), math.inf, np.minimum(ratios, np.finfo(float).max))


def _mean_and_deviation(x: np.ndarray) -> tuple[float, float]:
    unit = float(x.max()) or 1.0
    if math.isinf(unit):
        return math.inf, math.inf
    scaled = x / unit  # squares of huge samples would overflow
    mean = unit * float(scaled.mean())
    return mean, unit * float(scaled.std(ddof=1)) if x.size > 1 else math.inf


def _whole(count: float) -> float:
    return count if math.isinf(count) else float(math.ceil(count))


def _level(alpha: float) -> float:
    value = positive("alpha", alpha, UNLIMITED)
    if value >= 1:
        raise ValueError(f"alpha={value!r} is not accepted: it must lie strictly between 0 and 1")
    return value


def _proven_upper(upper: float, x: np.ndarray, rounding: float) -> float:
    value = nonnegative("upper", upper, UNLIMITED)
    worst = int(x.argmax())
    if x[worst] > value * (1 + rounding):
        raise ValueError(f"upper={value!r} is not an upper bound: samples[{worst}] is {float(x[worst])!r}; leave upper out")
    return value


def _checked(samples: ArrayLike) -> np.ndarray:
    x = _filled("samples", samples)
    if (x < 0).any():
        where = int((x < 0).argmax())
        raise ValueError(f"samples[{where}] is {float(x[where])!r}: the variable must be nonnegative")
    return x


def _filled(name: str, values: ArrayLike) -> np.ndarray:
    array = floats(name, values)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}, but it must be a vector with at least one entry")
    missing = np.isnan(array)
    if missing.any():
        raise ValueError(f"{name}[{int(missing.argmax())}] is nan: a number or inf is needed")
    return array
