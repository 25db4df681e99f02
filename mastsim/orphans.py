"""Worker processes that end when the sweep that started them is killed; joblib's would wait for ever."""

from __future__ import annotations

import os
import threading
import time

from tqdm import tqdm

_PAUSE = 0.3
_WATCHED: set[int] = set()


def end_with(parent: int) -> None:
    """Let this process end soon after its parent does, if `parent` is its parent; otherwise do nothing.

    What it was writing then is left behind as a partial file, which no sweep takes for a record.

    Parameters
    ----------
    parent : int
        Process number of the sweep.

    Examples
    --------
    >>> end_with(os.getpid())
    """
    if os.getppid() == parent and parent not in _WATCHED:
        _WATCHED.add(parent)
        # No bar is shown here, and tqdm's own lock, which all processes share, is left behind when this one is killed.
        tqdm.set_lock(threading.RLock())
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PAUSE)
    os._exit(1)
