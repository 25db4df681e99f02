"""Interruption: what is finished is handed on with the exception, and a signal to terminate is one to interrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mastsim.run import Run


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
def terminable() -> Iterator[None]:
    """Let SIGTERM interrupt as Ctrl-C does inside a with statement; only the main thread of a process can.

    Examples
    --------
    >>> import os
    >>> try:
    ...     with terminable():
    ...         os.kill(os.getpid(), signal.SIGTERM)
    ... except KeyboardInterrupt:
    ...     print("told to end")
    told to end
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        # None stands for a handler that was not installed from Python.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off SIGINT and SIGTERM until the end of a with statement, which writes files that belong together.

    Examples
    --------
    >>> import os
    >>> try:
    ...     with uninterrupted():
    ...         os.kill(os.getpid(), signal.SIGINT)
    ...         print("written")
    ... except KeyboardInterrupt:
    ...     print("told to end")
    written
    told to end
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    before: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, lambda *told: came.append(told))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for first, frame in came[:1]:
            handler = before[signal.Signals(first)]
            if callable(handler):
                handler(first, frame)
            elif handler != signal.SIG_IGN:
                signal.raise_signal(first)
