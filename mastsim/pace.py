"""How many steps to take at once, so that a bar moves and Ctrl-C is heard, on how many threads, and how long a run takes."""

from __future__ import annotations

import math
import time
import warnings

_FIRST_STEPS, _LONG_SECONDS, _SHORT_SECONDS = 1024, 2.0, 0.5
_HOUR = 3600.0
PATIENCE = 0.1
"""Seconds that one compiled call, or the measuring of some points, may take before Ctrl-C is heard."""
_WORTH, _PART = 3e-3, 2e-6
"""Seconds that a call must take to wake other threads, which takes a fifth of that, and each thread's part of a step: to
meet takes an eighth of that."""
_WINS, _MOST_LOSSES = 32, 64
"""Calls on several threads after which one thread is tried again, and, at the most, the other way round."""


class Pace:
    """Takes a long stride in parts of about a second, and says once how long a long run takes.

    Parameters
    ----------
    steps : int
        How many steps there are in all.
    """

    def __init__(self, steps: int) -> None:
        self.left, self.count, self.told = steps, _FIRST_STEPS, False
        self.start()

    def start(self) -> None:
        """Begin to take time."""
        self.last = time.perf_counter()

    def took(self, steps: int) -> None:
        """Note that so many steps are done."""
        now = time.perf_counter()
        seconds, self.last = now - self.last, now
        self.left -= steps
        if seconds > _LONG_SECONDS:
            self.count = max(1, self.count // 2)
        elif seconds < _SHORT_SECONDS and steps == self.count:
            self.count *= 2
        if not self.told and steps and seconds >= _SHORT_SECONDS:
            self._tell(self.left * seconds / steps)

    def _tell(self, seconds: float) -> None:
        """Warn of a run that takes longer than an hour."""
        self.told = True
        if seconds > _HOUR:
            warnings.warn(f"{self.left} steps are left, which take about {spell_seconds(seconds)}", stacklevel=5)


class Stride:
    """How many steps one compiled call takes, so that Ctrl-C is heard, and on how many threads.

    Threads that wait for each other once a step stop each other where other work is running. So one thread alone is timed as
    well, and what was faster is done; the other is tried again now and then.

    Parameters
    ----------
    threads : int
        How many threads there are for one replica at the most.
    replicas : int
        How many replicas take each step.
    """

    def __init__(self, threads: int, replicas: int) -> None:
        self.threads, self.replicas, self.count = threads, replicas, 1
        self.alone, self.calls_alone, self.wins, self.losses = 0.0, 0, 0, 1

    def next(self, left: int) -> tuple[int, int]:
        """Return how many of the steps that are left to take now, and on how many threads."""
        steps, lost = min(self.count, left), self.losses > 1
        # To look again at what was slower, a short call is enough.
        short = max(1, steps // 32)
        if self.calls_alone:
            return steps if lost else short, 1
        if steps * self.alone < _WORTH:
            return steps, 1
        tried = min(steps, max(short, math.ceil(_WORTH / self.alone))) if lost else steps
        return tried, max(1, min(self.threads, int(self.alone / self.replicas / _PART)))

    def took(self, steps: int, threads: int, seconds: float) -> None:
        """Note how long the steps took."""
        if seconds > PATIENCE:
            self.count = max(1, self.count // 2)
        elif steps == self.count:
            self.count = 2 * self.count
        if threads == 1:
            self.alone, self.calls_alone = seconds / steps, max(0, self.calls_alone - 1)
        elif seconds / steps < self.alone:
            self.wins, self.losses = self.wins + 1, 1
            # Soon at first: a single short call may have been disturbed.
            self.calls_alone = int(self.wins % min(_WINS, 1 << (self.wins.bit_length() - 1)) == 0)
        else:
            self.calls_alone, self.losses = self.losses, min(4 * self.losses, _MOST_LOSSES)


def spell_seconds(seconds: float) -> str:
    """Return a long time in words.

    Parameters
    ----------
    seconds : float
        The time.

    Examples
    --------
    >>> spell_seconds(7200), spell_seconds(1e6), spell_seconds(1e12)
    ('2.0 hours', '11.6 days', '31689 years')
    """
    hours = seconds / _HOUR
    if hours < 48:
        return f"{hours:.1f} hours"
    return f"{hours / 24:.1f} days" if hours < 24 * 730 else f"{hours / 24 / 365.2425:.0f} years"
