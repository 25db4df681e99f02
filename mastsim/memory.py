"""How much memory something of a chosen size needs, against what is free: refused before any work is done."""

from __future__ import annotations

import math
import os
from pathlib import Path

_SMALL = 1 << 26
"""Bytes that nobody has to ask for: looking up what is free would cost more than it tells."""
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_NO_LIMIT = 1 << 60
"""What control groups without a limit report is of this size."""
_LIBRARIES, _THREAD = 640 << 20, 64 << 20
"""Addresses that NumPy, SciPy and numba take once loaded, and what each of their threads reserves; measured, rounded up."""
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
_GROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


class TooLargeError(MemoryError, ValueError):
    """What is asked for does not fit in this machine's memory."""


def free_memory() -> int:
    """Return the bytes that can still be used: what the system has available, or what is left of this process's limits.

    Returns
    -------
    int
        The least of what the machine, a control group and the limit on this process's address space leave.

    Examples
    --------
    >>> free_memory() > 0
    True
    """
    left = [_left_on_machine(), *(_left_in_group(*group) for group in _GROUPS), _left_of_addresses()]
    return max(0, min(bytes_left for bytes_left in left if bytes_left is not None))


def check_start() -> None:
    """Refuse a limit on addresses under which the libraries do not load: below it they hang, or end the process themselves.

    Raises
    ------
    TooLargeError
        If ``ulimit -v`` leaves this process less than NumPy, SciPy, numba and their threads take.
    """
    limit = _address_limit()
    if limit is None:
        return
    chosen = next((os.environ[name] for name in _THREADS if os.environ.get(name, "").isdigit()), None)
    threads = max(1, _processors() if chosen is None else int(chosen))
    needed = _LIBRARIES + threads * _THREAD
    if limit < needed:
        fewer = ", or set OPENBLAS_NUM_THREADS=1" if threads > 1 and limit >= _LIBRARIES + _THREAD else ""
        raise TooLargeError(
            f"this process may use {spell_bytes(limit)} of addresses (ulimit -v), and the libraries of mastsim need "
            f"{spell_bytes(needed)} with {threads} thread{'s' * (threads > 1)}: raise the limit{fewer}"
        )


def check_room(what: str, *shape: float, change: str, itemsize: int = 8, limit: int | None = None) -> None:
    """Refuse something of a chosen size that does not fit in memory; call it before any work.

    Parameters
    ----------
    what : str
        What is to be made, for the message: ``"the second moment of Rand-3 of 9"``.
    *shape : int
        Its shape; the product of the numbers is how many entries it has.
    change : str
        What to change, for the message: ``"use fewer replicas"``.
    itemsize : int, default 8
        Bytes an entry, those of copies included.
    limit : int, optional
        The most bytes that are accepted, in place of what is free.

    Raises
    ------
    ValueError
        If it needs more, a `TooLargeError` where that is more than is free; the message says how many bytes, how many there
        are, and what to change.

    Examples
    --------
    >>> check_room("the table", 10, 10, change="use fewer rows")
    >>> check_room("the table", 1000, 1000, change="use fewer rows", limit=4096)
    Traceback (most recent call last):
        ...
    ValueError: the table (1000 × 1000): 7.6 MiB (8000000 bytes) are needed, but at most 4.0 KiB are accepted; use fewer rows
    """
    needed = math.prod(shape) * itemsize
    if needed <= (_SMALL if limit is None else limit):
        return
    room = free_memory() if limit is None else limit
    if needed > room:
        size = " × ".join(_whole(count) for count in shape)
        have = (
            f"only {spell_bytes(room)} of memory are free" if limit is None else f"at most {spell_bytes(room)} are accepted"
        )
        kind = TooLargeError if limit is None else ValueError
        raise kind(f"{what} ({size}): {spell_bytes(needed)} ({_whole(needed)} bytes) are needed, but {have}; {change}")


def check_square(what: str, dim: int, *, change: str = "use data of fewer columns") -> None:
    """Refuse a ``dim`` × ``dim`` matrix that does not fit in memory; see `check_room`."""
    check_room(what, dim, dim, change=change)


def spell_bytes(count: float) -> str:
    """Return a number of bytes in words.

    Parameters
    ----------
    count : float
        The number, at or above 0.

    Examples
    --------
    >>> spell_bytes(720e9), spell_bytes(12)
    ('670.6 GiB', '12 bytes')
    """
    count, place = min(count, 1e300), 0
    while count >= 1024 and place < len(_UNITS) - 1:
        count, place = count / 1024, place + 1
    return f"{count:.0f} bytes" if place == 0 else f"{count:.1f} {_UNITS[place]}"


def _whole(count: float) -> str:
    return str(count) if isinstance(count, int) else f"{count:.0f}"


def _left_on_machine() -> int | None:
    try:
        facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        return int(facts["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        # Other systems tell how much there is, not how much is free.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else _NO_LIMIT


def _left_in_group(folder: str, limit: str, usage: str) -> int | None:
    try:
        most, used = (int(Path(folder, name).read_text(encoding="ascii")) for name in (limit, usage))
        facts = dict(line.split() for line in Path(folder, "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return None
    # Files that were read and can be dropped count as used.
    return most - used + int(facts.get("inactive_file", 0)) if most < _NO_LIMIT else None


def _left_of_addresses() -> int | None:
    limit = _address_limit()
    if limit is None:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        pages = 0
    return limit - pages * os.sysconf("SC_PAGE_SIZE")


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _address_limit() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit
