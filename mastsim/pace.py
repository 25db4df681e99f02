"""How many steps to take at once, so that a bar moves and Ctrl-C is heard, and how long a long run takes."""

from __future__ import annotations

import time
import warnings

_FIRST_STEPS, _LONG_SECONDS, _SHORT_SECONDS = 1024, 2.0, 0.5
_HOUR = 3600.0


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
