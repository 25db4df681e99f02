"""Where threads inside kernels wait for each other: by spinning, because a step takes less time than to wake a thread.

No wait is without end: whoever loses patience gives up, for all, and so does who meets an error outside.
"""

from __future__ import annotations

import ctypes
import os
import platform
import time
from typing import Any

import numpy as np

from mastsim.compilation import njit

# isort: split
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

SPINS = 2048
"""Looks at another's number before a thread lets others run, some 30 µs."""
WAIT = 10_000_000
"""Nanoseconds that a thread waits in one call of a kernel before it gives up: two or three slices of another thread."""
_BLOCK = 15_000
"""Nanoseconds that so many looks take at the least; all that counts where the system has no clock to read."""
_LINE = 16
"""Numbers in two lines of the cache: processors fetch pairs of them."""
_PAUSES = platform.machine().lower() in ("x86_64", "amd64")
_YIELDS = hasattr(os, "sched_yield")
_CLOCK = getattr(time, "CLOCK_MONOTONIC", None)


def new_board(members: int, patience: int = WAIT) -> np.ndarray:
    """Return a board for meetings: patience, whether somebody gave up, each member's number, in lines of the cache apart.

    Parameters
    ----------
    members : int
        How many members may come.
    patience : int
        Nanoseconds, at least 1.

    Examples
    --------
    >>> new_board(2, 7)[::_LINE]
    array([7, 0, 0, 0])
    """
    board = np.zeros((members + 2) * _LINE, np.int64)
    board[0] = patience
    return board


def give_up(board: np.ndarray) -> None:
    """Let nobody wait any longer.

    Parameters
    ----------
    board : ndarray
        Of `new_board`.

    Examples
    --------
    >>> board = new_board(2, 7)
    >>> give_up(board)
    >>> board[::_LINE]
    array([7, 1, 0, 0])
    """
    board[_LINE] = 1


@intrinsic
def _read(typing: Any, board: Any, index: Any) -> Any:
    """Return ``board[index]``; nothing that comes after is read before."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = make_array(board)(context, builder, args[0]).data
        return builder.load_atomic(builder.gep(data, [args[1]]), "acquire", align=8)

    return types.int64(board, types.intp), emit


@intrinsic
def _write(typing: Any, board: Any, index: Any, number: Any) -> Any:
    """Set ``board[index]``; all that comes before is written before."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = make_array(board)(context, builder, args[0]).data
        builder.store_atomic(args[2], builder.gep(data, [args[1]]), "release", align=8)
        return context.get_dummy_value()

    return types.void(board, types.intp, types.int64), emit


@intrinsic
def _pause(typing: Any) -> Any:
    """Tell the processor that this is a loop that waits."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if _PAUSES:
            pause = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, pause, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def _let_others_run(typing: Any) -> Any:
    """Give the processor to another thread, where the system has a call for it."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if _YIELDS:
            give_way = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, give_way, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def _nanoseconds(typing: Any) -> Any:
    """Return the time of a clock that never goes back, 0 where the system has no call for it."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        whole, number = ir.IntType(64), ir.IntType(8 * ctypes.sizeof(ctypes.c_long))
        if _CLOCK is None:
            return ir.Constant(whole, 0)
        pair, clock = cgutils.alloca_once(builder, ir.ArrayType(number, 2)), ir.IntType(32)
        call = ir.FunctionType(clock, [clock, pair.type])
        builder.call(cgutils.get_or_insert_function(builder.module, call, "clock_gettime"), [clock(_CLOCK), pair])
        seconds, rest = (builder.sext(builder.extract_value(builder.load(pair), i), whole) for i in (0, 1))
        return builder.add(builder.mul(seconds, whole(1_000_000_000)), rest)

    return types.int64(), emit


@njit(forceinline=True)
def arrive(board, member, number):
    """Say that a member has come to a number, at least 1 and larger than before."""
    _write(board, (member + 2) * _LINE, number)


@njit(inner=True)
def wait_for_all(board, members, number, patience):
    """Wait until all members have come to a number, and return what is left of one's patience: 0 for none."""
    since = 0
    for other in range(members):
        spins = 0
        while _read(board, (other + 2) * _LINE) < number:
            if _read(board, _LINE) != 0:
                return 0
            _pause()
            spins += 1
            if spins == SPINS:
                spins, now = 0, _nanoseconds()
                patience -= _BLOCK if since == 0 else max(now - since, _BLOCK)
                since = now
                _let_others_run()
                if patience <= 0:
                    _write(board, _LINE, 1)
                    return 0
    return patience
