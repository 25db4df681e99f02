"""Interruption: what is finished is handed on with the exception, and no signal to end is lost."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mastsim.run import Run

_AGAIN = 0.05
"""Seconds after which an interruption that got lost is repeated."""


class Interrupted(KeyboardInterrupt):
    """A simulation was interrupted (Ctrl-C); what it had recorded is in `run`.

    It is a KeyboardInterrupt, so that ``except Exception`` does not take a part for the whole.

    Parameters
    ----------
    run : Run
        What was recorded so far; ``simulate(…, resume=run)`` goes on from there.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> run = ms.simulate(ms.DSGD(0.25), F, steps=20)
    >>> print(Interrupted(run.asked_for(100)))
    interrupted: everything up to step 20 of 100 is kept; pass the attribute run of this exception to simulate as resume=
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.run = run

    def __str__(self) -> str:
        kept = f"everything up to step {self.run.steps_done} of {self.run.steps} is kept"
        return f"interrupted: {kept}; pass the attribute run of this exception to simulate as resume="


@contextmanager
def heard() -> Iterator[SimpleNamespace]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt inside a with statement, and note in ``came`` that one was there.

    Code that is called back from compiled libraries drops exceptions, also this one, and the library then fails in its own
    words: an interruption that was dropped comes again, and whoever sees another error can ask whether there was one.

    Examples
    --------
    >>> import os
    >>> try:
    ...     with heard() as signals:
    ...         os.kill(os.getpid(), signal.SIGTERM)
    ... except KeyboardInterrupt:
    ...     print(signals.came)
    True
    """
    signals = SimpleNamespace(came=False)
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return

    def stop(*_: object) -> None:
        signals.came = True
        raise KeyboardInterrupt

    def dropped(told: Any) -> None:
        if not issubclass(told.exc_type, KeyboardInterrupt):
            hook(told)
            return
        main = threading.main_thread().ident or 0
        again.append(threading.Timer(_AGAIN, signal.pthread_kill, (main, signal.SIGTERM)))
        again[-1].start()

    again: list[threading.Timer] = []
    hook, sys.unraisablehook = sys.unraisablehook, dropped
    # A command in the background of a shell is told to ignore Ctrl-C.
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield signals
    finally:
        for timer in again:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        sys.unraisablehook = hook
