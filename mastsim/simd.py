"""Vectors of 512 bits for numba: eight doubles or sixteen floats, and what kernels do with them.

Kernels say explicitly what goes into hardware vectors, because scratch arrays cannot be proved disjoint and automatic
vectorisation gives up on them. `fma`, `clamp` and `power_of_two` take scalars as well, so that one formula serves both and
gives the same bits.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from mastsim.compilation import njit  # first, because it says what is wrong with a numba that cannot be imported

# isort: split
from llvmlite import ir  # comes with numba, which demands the one release it works with
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model
from numba.np.arrayobj import make_array

LANES = 8
"""Doubles in a vector: one 512-bit register, which the compiler splits where registers are shorter."""

_FLOATS = {types.float64: ir.DoubleType(), types.float32: ir.FloatType()}


class Vector(types.Type):
    """The numba type of 512 bits of floats of one kind."""

    def __init__(self, scalar: Any) -> None:
        self.scalar, self.lanes = scalar, 512 // scalar.bitwidth
        super().__init__(name=f"Vector({scalar})")


VECTORS = {scalar: Vector(scalar) for scalar in _FLOATS}
"""The vector of each kind of number."""


def _register_of(kind: Any) -> Any:
    """Return the LLVM type of a vector or a scalar."""
    return ir.VectorType(_FLOATS[kind.scalar], kind.lanes) if isinstance(kind, Vector) else _FLOATS[kind]


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _register_of(kind))


def spread(builder: Any, scalar: Any, wide: Any) -> Any:
    """Emit a vector of LLVM type `wide` with ``scalar`` in every lane."""
    seed = builder.insert_element(ir.Constant(wide, ir.Undefined), scalar, ir.IntType(32)(0))
    return builder.shuffle_vector(seed, seed, ir.Constant(ir.VectorType(ir.IntType(32), wide.count), [0] * wide.count))


def _widened(builder: Any, value: Any, kind: Any, wanted: Any) -> Any:
    """Emit a value as the vector or scalar type wanted; a double beside floats is rounded to one."""
    if kind == wanted:
        return value
    scalar = wanted.scalar if isinstance(wanted, Vector) else wanted
    if kind != scalar:
        value = builder.fptrunc(value, _FLOATS[scalar]) if kind == types.float64 else builder.fpext(value, _FLOATS[scalar])
    return spread(builder, value, _register_of(wanted)) if isinstance(wanted, Vector) else value


def _register_operator(operation: Any, emit: str) -> None:
    """Teach numba one operator between vectors, and between a vector and a number."""
    doubles, floats = VECTORS[types.float64], VECTORS[types.float32]
    pairs = [(doubles, doubles), (doubles, types.float64), (types.float64, doubles), (floats, floats)]
    pairs += [pair for scalar in _FLOATS for pair in ((floats, scalar), (scalar, floats))]

    @infer_global(operation)
    class Template(ConcreteTemplate):
        cases = [signature(pair[0] if isinstance(pair[0], Vector) else pair[1], *pair) for pair in pairs]  # noqa: RUF012

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide = [_widened(builder, arg, kind, sig.return_type) for arg, kind in zip(args, sig.args, strict=True)]
        # "contract" allows a*b + c in one rounding and nothing else: no reordering, so range reductions survive.
        return getattr(builder, emit)(*wide, flags=("contract",))

    for pair in pairs:
        lower_builtin(operation, *pair)(lower)


_register_operator(operator.add, "fadd")
_register_operator(operator.sub, "fsub")
_register_operator(operator.mul, "fmul")
_register_operator(operator.truediv, "fdiv")


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Emit the address of a vector's worth of entries from ``array[index]`` on, without the sign test of a Python index."""
    data = make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.PointerType(_register_of(VECTORS[kind.dtype])))


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Read a vector from ``array[index]`` on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, sig.args[0], *args), align=array.dtype.bitwidth // 8)

    return VECTORS[array.dtype](array, types.intp), emit


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a vector from ``array[index]`` on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, sig.args[0], *args[:2]), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), emit


@intrinsic
def value_at(typing: Any, values: Any, place: Any) -> Any:
    """Return ``values[place]``, or 1 where there is no array: the compiler then leaves the factor out."""
    if not isinstance(values, types.Array):
        return types.float64(values, types.intp), lambda context, builder, sig, args: ir.Constant(ir.DoubleType(), 1.0)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = make_array(values)(context, builder, args[0]).data
        return builder.load(builder.gep(data, [args[1]]), align=values.dtype.bitwidth // 8)

    return values.dtype(values, types.intp), emit


@intrinsic
def index_at(typing: Any, index: Any, place: Any, begin: Any) -> Any:
    """Return ``index[place]``, or ``place - begin`` where there is no array of indices."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not isinstance(index, types.Array):
            return builder.sub(args[1], args[2])
        data = make_array(index)(context, builder, args[0]).data
        found = builder.load(builder.gep(data, [args[1]]), align=index.dtype.bitwidth // 8)
        return found if index.dtype.bitwidth == 64 else builder.zext(found, ir.IntType(64))

    return types.uint64(index, types.uint64, types.uint64), emit


@intrinsic
def where_bit(typing: Any, words: Any, at: Any, bit: Any, value: Any) -> Any:
    """Return a vector that is `value` in the lanes whose word of 64 bits, from ``words[at]`` on, has a bit set, else 0."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide = ir.VectorType(ir.IntType(64), value.lanes)
        place = builder.gep(make_array(words)(context, builder, args[0]).data, [args[1]])
        found = builder.load(builder.bitcast(place, ir.PointerType(wide)), align=8)
        held = builder.icmp_unsigned("!=", builder.and_(found, spread(builder, args[2], wide)), ir.Constant(wide, None))
        return builder.select(held, args[3], ir.Constant(_register_of(value), None))

    return value(words, types.intp, types.uint64, value), emit


@intrinsic
def sum_of_lanes(typing: Any, vector: Any) -> Any:
    """Return the sum of a vector's numbers, neighbours added until one is left."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        total, number = args[0], ir.IntType(32)
        for half in (vector.lanes >> k for k in range(1, vector.lanes.bit_length())):
            parts = [ir.Constant(ir.VectorType(number, half), list(range(odd, 2 * half, 2))) for odd in (0, 1)]
            total = builder.fadd(*(builder.shuffle_vector(total, total, part) for part in parts))
        return builder.extract_element(total, number(0))

    return vector.scalar(vector), emit


@intrinsic
def lowest_bit(typing: Any, word: Any) -> Any:
    """Return the number of the lowest bit that is set, of a word that is not 0."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), emit


@intrinsic
def lanes_of(typing: Any, array: Any) -> Any:
    """Return how many entries of an array fill a vector, which the compiler then knows."""
    lanes = VECTORS[array.dtype].lanes
    return types.intp(array), lambda context, builder, sig, args: context.get_constant(types.intp, lanes)


@intrinsic
def splat(typing: Any, scalar: Any) -> Any:
    """Return a vector with the same number in every lane."""
    kind = VECTORS[scalar]

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return spread(builder, args[0], _register_of(kind))

    return kind(scalar), emit


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a·b + c in one rounding; numbers beside vectors are spread."""
    vectors = [kind for kind in (a, b, c) if isinstance(kind, Vector)]
    # Constants are doubles: among scalars the one that is not decides.
    wanted = vectors[0] if vectors else next((kind for kind in (a, b, c) if kind == types.float32), types.float64)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide = [_widened(builder, arg, kind, wanted) for arg, kind in zip(args, sig.args, strict=True)]
        return builder.call(_fused(builder.module, wanted), wide)

    return wanted(a, b, c), emit


def _fused(module: Any, kind: Any) -> Any:
    """Return LLVM's fused multiply-add for a vector or a number; llvmlite declares it for numbers only."""
    scalar = kind.scalar if isinstance(kind, Vector) else kind
    name = f"llvm.fma.v{kind.lanes}f{scalar.bitwidth}" if isinstance(kind, Vector) else f"llvm.fma.f{scalar.bitwidth}"
    wide = _register_of(kind)
    return cgutils.get_or_insert_function(module, ir.FunctionType(wide, [wide] * 3), name)


@intrinsic
def clamp(typing: Any, value: Any, low: Any, high: Any) -> Any:
    """Return the value brought into [low, high]; what is not a number remains so."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, below, above = (_widened(builder, arg, kind, value) for arg, kind in zip(args, sig.args, strict=True))
        capped = builder.select(builder.fcmp_ordered("<", above, x), above, x)
        return builder.select(builder.fcmp_ordered(">", below, capped), below, capped)

    return value(value, low, high), emit


@intrinsic
def from_knot(typing: Any, value: Any, knot: Any, above: Any, below: Any) -> Any:
    """Return `above` where the value is at or beyond the knot, otherwise `below`."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, edge, high, low = (_widened(builder, arg, kind, value) for arg, kind in zip(args, sig.args, strict=True))
        return builder.select(builder.fcmp_ordered(">=", x, edge), high, low)

    return value(value, knot, above, below), emit


@intrinsic
def power_of_two(typing: Any, shifted: Any) -> Any:
    """Return 2ⁿ for the integer n in the low bits of ``n + 1.5·2^m``, m the bits of the fraction."""
    scalar = shifted.scalar if isinstance(shifted, Vector) else shifted
    width, fraction, bias = (64, 52, 1023) if scalar == types.float64 else (32, 23, 127)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        flat = ir.IntType(width)
        kind = ir.VectorType(flat, shifted.lanes) if isinstance(shifted, Vector) else flat

        def constant(number: int) -> Any:
            return ir.Constant(kind, [number] * shifted.lanes if isinstance(shifted, Vector) else number)

        bits = builder.shl(builder.bitcast(args[0], kind), constant(fraction))
        return builder.bitcast(builder.add(bits, constant(bias << fraction)), _register_of(shifted))

    return shifted(shifted), emit


@njit(inner=True, makes_arrays=True)
def aligned_zeros(size: int, like: Any) -> Any:
    """Return zeros of the type of an array at an address that no vector from a multiple of LANES on crosses a cache line."""
    room = np.zeros(size + lanes_of(like), like.dtype)
    first = (-room.ctypes.data % 64) // room.itemsize
    return room[first : first + size]
