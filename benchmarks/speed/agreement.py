"""No form is timed before its replicas agree with mastsim's within Monte Carlo error."""

import numpy as np
from scipy.stats import t, ttest_ind

from benchmarks.speed.mastsim_forms import has, simulation

ERROR_PROBABILITY = 1e-9
STEPS, REFERENCE, AT_LEAST = 16, 256, 64


def statistics(work, x):
    """Return the squared distances to x_D* and from the start, a row each."""
    return np.array([((x - point) ** 2).sum(axis=1) for point in (work.objective.minimize().x, work.start)])


def reference(work):
    """Return the statistics of replicas of mastsim on its array path."""
    keywords = {"engine": "array"} if has("engine") else {}
    return statistics(work, simulation(work.with_replicas(REFERENCE), **keywords)(STEPS, 1))


def sample(run, replicas=1, at_least=AT_LEAST, seed=1000):
    """Return the last iterates of enough runs to compare."""
    return np.concatenate([run(STEPS, seed + i) for i in range(-(-at_least // replicas))])


def require(name, work, x, expected):
    """Return the largest relative deviation that could be detected, after refusing a form that deviates.

    Both statistics are compared by Welch's t test; a right form is refused with probability at most `ERROR_PROBABILITY` each
    (the statistics are sums over coordinates of a mean over replicas, hence close to normal).
    """
    blind = 0.0
    for what, found, wanted in zip(
        ("distance to x_D*", "distance from the start"), statistics(work, x), expected, strict=True
    ):
        # A sample whose replicas all agree has no variance to test with.
        if np.ptp(found) == np.ptp(wanted) == 0:
            p = float(np.isclose(found[0], wanted[0], rtol=1e-9))
        else:
            p = float(ttest_ind(found, wanted, equal_var=False).pvalue)
        if not p >= ERROR_PROBABILITY:
            raise AssertionError(
                f"{work.title}: {name} computes something else: mean squared {what} after {STEPS} steps is "
                f"{found.mean():.6g}, but mastsim's is {wanted.mean():.6g} (p = {p:.1e} < {ERROR_PROBABILITY:g})"
            )
        error = np.hypot(found.std(ddof=1) / len(found) ** 0.5, wanted.std(ddof=1) / len(wanted) ** 0.5)
        blind = max(blind, float(t.isf(ERROR_PROBABILITY / 2, min(len(found), len(wanted)) - 1) * error / wanted.mean()))
    return blind
