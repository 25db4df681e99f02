"""Complex arithmetic on vectors of eight doubles, and their sine and cosine.

A complex vector is a pair (real part, imaginary part).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mastsim.compilation import njit
from mastsim.simd import LANES, VECTORS, intrinsic, ir, load, splat, store, sum_of_lanes, types

__all__ = ["LANES", "PAIR", "add", "get", "lane_sum", "load", "product", "put", "ramp", "real_product", "rotation", "splat"]
__all__ += ["store", "times"]

PAIR = 2 * LANES  # doubles in a complex vector

_vector = VECTORS[types.float64]
_double_lanes = ir.VectorType(ir.DoubleType(), LANES)
_int_lanes = ir.VectorType(ir.IntType(64), LANES)


@intrinsic
def ramp(typing: Any) -> Any:
    """Return the vector 0, 1, ..., LANES - 1."""
    return _vector(), lambda context, builder, sig, args: ir.Constant(_double_lanes, [float(i) for i in range(LANES)])


@intrinsic
def _quarter_turns(typing: Any, sine: Any, cosine: Any, shifted: Any) -> Any:
    """Turn (cosine, sine) by the number of quarter turns in the low bits of ``shifted``; returns cosine, sine."""
    pair = types.UniTuple(_vector, 2)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def lanes(number: int) -> Any:
            return ir.Constant(_int_lanes, [number] * LANES)

        def flip(value: Any, turns: Any) -> Any:
            sign = builder.shl(builder.and_(turns, lanes(2)), lanes(62))
            return builder.bitcast(builder.xor(builder.bitcast(value, _int_lanes), sign), _double_lanes)

        turns = builder.bitcast(args[2], _int_lanes)
        odd = builder.icmp_signed("!=", builder.and_(turns, lanes(1)), lanes(0))
        new_sine = flip(builder.select(odd, args[1], args[0]), turns)
        new_cosine = flip(builder.select(odd, args[0], args[1]), builder.add(turns, lanes(1)))
        return context.make_tuple(builder, pair, [new_cosine, new_sine])

    return pair(_vector, _vector, _vector), emit


# pi/2 as 26 bits, whose product with a quarter-turn count below 2**27 is exact, and a double of the rest. At phases
# beyond that the error is an ulp of the phase, which the phase itself carries from its own rounding.
_HALF_PI = (float.fromhex("0x1.921fb5p+0"), float.fromhex("0x1.110b4611a6263p-26"))
_TURNS = 2.0 / math.pi
_TO_INTEGER = 1.5 * 2.0**52  # adding it leaves the nearest integer in the low bits
_SINE = tuple((-1.0) ** i / math.factorial(2 * i + 1) for i in range(1, 9))
_COSINE = tuple((-1.0) ** i / math.factorial(2 * i) for i in range(1, 9))


@njit(forceinline=True)
def _series(x: Any, c: Any) -> Any:
    """Evaluate ``c[0] + c[1] x + ... + c[7] x**7``."""
    return ((((((x * c[7] + c[6]) * x + c[5]) * x + c[4]) * x + c[3]) * x + c[2]) * x + c[1]) * x + c[0]


@njit(forceinline=True)
def rotation(x: Any) -> Any:
    """Return ``exp(1j x)`` for a vector of phases, to about an ulp of the result plus half an ulp of the phase."""
    shifted = x * _TURNS + _TO_INTEGER
    turns = shifted - _TO_INTEGER
    r = (x - turns * _HALF_PI[0]) - turns * _HALF_PI[1]
    square = r * r
    return _quarter_turns(r + r * (square * _series(square, _SINE)), square * _series(square, _COSINE) + 1.0, shifted)


@njit(forceinline=True)
def get(buf: np.ndarray, place: int) -> Any:
    """Read a complex vector."""
    return load(buf, place), load(buf, place + LANES)


@njit(forceinline=True)
def put(buf: np.ndarray, place: int, value: Any) -> None:
    """Write a complex vector."""
    store(buf, place, value[0])
    store(buf, place + LANES, value[1])


@njit(forceinline=True)
def product(a: Any, b: Any) -> Any:
    """Return the product of two complex vectors."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


@njit(forceinline=True)
def real_product(a: Any, b: Any) -> Any:
    """Return the real part of the product of two complex vectors."""
    return a[0] * b[0] - a[1] * b[1]


@njit(forceinline=True)
def times(a: Any, x: Any) -> Any:
    """Return a complex vector times a float or a real vector."""
    return a[0] * x, a[1] * x


@njit(forceinline=True)
def add(a: Any, b: Any) -> Any:
    """Return the sum of two complex vectors."""
    return a[0] + b[0], a[1] + b[1]


@njit(forceinline=True)
def lane_sum(buf: np.ndarray, place: int) -> float:
    """Return the sum of the LANES doubles at a place, added in pairs."""
    return sum_of_lanes(load(buf, place))  # type: ignore[no-any-return]
