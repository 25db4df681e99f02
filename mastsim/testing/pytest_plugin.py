"""A pytest plugin: one fixture whose error probability is shared over a test session, with seeds that are printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mastsim.run import Run
    from mastsim.theorems import Theorem
    from mastsim.verification import Verdict

_BUDGET = pytest.StashKey["Budget"]()
_LEAST_SHARE = 0.5


class Budget:
    """The error probability of all that a session decides from samples: each trial takes half of what is left.

    Parameters
    ----------
    alpha : float
        The probability with which any verdict of the session may be wrong.
    seed : int
        Seed of the first trial; each that follows takes the next number.
    """

    def __init__(self, alpha: float, seed: int) -> None:
        self.alpha, self.seed, self.left = alpha, seed, alpha
        self.spent: list[tuple[str, float, int]] = []

    def take(self, test: str, most: float) -> tuple[float, int]:
        """Return the error probability and the seed of one trial: at most `most`, and at most half of what is left."""
        share = min(most, _LEAST_SHARE * self.left)
        self.left -= share
        seed = self.seed + len(self.spent)
        self.spent.append((test, share, seed))
        return share, seed

    def give_back(self) -> None:
        """Return what the last trial took: it was decided exactly."""
        test, share, seed = self.spent[-1]
        self.left += share
        self.spent[-1] = (test, 0.0, seed)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the budget."""
    group = parser.getgroup("mastsim")
    group.addoption("--mastsim-alpha", type=float, default=1e-6, help="Error probability of all trials of the session.")
    group.addoption("--mastsim-seed", type=int, default=0, help="Seed of the first trial; the next takes the next number.")


def pytest_configure(config: pytest.Config) -> None:
    """Open the budget of the session."""
    alpha, seed = config.getoption("--mastsim-alpha"), config.getoption("--mastsim-seed")
    if not 0 < alpha < 1:
        raise pytest.UsageError(f"--mastsim-alpha={alpha} is not accepted: it must lie in (0, 1)")
    if seed < 0:
        raise pytest.UsageError(f"--mastsim-seed={seed} is not accepted: it must be at least 0")
    config.stash[_BUDGET] = Budget(alpha, seed)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was spent, test by test, with seeds."""
    budget = config.stash[_BUDGET]
    if not budget.spent:
        return
    terminalreporter.section("mastsim trials")
    for test, alpha, seed in budget.spent:
        terminalreporter.write_line(f"{test}: α = {alpha:.3g}, seed {seed}")
    terminalreporter.write_line(
        f"{len(budget.spent)} trials; samples may have misled any of them with probability {budget.alpha - budget.left:.3g} "
        f"of {budget.alpha:.3g}"
    )


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Callable[..., Verdict]:
    """Put a theorem on trial and fail unless it holds: ``trial(theorem, run=None, alpha=1e-6)`` returns the verdict.

    What samples decide takes at most `alpha`, and at most half of what the session has left, so that all verdicts of a
    session are right together with the probability of ``--mastsim-alpha``. Exact verdicts take nothing.
    """
    budget = request.config.stash[_BUDGET]

    def judge(theorem: Theorem, run: Run | None = None, alpha: float = 1e-6) -> Verdict:
        from mastsim.verification import verify

        level, seed = budget.take(request.node.nodeid, alpha)
        verdict = verify(theorem, run, alpha=level, seed=seed)
        if not verdict.samples:
            budget.give_back()
        if not verdict.as_expected:
            pytest.fail(f"{verdict}\nseed {seed}, α = {verdict.alpha:.3g}; --mastsim-seed={seed} repeats it", pytrace=False)
        return verdict

    return judge
