"""Expectations of exponential sums over randomly kept entries, with first and second derivatives.

For every data row i these kernels evaluate

    value_i = Re sum_k w_k E exp(s_k u_i),    u_i = offset_i + sum_j theta_j 1[entry j is kept],

with nodes ``s_k = sigma + 1j k h`` and complex weights ``w_k`` read from a table that rows share through ``bucket``.
Two laws of the kept set are covered: entries kept independently, and groups of entries that are what a row holds of
a uniform subset of N out of M units (one group per row is Rand-K, several are an N:M sketch).

Both laws are run as a chain along the row. A factor of the chain is never divided by (it can be exactly 0), and all
its coefficients are probabilities, so nothing cancels beyond what the expectation itself does and nothing overflows
before the result does. Derivatives come from prefixes met by suffixes, the second derivative along a direction from
dual numbers carried through both.

Nodes are taken eight at a time as hardware vectors. The kernels say so explicitly, through a small vector type for
numba, because the scratch arrays of one row cannot be proved disjoint and automatic vectorisation gives up on them.
A row's result depends on that row alone: it is bitwise the same for any number of threads.
"""

from __future__ import annotations

import math
import operator
import threading
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import get_num_threads, njit, prange, set_num_threads, types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model
from numba.np.arrayobj import make_array

LANES = 8  # nodes per vector: one 512-bit register, which the compiler splits where registers are shorter
CHUNKS = 256  # tasks a call is cut into, each a stride of the rows so that costly rows spread over the threads


class Nodes(NamedTuple):
    """Exponential sums shared by the rows.

    Attributes
    ----------
    step : array, shape (B,)
        Spacing h of the imaginary parts of the nodes.
    sigma : array, shape (B,)
        Real part of the nodes.
    start : integer array, shape (B + 1,)
        Sum b has the weights ``start[b]:start[b + 1]``.
    w_re, w_im : array, shape (start[B],)
        Real and imaginary part of the weights.
    """

    step: np.ndarray
    sigma: np.ndarray
    start: np.ndarray
    w_re: np.ndarray
    w_im: np.ndarray


class Groups(NamedTuple):
    """Which entries of a row are drawn together, and how.

    Attributes
    ----------
    row_group_ptr : integer array, shape (n + 1,)
        Row i holds the groups ``row_group_ptr[i]:row_group_ptr[i + 1]``.
    group_ptr : integer array, shape (G + 1,)
        Group g holds the entries ``group_ptr[g]:group_ptr[g + 1]``; groups do not cross rows.
    units : integer array, shape (G,)
        M: the units the subset is drawn from, at least as many as the group has entries.
    kept : integer array, shape (G,)
        N: the units kept, ``0 <= N <= M``.
    """

    row_group_ptr: np.ndarray
    group_ptr: np.ndarray
    units: np.ndarray
    kept: np.ndarray


# ---------------------------------------------------------------------------------------------------------------------
# A vector of LANES doubles for numba
# ---------------------------------------------------------------------------------------------------------------------


class _Vector(types.Type):
    """The numba type of LANES doubles held in one register."""

    def __init__(self) -> None:
        super().__init__(name=f"Vector{LANES}")


_vector = _Vector()
_double = ir.DoubleType()
_double_lanes = ir.VectorType(_double, LANES)
_int_lanes = ir.VectorType(ir.IntType(64), LANES)
_buffer = types.Array(types.float64, 1, "C")


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _double_lanes)


def _spread(builder: Any, scalar: Any) -> Any:
    """Emit a vector with ``scalar`` in every lane."""
    seed = builder.insert_element(ir.Constant(_double_lanes, ir.Undefined), scalar, ir.IntType(32)(0))
    return builder.shuffle_vector(seed, seed, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _register_operator(operation: Any, emit: str) -> None:
    """Teach numba one operator between vectors, and between a vector and a float."""
    pairs = [(_vector, _vector), (_vector, types.float64), (types.float64, _vector)]

    @infer_global(operation)
    class Template(ConcreteTemplate):
        cases = [signature(_vector, *pair) for pair in pairs]  # noqa: RUF012

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide = [arg if kind == _vector else _spread(builder, arg) for arg, kind in zip(args, sig.args, strict=True)]
        # "contract" allows a*b + c in one rounding and nothing else: no reordering, so the range reduction survives
        return getattr(builder, emit)(*wide, flags=("contract",))

    for pair in pairs:
        lower_builtin(operation, *pair)(lower)


_register_operator(operator.add, "fadd")
_register_operator(operator.sub, "fsub")
_register_operator(operator.mul, "fmul")


def _address(context: Any, builder: Any, array: Any, index: Any) -> Any:
    """Emit the address of LANES doubles from ``array[index]`` on, without the sign test of a Python index."""
    data = make_array(_buffer)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.PointerType(_double_lanes))


@intrinsic
def _load(typing: Any, array: Any, index: Any) -> Any:
    """Read ``array[index : index + LANES]`` as a vector."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, *args), align=8)

    return _vector(_buffer, types.intp), emit


@intrinsic
def _store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a vector to ``array[index : index + LANES]``."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, *args[:2]), align=8)
        return context.get_dummy_value()

    return types.void(_buffer, types.intp, _vector), emit


@intrinsic
def _splat(typing: Any, scalar: Any) -> Any:
    """Return a vector with the same float in every lane."""
    return _vector(types.float64), lambda context, builder, sig, args: _spread(builder, args[0])


@intrinsic
def _ramp(typing: Any) -> Any:
    """Return the vector 0, 1, ..., LANES - 1."""
    return _vector(), lambda context, builder, sig, args: ir.Constant(_double_lanes, [float(i) for i in range(LANES)])


@intrinsic
def _quarter_turns(typing: Any, sine: Any, cosine: Any, shifted: Any) -> Any:
    """Turn (cosine, sine) by the number of quarter turns in the low bits of ``shifted``; returns sine, cosine."""
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
        return context.make_tuple(builder, pair, [new_sine, new_cosine])

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
def _sincos(x: Any) -> Any:
    """Return sine and cosine of a vector of phases, to about an ulp of the result plus half an ulp of the phase."""
    shifted = x * _TURNS + _TO_INTEGER
    turns = shifted - _TO_INTEGER
    r = (x - turns * _HALF_PI[0]) - turns * _HALF_PI[1]
    square = r * r
    return _quarter_turns(r + r * (square * _series(square, _SINE)), square * _series(square, _COSINE) + 1.0, shifted)


@njit(forceinline=True)
def _product(ar: Any, ai: Any, br: Any, bi: Any) -> Any:
    """Return the real and imaginary part of a complex product."""
    return ar * br - ai * bi, ar * bi + ai * br


# ---------------------------------------------------------------------------------------------------------------------
# Scratch memory of a row
# ---------------------------------------------------------------------------------------------------------------------


class _Layout(NamedTuple):
    """Where the parts of the scratch buffer start, in doubles; r is the longest row, S the most states of a chain.

    Attributes
    ----------
    phase, scale, base_re, base_im
        One number per entry and one for the offset: ``h theta``, the factor of the kept branch, and that factor
        times ``exp(1j k0 phase)`` for the tile that starts at node k0.
    odds
        Probabilities of the chain: per entry that of dropping it (independent), per entry and state those of
        dropping and of keeping it (subset).
    table
        ``exp(1j b phase)`` for the lanes b, per entry and for the offset.
    factor
        ``scale * exp(1j k phase)`` for the nodes of the tile, per entry.
    prefix, suffix
        The chain from the left, per entry and state, and from the right, per state; ``slot`` doubles per state
        (value, then tangent) and ``level`` per entry (0 when no derivative asks for the history).
    lanes
        Running sums, first and second derivative: per entry, then offset, then value.
    weights
        The last, partly filled tile of weights.
    size
        Length of the buffer.
    """

    phase: int
    scale: int
    base_re: int
    base_im: int
    odds: int
    table: int
    factor: int
    prefix: int
    suffix: int
    lanes: int
    weights: int
    states: int
    slot: int
    level: int
    size: int


@njit
def _layout(order: int, width: int, states: int) -> _Layout:
    """Lay out the scratch of rows of at most ``width`` entries; every part starts on a whole vector."""
    padded = (width + LANES) // LANES * LANES
    pair = 2 * LANES
    slot = 2 * pair if order == 2 else pair
    level = slot * states if order > 0 else 0
    phase = 0
    scale = phase + padded
    base_re = scale + padded
    base_im = base_re + padded
    odds = base_im + padded
    table = odds + 2 * states * padded
    factor = table + pair * padded
    prefix = factor + pair * padded
    suffix = prefix + level * width + slot * states
    lanes = suffix + slot * (states + 1)
    weights = lanes + pair * (width + 2)
    size = weights + pair
    return _Layout(
        phase, scale, base_re, base_im, odds, table, factor, prefix, suffix, lanes, weights, states, slot, level, size
    )


@njit
def _scratch(size: int) -> Any:
    """Allocate ``size`` doubles on a 64-byte boundary: a vector that straddles two cache lines costs double."""
    block = np.empty(size + LANES)
    skip = (-(block.ctypes.data // 8)) % LANES
    return block[skip : skip + size]


# ---------------------------------------------------------------------------------------------------------------------
# Steps common to both laws
# ---------------------------------------------------------------------------------------------------------------------


@njit
def _prepare(buf: Any, at: Any, theta: Any, first: int, r: int, offset: float, step: float) -> None:
    """Fill phases and lane tables of a row and clear its running sums."""
    for j in range(r):
        buf[at.phase + j] = step * theta[first + j]
    buf[at.phase + r] = step * offset
    buf[at.scale + r] = 1.0
    for j in range(r + 1, (r + LANES) // LANES * LANES):
        buf[at.phase + j] = 0.0
        buf[at.scale + j] = 0.0
    ramp = _ramp()
    for j in range(r + 1):
        sine, cosine = _sincos(ramp * buf[at.phase + j])
        _store(buf, at.table + 2 * LANES * j, cosine)
        _store(buf, at.table + 2 * LANES * j + LANES, sine)
    zero = _splat(0.0)
    for j in range(2 * (r + 2)):
        _store(buf, at.lanes + LANES * j, zero)


@njit
def _branches(growth: float) -> Any:
    """Scale the pair ``exp(growth)``, 1 to make the larger one 1: return kept, dropped and the log taken out."""
    if growth == 0.0:
        return 1.0, 1.0, 0.0
    if growth > 0.0:
        return 1.0, math.exp(-growth), growth
    return math.exp(growth), 1.0, 0.0


@njit
def _open_tile(buf: Any, at: Any, r: int, k0: int, weight_re: Any, weight_im: Any, begin: int, count: int) -> Any:
    """Move the bases to nodes k0, k0 + 1, ... and return the tile's ``w_k exp(1j k h offset)``."""
    for j in range(0, r + 1, LANES):
        sine, cosine = _sincos(_load(buf, at.phase + j) * float(k0))
        scale = _load(buf, at.scale + j)
        _store(buf, at.base_re + j, cosine * scale)
        _store(buf, at.base_im + j, sine * scale)
    br, bi = buf[at.base_re + r], buf[at.base_im + r]
    tr, ti = _load(buf, at.table + 2 * LANES * r), _load(buf, at.table + 2 * LANES * r + LANES)
    er, ei = tr * br - ti * bi, ti * br + tr * bi
    if k0 + LANES <= count:
        return _product(er, ei, _load(weight_re, begin + k0), _load(weight_im, begin + k0))
    zero = _splat(0.0)
    _store(buf, at.weights, zero)
    _store(buf, at.weights + LANES, zero)
    for b in range(count - k0):
        buf[at.weights + b] = weight_re[begin + k0 + b]
        buf[at.weights + LANES + b] = weight_im[begin + k0 + b]
    return _product(er, ei, _load(buf, at.weights), _load(buf, at.weights + LANES))


@njit(forceinline=True)
def _factor(buf: Any, at: Any, j: int) -> tuple[Any, Any]:
    """Return the kept branch of entry j at the nodes of the tile, and keep it for the way back."""
    br, bi = buf[at.base_re + j], buf[at.base_im + j]
    tr, ti = _load(buf, at.table + 2 * LANES * j), _load(buf, at.table + 2 * LANES * j + LANES)
    qr, qi = tr * br - ti * bi, ti * br + tr * bi
    _store(buf, at.factor + 2 * LANES * j, qr)
    _store(buf, at.factor + 2 * LANES * j + LANES, qi)
    return qr, qi


@njit(forceinline=True)
def _get(buf: Any, place: int) -> tuple[Any, Any]:
    """Read a complex vector."""
    return _load(buf, place), _load(buf, place + LANES)


@njit(forceinline=True)
def _put(buf: Any, place: int, real: Any, imag: Any) -> None:
    """Write a complex vector."""
    _store(buf, place, real)
    _store(buf, place + LANES, imag)


@njit(forceinline=True)
def _close_tile(buf: Any, at: Any, order: int, r: int, e: Any, f: Any, df: Any, sigma: float, kh: Any, delta0: float) -> Any:
    """Add a tile to value and offset derivatives; return where the suffixes start, value and tangent.

    ``e`` is the weight with the offset's factor, ``f`` and ``df`` the full chain and its tangent. The node enters
    here, once, as a factor of the weight; the second one that a tangent owes is multiplied in on accumulation.
    """
    place = at.lanes + 2 * LANES * (r + 1)
    _store(buf, place, _load(buf, place) + (e[0] * f[0] - e[1] * f[1]))
    g = e[0] * sigma - e[1] * kh, e[1] * sigma + e[0] * kh
    place = at.lanes + 2 * LANES * r
    _store(buf, place, _load(buf, place) + (g[0] * f[0] - g[1] * f[1]))
    if order == 2:
        yr, yi = _product(g[0], g[1], df[0] + f[0] * delta0, df[1] + f[1] * delta0)
        _store(buf, place + LANES, _load(buf, place + LANES) + (yr * sigma - yi * kh))
    return g, (g[0] * delta0, g[1] * delta0)


@njit(forceinline=True)
def _second(f: Any, df: Any, y: Any, dy: Any, sigma: float, kh: Any) -> Any:
    """Return the real part of ``s (df y + f dy)``: a prefix and a suffix met at one entry, differentiated."""
    real = (df[0] * y[0] - df[1] * y[1]) + (f[0] * dy[0] - f[1] * dy[1])
    imag = (df[0] * y[1] + df[1] * y[0]) + (f[0] * dy[1] + f[1] * dy[0])
    return real * sigma - imag * kh


@njit(forceinline=True)
def _total(buf: Any, place: int) -> Any:
    """Sum the LANES lanes of a running sum, in pairs."""
    return ((buf[place] + buf[place + 1]) + (buf[place + 2] + buf[place + 3])) + (
        (buf[place + 4] + buf[place + 5]) + (buf[place + 6] + buf[place + 7])
    )


@njit
def _emit(
    buf: Any,
    at: Any,
    order: int,
    i: int,
    first: int,
    r: int,
    growth: float,
    value: Any,
    d_theta: Any,
    d_offset: Any,
    dd_theta: Any,
    dd_offset: Any,
) -> None:
    """Write the running sums of a row to its places in the results."""
    gain = math.exp(growth)
    value[i] = gain * _total(buf, at.lanes + 2 * LANES * (r + 1))
    if order > 0:
        d_offset[i] = gain * _total(buf, at.lanes + 2 * LANES * r)
        for j in range(r):
            d_theta[first + j] = gain * _total(buf, at.lanes + 2 * LANES * j)
    if order == 2:
        dd_offset[i] = gain * _total(buf, at.lanes + 2 * LANES * r + LANES)
        for j in range(r):
            dd_theta[first + j] = gain * _total(buf, at.lanes + 2 * LANES * j + LANES)


# ---------------------------------------------------------------------------------------------------------------------
# Entries kept independently
# ---------------------------------------------------------------------------------------------------------------------


@njit
def _independent_odds(buf: Any, at: Any, theta: Any, prob: Any, first: int, r: int, sigma: float) -> float:
    """Fill kept and dropped factors of a row, probabilities included; return the log of what was taken out."""
    growth = 0.0
    for j in range(r):
        kept, dropped, log = _branches(sigma * theta[first + j])
        buf[at.scale + j] = kept * prob[first + j]
        buf[at.odds + j] = dropped * (1.0 - prob[first + j])
        growth += log
    return growth


@njit
def _independent_forward(buf: Any, at: Any, order: int, first: int, r: int, delta: Any) -> tuple[Any, Any]:
    """Run the chain left to right, storing what each entry finds; return its end and the end's tangent."""
    f = _splat(1.0), _splat(0.0)
    df = _splat(0.0), _splat(0.0)
    for j in range(r):
        qr, qi = _factor(buf, at, j)
        place = at.prefix + at.level * j
        _put(buf, place, f[0], f[1])
        drop = buf[at.odds + j]
        if order == 2:
            _put(buf, place + 2 * LANES, df[0], df[1])
            push = delta[first + j]
            xr, xi = _product(qr, qi, df[0] + f[0] * push, df[1] + f[1] * push)
            df = df[0] * drop + xr, df[1] * drop + xi
        xr, xi = _product(qr, qi, f[0], f[1])
        f = f[0] * drop + xr, f[1] * drop + xi
    return f, df


@njit
def _independent_backward(
    buf: Any, at: Any, order: int, first: int, r: int, delta: Any, g: Any, dg: Any, sigma: float, kh: Any
) -> None:
    """Run the chain right to left and add up the entry derivatives."""
    for j in range(r - 1, -1, -1):
        q = _get(buf, at.factor + 2 * LANES * j)
        f = _get(buf, at.prefix + at.level * j)
        drop = buf[at.odds + j]
        place = at.lanes + 2 * LANES * j
        y = _product(q[0], q[1], g[0], g[1])
        _store(buf, place, _load(buf, place) + (f[0] * y[0] - f[1] * y[1]))
        if order == 2:
            push = delta[first + j]
            dy = _product(q[0], q[1], dg[0] + g[0] * push, dg[1] + g[1] * push)
            df = _get(buf, at.prefix + at.level * j + 2 * LANES)
            _store(buf, place + LANES, _load(buf, place + LANES) + _second(f, df, y, dy, sigma, kh))
            dg = dg[0] * drop + dy[0], dg[1] * drop + dy[1]
        g = g[0] * drop + y[0], g[1] * drop + y[1]


@njit(parallel=True, cache=True, nogil=True)
def _independent_kernel(
    order: int,
    width: int,
    indptr: Any,
    theta: Any,
    offset: Any,
    prob: Any,
    bucket: Any,
    step: Any,
    sigma: Any,
    start: Any,
    w_re: Any,
    w_im: Any,
    delta: Any,
    delta0: Any,
    value: Any,
    d_theta: Any,
    d_offset: Any,
    dd_theta: Any,
    dd_offset: Any,
) -> None:
    """Evaluate all rows up to the derivative ``order`` (2: along ``delta``); arrays beyond it may be empty."""
    n = offset.size
    chunks = min(n, CHUNKS)
    for c in prange(chunks):
        at = _layout(order, width, 1)
        buf = _scratch(at.size)
        for i in range(c, n, chunks):
            b, first = bucket[i], indptr[i]
            r, count = indptr[i + 1] - first, start[b + 1] - start[b]
            push0 = delta0[i] if order == 2 else 0.0
            _prepare(buf, at, theta, first, r, offset[i], step[b])
            growth = sigma[b] * offset[i] + _independent_odds(buf, at, theta, prob, first, r, sigma[b])
            for k0 in range(0, count, LANES):
                e = _open_tile(buf, at, r, k0, w_re, w_im, start[b], count)
                f, df = _independent_forward(buf, at, order, first, r, delta)
                kh = (_ramp() + float(k0)) * step[b]
                g, dg = _close_tile(buf, at, order, r, e, f, df, sigma[b], kh, push0)
                if order > 0:
                    _independent_backward(buf, at, order, first, r, delta, g, dg, sigma[b], kh)
            _emit(buf, at, order, i, first, r, growth, value, d_theta, d_offset, dd_theta, dd_offset)


# ---------------------------------------------------------------------------------------------------------------------
# Groups that are uniform subsets
# ---------------------------------------------------------------------------------------------------------------------
# The chain of a group: having kept m of the l entries seen so far, the next is kept with probability (N - m)/(M - l).
# Reachable states are max(0, N - (M - l)) <= m <= min(l, N); there the probabilities are ratios of exact integers, so
# the forced moves come out as exactly 0 and 1.
#
# The growth exp(sigma u) is taken out of the chain so that the kept set where it is greatest, the main set, has factor
# 1 and all others less: exp(-tilt) per kept entry leaves only the main set's entries above 1, what they have above 1
# is divided out, and the last entry of the group, where the number kept is known, puts the tilts back.


@njit(forceinline=True)
def _reach(units: int, kept: int, seen: int) -> tuple[int, int]:
    """Return the least and the greatest number of kept entries after ``seen`` of a group."""
    return max(0, kept - (units - seen)), min(seen, kept)


@njit
def _subset_odds(
    buf: Any,
    at: Any,
    theta: Any,
    first: int,
    lo: int,
    hi: int,
    group_ptr: Any,
    units: Any,
    kept: Any,
    tilt: Any,
    main: Any,
    sigma: float,
) -> float:
    """Fill kept factors and the chain's probabilities for the groups lo:hi of a row; return the log taken out."""
    growth = 0.0
    for g in range(lo, hi):
        begin, last = group_ptr[g], group_ptr[g + 1] - 1
        growth += tilt[g] * main[g]
        for entry in range(begin, last + 1):
            scale, dropped, log = _branches(sigma * theta[entry] - tilt[g])
            buf[at.scale + entry - first] = scale
            growth += log
            low, high = _reach(units[g], kept[g], entry - begin)
            left = units[g] - (entry - begin)
            for m in range(low, high + 1):
                drop = dropped * (float(left - (kept[g] - m)) / float(left))
                keep = float(kept[g] - m) / float(left)
                # Only the possible moves: the factor of an impossible one may overflow, and 0 times infinity is NaN.
                if entry == last and drop > 0.0:
                    drop *= math.exp(tilt[g] * (m - main[g]))
                if entry == last and keep > 0.0:
                    keep *= math.exp(tilt[g] * (m + 1 - main[g]))
                place = at.odds + 2 * ((entry - first) * at.states + m)
                buf[place] = drop
                buf[place + 1] = keep
    return growth


@njit
def _subset_push(buf: Any, at: Any, j: int, low: int, high: int, grows: bool, push: float, dual: bool) -> None:
    """Carry the states low..high of the chain across entry j; ``grows`` when one more state becomes reachable."""
    qr, qi = _factor(buf, at, j)
    zero = _splat(0.0)
    carry, dcarry = (zero, zero), (zero, zero)
    source = at.prefix + at.level * j + at.slot * low
    odds = at.odds + 2 * (j * at.states + low)
    for _ in range(low, high + 1):
        drop, keep = buf[odds], buf[odds + 1]
        f = _get(buf, source)
        if dual:
            df = _get(buf, source + 2 * LANES)
            _put(buf, source + at.level + 2 * LANES, df[0] * drop + dcarry[0], df[1] * drop + dcarry[1])
            x = _product(qr, qi, df[0] + f[0] * push, df[1] + f[1] * push)
            dcarry = x[0] * keep, x[1] * keep
        _put(buf, source + at.level, f[0] * drop + carry[0], f[1] * drop + carry[1])
        x = _product(qr, qi, f[0], f[1])
        carry = x[0] * keep, x[1] * keep
        source += at.slot
        odds += 2
    if grows:
        _put(buf, source + at.level, carry[0], carry[1])
        if dual:
            _put(buf, source + at.level + 2 * LANES, dcarry[0], dcarry[1])


@njit
def _subset_forward(
    buf: Any, at: Any, order: int, first: int, lo: int, hi: int, group_ptr: Any, units: Any, kept: Any, delta: Any
) -> tuple[Any, Any]:
    """Run the chains of the groups left to right; return the end of the last and its tangent."""
    f = _splat(1.0), _splat(0.0)
    df = _splat(0.0), _splat(0.0)
    for g in range(lo, hi):
        begin, end = group_ptr[g], group_ptr[g + 1]
        place = at.prefix + at.level * (begin - first)
        _put(buf, place, f[0], f[1])
        if order == 2:
            _put(buf, place + 2 * LANES, df[0], df[1])
        for entry in range(begin, end):
            low, high = _reach(units[g], kept[g], entry - begin)
            grows = high < min(entry + 1 - begin, kept[g])
            push = delta[entry] if order == 2 else 0.0
            _subset_push(buf, at, entry - first, low, high, grows, push, order == 2)
        low, high = _reach(units[g], kept[g], end - begin)
        place = at.prefix + at.level * (end - first) + at.slot * low
        f = _get(buf, place)
        if order == 2:
            df = _get(buf, place + 2 * LANES)
        for _ in range(low, high):
            place += at.slot
            x = _get(buf, place)
            f = f[0] + x[0], f[1] + x[1]
            if order == 2:
                x = _get(buf, place + 2 * LANES)
                df = df[0] + x[0], df[1] + x[1]
    return f, df


@njit
def _subset_pull(buf: Any, at: Any, j: int, low: int, high: int, push: float, dual: bool, sigma: float, kh: Any) -> None:
    """Carry the suffixes across entry j, right to left and in place, and add up the entry's derivatives."""
    q = _get(buf, at.factor + 2 * LANES * j)
    place = at.lanes + 2 * LANES * j
    sum1, sum2 = _load(buf, place), _load(buf, place + LANES)
    here = at.suffix + at.slot * low
    prefix = at.prefix + at.level * j + at.slot * low
    odds = at.odds + 2 * (j * at.states + low)
    g = _get(buf, here)
    dg = _get(buf, here + at.slot - 2 * LANES)  # the tangent, or the value again when there is none
    for _ in range(low, high + 1):
        drop, keep = buf[odds], buf[odds + 1]
        f = _get(buf, prefix)
        above = _get(buf, here + at.slot)
        y = _product(q[0], q[1], above[0] * keep, above[1] * keep)
        sum1 = sum1 + (f[0] * y[0] - f[1] * y[1])
        _put(buf, here, g[0] * drop + y[0], g[1] * drop + y[1])
        if dual:
            dabove = _get(buf, here + at.slot + 2 * LANES)
            x = dabove[0] + above[0] * push, dabove[1] + above[1] * push
            dy = _product(q[0], q[1], x[0] * keep, x[1] * keep)
            df = _get(buf, prefix + 2 * LANES)
            sum2 = sum2 + _second(f, df, y, dy, sigma, kh)
            _put(buf, here + 2 * LANES, dg[0] * drop + dy[0], dg[1] * drop + dy[1])
            dg = dabove
        g = above
        here += at.slot
        prefix += at.slot
        odds += 2
    _store(buf, place, sum1)
    if dual:
        _store(buf, place + LANES, sum2)


@njit
def _subset_backward(
    buf: Any,
    at: Any,
    order: int,
    first: int,
    lo: int,
    hi: int,
    group_ptr: Any,
    units: Any,
    kept: Any,
    delta: Any,
    g: Any,
    dg: Any,
    sigma: float,
    kh: Any,
) -> None:
    """Run the chains of the groups right to left and add up the entry derivatives."""
    for group in range(hi - 1, lo - 1, -1):
        begin, end = group_ptr[group], group_ptr[group + 1]
        # One state more than is reachable: it is read with probability 0, and 0 times stale memory may be NaN.
        for m in range(min(end - begin, kept[group]) + 2):
            place = at.suffix + at.slot * m
            _put(buf, place, g[0], g[1])
            if order == 2:
                _put(buf, place + 2 * LANES, dg[0], dg[1])
        for entry in range(end - 1, begin - 1, -1):
            low, high = _reach(units[group], kept[group], entry - begin)
            push = delta[entry] if order == 2 else 0.0
            _subset_pull(buf, at, entry - first, low, high, push, order == 2, sigma, kh)
        g = _get(buf, at.suffix)
        if order == 2:
            dg = _get(buf, at.suffix + 2 * LANES)


@njit(parallel=True, cache=True, nogil=True)
def _subset_kernel(
    order: int,
    width: int,
    states: int,
    indptr: Any,
    theta: Any,
    offset: Any,
    row_group_ptr: Any,
    group_ptr: Any,
    units: Any,
    kept: Any,
    tilt: Any,
    main: Any,
    bucket: Any,
    step: Any,
    sigma: Any,
    start: Any,
    w_re: Any,
    w_im: Any,
    delta: Any,
    delta0: Any,
    value: Any,
    d_theta: Any,
    d_offset: Any,
    dd_theta: Any,
    dd_offset: Any,
) -> None:
    """Evaluate all rows up to the derivative ``order`` (2: along ``delta``); arrays beyond it may be empty."""
    n = offset.size
    chunks = min(n, CHUNKS)
    for c in prange(chunks):
        at = _layout(order, width, states)
        buf = _scratch(at.size)
        for i in range(c, n, chunks):
            b, first, lo, hi = bucket[i], indptr[i], row_group_ptr[i], row_group_ptr[i + 1]
            r, count = indptr[i + 1] - first, start[b + 1] - start[b]
            push0 = delta0[i] if order == 2 else 0.0
            _prepare(buf, at, theta, first, r, offset[i], step[b])
            growth = _subset_odds(buf, at, theta, first, lo, hi, group_ptr, units, kept, tilt, main, sigma[b])
            growth += sigma[b] * offset[i]
            for k0 in range(0, count, LANES):
                e = _open_tile(buf, at, r, k0, w_re, w_im, start[b], count)
                f, df = _subset_forward(buf, at, order, first, lo, hi, group_ptr, units, kept, delta)
                kh = (_ramp() + float(k0)) * step[b]
                g, dg = _close_tile(buf, at, order, r, e, f, df, sigma[b], kh, push0)
                if order > 0:
                    _subset_backward(buf, at, order, first, lo, hi, group_ptr, units, kept, delta, g, dg, sigma[b], kh)
            _emit(buf, at, order, i, first, r, growth, value, d_theta, d_offset, dd_theta, dd_offset)


# ---------------------------------------------------------------------------------------------------------------------
# What the package calls
# ---------------------------------------------------------------------------------------------------------------------

# numba's fallback threading layer aborts the process when two Python threads start parallel kernels at once.
_one_at_a_time = threading.Lock()
_SMALL = 300_000  # nodes times entries times states, about 0.4 ms: below it, waking other threads costs more than it saves


def _run(kernel: Any, work: float, *arguments: Any) -> None:
    """Run a kernel, on one thread when there is little to do."""
    with _one_at_a_time:
        threads = get_num_threads()
        try:
            if work < _SMALL:
                set_num_threads(1)
            kernel(*arguments)
        finally:
            set_num_threads(threads)


def _floats(name: str, array: Any, size: int) -> np.ndarray:
    """Return ``array`` as numba was compiled for it: contiguous, writable doubles, ``size`` of them."""
    result = np.require(array, np.float64, ["C", "A", "W"])
    if result.shape != (size,):
        raise ValueError(f"{name} has shape {result.shape}, but it must be ({size},)")
    return result


def _pointers(name: str, array: Any, last: int) -> np.ndarray:
    """Return ``array`` as row pointers: int64, from 0 up to ``last``, never decreasing."""
    result = np.require(array, np.int64, ["C", "A", "W"])
    if result.ndim != 1 or result.size == 0 or result[0] != 0 or result[-1] != last or np.any(np.diff(result) < 0):
        raise ValueError(f"{name} must be a non-decreasing vector of pointers from 0 to {last}")
    return result


def _rows(indptr: Any, theta: Any, offset: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check and convert what describes the rows."""
    count = np.shape(indptr)[0] - 1
    values = _floats("theta", theta, np.size(theta))
    return _pointers("indptr", indptr, values.size), values, _floats("offset", offset, count)


def _sums(bucket: Any, nodes: Nodes, rows: int) -> tuple[np.ndarray, ...]:
    """Check and convert the exponential sums and the rows' choice of them."""
    sums = np.size(nodes.step)
    choice = np.require(bucket, np.int64, ["C", "A", "W"])
    if choice.shape != (rows,) or (rows and (choice.min() < 0 or choice.max() >= sums)):
        raise ValueError(f"bucket must hold, for each of {rows} rows, a number from 0 to {sums - 1}")
    w_re = _floats("w_re", nodes.w_re, np.size(nodes.w_re))
    start = _pointers("start", nodes.start, w_re.size)
    if start.size != sums + 1:
        raise ValueError(f"start has {start.size} entries, but {sums} sums need {sums + 1}")
    step, sigma = _floats("step", nodes.step, sums), _floats("sigma", nodes.sigma, sums)
    return choice, step, sigma, start, w_re, _floats("w_im", nodes.w_im, w_re.size)


def _results(order: int, rows: int, entries: int) -> tuple[np.ndarray, ...]:
    """Allocate value, first derivatives and second derivatives; those beyond ``order`` are empty."""
    sizes = (rows, entries, rows, entries, rows)
    return tuple(np.empty(size if i <= 2 * order else 0) for i, size in enumerate(sizes))


def _direction(order: int, delta: Any, delta0: Any, rows: int, entries: int) -> tuple[np.ndarray, np.ndarray]:
    """Check and convert a direction; empty where none is asked for."""
    if order < 2:
        return np.empty(0), np.empty(0)
    return _floats("delta", delta, entries), _floats("delta0", delta0, rows)


def _sizes(indptr: np.ndarray, bucket: np.ndarray, start: np.ndarray) -> tuple[int, int]:
    """Return the length of the longest row, and nodes times entries over all rows."""
    length = np.diff(indptr)
    return int(length.max(initial=0)), int((length + 1) @ np.diff(start)[bucket])


def _tilts(growth: np.ndarray, group_ptr: np.ndarray, units: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, ...]:
    """Find what to take out per kept entry of each group, and how many entries the main kept set has.

    Parameters
    ----------
    growth : array, shape (nnz,)
        Log of what keeping an entry multiplies ``exp(sigma u)`` by.
    group_ptr, units, kept
        As in :class:`Groups`.

    Returns
    -------
    tilt : array, shape (G,)
        A number between the growths of the entries in the main set and of those outside.
    main : integer array, shape (G,)
        Size of that set: the entries that grow, or the nearest number that the group can keep.
    """
    length = np.diff(group_ptr)
    tilt, main = np.zeros(length.size), np.zeros(length.size, dtype=np.int64)
    if not growth.any():
        return tilt, main
    group = np.repeat(np.arange(length.size), length)
    descending = growth[np.lexsort((-growth, group))]
    grows = np.bincount(group[growth > 0], minlength=length.size)
    main = np.clip(grows, np.maximum(0, kept - (units - length)), np.minimum(length, kept))
    short = main != grows
    tilt[short] = descending[(group_ptr[:-1] + np.maximum(main, 1) - 1)[short]]
    return tilt, main


def _independent(
    order: int,
    indptr: Any,
    theta: Any,
    offset: Any,
    prob: Any,
    bucket: Any,
    nodes: Nodes,
    delta: Any = None,
    delta0: Any = None,
) -> tuple[np.ndarray, ...]:
    """Run the independent kernel up to a derivative order."""
    indptr, theta, offset = _rows(indptr, theta, offset)
    prob = _floats("prob", prob, theta.size)
    if not np.all((prob >= 0) & (prob <= 1)):
        raise ValueError("prob must hold probabilities from 0 to 1")
    sums = _sums(bucket, nodes, offset.size)
    along = _direction(order, delta, delta0, offset.size, theta.size)
    results = _results(order, offset.size, theta.size)
    width, work = _sizes(indptr, sums[0], sums[3])
    _run(_independent_kernel, work, order, width, indptr, theta, offset, prob, *sums, *along, *results)
    return results


def _subset(
    order: int,
    indptr: Any,
    theta: Any,
    offset: Any,
    groups: Groups,
    bucket: Any,
    nodes: Nodes,
    delta: Any = None,
    delta0: Any = None,
) -> tuple[np.ndarray, ...]:
    """Run the subset kernel up to a derivative order."""
    indptr, theta, offset = _rows(indptr, theta, offset)
    group_ptr = _pointers("group_ptr", groups.group_ptr, theta.size)
    row_group_ptr = _pointers("row_group_ptr", groups.row_group_ptr, group_ptr.size - 1)
    units, kept = (np.require(array, np.int64, ["C", "A", "W"]) for array in (groups.units, groups.kept))
    if row_group_ptr.size != indptr.size or not np.array_equal(group_ptr[row_group_ptr], indptr):
        raise ValueError("the groups of a row must hold exactly the entries of that row")
    length = np.diff(group_ptr)
    if units.shape != length.shape or kept.shape != length.shape:
        raise ValueError(f"units and kept must have one number for each of {length.size} groups")
    if np.any((kept < 0) | (kept > units) | (length > units)):
        raise ValueError("a group must keep from 0 to all of its units, and hold no more entries than units")
    states = int(np.minimum(length, kept).max(initial=0)) + 1
    sums = _sums(bucket, nodes, offset.size)
    along = _direction(order, delta, delta0, offset.size, theta.size)
    results = _results(order, offset.size, theta.size)
    sigma = np.repeat(sums[2][sums[0]], np.diff(indptr))
    law = (row_group_ptr, group_ptr, units, kept, *_tilts(sigma * theta, group_ptr, units, kept))
    width, work = _sizes(indptr, sums[0], sums[3])
    _run(_subset_kernel, work * states, order, width, states, indptr, theta, offset, *law, *sums, *along, *results)
    return results


def independent_value(
    indptr: np.ndarray, theta: np.ndarray, offset: np.ndarray, prob: np.ndarray, bucket: np.ndarray, nodes: Nodes
) -> np.ndarray:
    """Evaluate the rows' expectations when entries are kept independently.

    Parameters
    ----------
    indptr : integer array, shape (n + 1,)
        Row i holds the entries ``indptr[i]:indptr[i + 1]``.
    theta : array, shape (nnz,)
        What an entry adds to the row's u when it is kept.
    offset : array, shape (n,)
        What the row's u is when nothing is kept.
    prob : array, shape (nnz,)
        Probability of keeping each entry.
    bucket : integer array, shape (n,)
        Which of the sums in ``nodes`` each row uses.
    nodes : Nodes
        The exponential sums.

    Returns
    -------
    value : array, shape (n,)
        ``Re sum_k w_k E exp(s_k u_i)``.
    """
    return _independent(0, indptr, theta, offset, prob, bucket, nodes)[0]


def independent_gradient(
    indptr: np.ndarray, theta: np.ndarray, offset: np.ndarray, prob: np.ndarray, bucket: np.ndarray, nodes: Nodes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evaluate value and first derivatives when entries are kept independently.

    Parameters
    ----------
    indptr, theta, offset, prob, bucket, nodes
        As in :func:`independent_value`.

    Returns
    -------
    value : array, shape (n,)
        The rows' expectations.
    d_theta : array, shape (nnz,)
        Derivative of an entry's row value in that entry of ``theta``.
    d_offset : array, shape (n,)
        Derivative in ``offset``.
    """
    value, d_theta, d_offset, _, _ = _independent(1, indptr, theta, offset, prob, bucket, nodes)
    return value, d_theta, d_offset


def independent_curvature(
    indptr: np.ndarray,
    theta: np.ndarray,
    offset: np.ndarray,
    prob: np.ndarray,
    bucket: np.ndarray,
    nodes: Nodes,
    delta: np.ndarray,
    delta0: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Evaluate value, first derivatives and their change along a direction when entries are kept independently.

    Parameters
    ----------
    indptr, theta, offset, prob, bucket, nodes
        As in :func:`independent_value`.
    delta : array, shape (nnz,)
        Direction in ``theta``.
    delta0 : array, shape (n,)
        Direction in ``offset``.

    Returns
    -------
    value, d_theta, d_offset
        As from :func:`independent_gradient`.
    dd_theta : array, shape (nnz,)
        Derivative of ``d_theta`` along the direction.
    dd_offset : array, shape (n,)
        Derivative of ``d_offset`` along the direction.
    """
    value, d_theta, d_offset, dd_theta, dd_offset = _independent(
        2, indptr, theta, offset, prob, bucket, nodes, delta, delta0
    )
    return value, d_theta, d_offset, dd_theta, dd_offset


def subset_value(
    indptr: np.ndarray, theta: np.ndarray, offset: np.ndarray, groups: Groups, bucket: np.ndarray, nodes: Nodes
) -> np.ndarray:
    """Evaluate the rows' expectations when groups of entries belong to uniform subsets.

    Scratch memory is, per thread and in doubles, about 16 times the longest row times the most states of a chain
    (1 + the least of entries and kept units of a group); without derivatives it does not grow with their product.

    Parameters
    ----------
    indptr, theta, offset, bucket, nodes
        As in :func:`independent_value`.
    groups : Groups
        The groups of every row and the subset each belongs to.

    Returns
    -------
    value : array, shape (n,)
        ``Re sum_k w_k E exp(s_k u_i)``.
    """
    return _subset(0, indptr, theta, offset, groups, bucket, nodes)[0]


def subset_gradient(
    indptr: np.ndarray, theta: np.ndarray, offset: np.ndarray, groups: Groups, bucket: np.ndarray, nodes: Nodes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evaluate value and first derivatives when groups of entries belong to uniform subsets.

    Parameters
    ----------
    indptr, theta, offset, groups, bucket, nodes
        As in :func:`subset_value`.

    Returns
    -------
    value, d_theta, d_offset
        As from :func:`independent_gradient`.
    """
    value, d_theta, d_offset, _, _ = _subset(1, indptr, theta, offset, groups, bucket, nodes)
    return value, d_theta, d_offset


def subset_curvature(
    indptr: np.ndarray,
    theta: np.ndarray,
    offset: np.ndarray,
    groups: Groups,
    bucket: np.ndarray,
    nodes: Nodes,
    delta: np.ndarray,
    delta0: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Evaluate value, first derivatives and their change along a direction for groups that are uniform subsets.

    Parameters
    ----------
    indptr, theta, offset, groups, bucket, nodes
        As in :func:`subset_value`.
    delta, delta0
        As in :func:`independent_curvature`.

    Returns
    -------
    value, d_theta, d_offset, dd_theta, dd_offset
        As from :func:`independent_curvature`.
    """
    value, d_theta, d_offset, dd_theta, dd_offset = _subset(2, indptr, theta, offset, groups, bucket, nodes, delta, delta0)
    return value, d_theta, d_offset, dd_theta, dd_offset
