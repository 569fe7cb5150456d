"""The bilinear blend of four rows of a table, and its gradient, as vector instructions, which numba does not find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from dfa_nerfstudio.nerf.kernels import VECTOR

_FEATURES, _PAIR = (ir.VectorType(ir.FloatType(), size) for size in (VECTOR, 2 * VECTOR))
_FAST = ("contract", "reassoc", "nsz")
_SIGNATURE = types.void(types.int64, types.int64, types.int64, types.float32, types.float32, types.int64)
_PAIR_SIGNATURE = types.void(types.int64, types.int64, types.float32, types.float32, types.int64)


def _pointer(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _load(builder: Any, address: Any, kind: Any) -> Any:
    return builder.load(_pointer(builder, address, kind), align=VECTOR)


def _shuffled(builder: Any, first: Any, second: Any, places: list[int]) -> Any:
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))


def _repeated(builder: Any, number: Any, kind: Any) -> Any:
    empty = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
    return _shuffled(builder, one, empty, [0] * kind.count)


def _halves(builder: Any, pair: Any) -> tuple[Any, Any]:
    first, second = list(range(VECTOR)), list(range(VECTOR, 2 * VECTOR))
    return _shuffled(builder, pair, pair, first), _shuffled(builder, pair, pair, second)


def _joined(builder: Any, first: Any, second: Any) -> Any:
    return _shuffled(builder, first, second, list(range(2 * VECTOR)))


def _blend(builder: Any, low: Any, high: Any, place: Any) -> Any:
    step = builder.fmul(place, builder.fsub(high, low, flags=_FAST), flags=_FAST)
    return builder.fadd(low, step, flags=_FAST)


def _blend_rows(typingctx, source, to_right, to_next, along_x, along_y, target):
    """Writes the blend of the `VECTOR` features at `source` and at its neighbours to `target`.

    Args:
        typingctx: numba's.
        source: address of the first row.
        to_right: bytes from a row to the next in x.
        to_next: bytes from a row to the next in y.
        along_x: place between the rows in x, 0 to 1.
        along_y: place between the rows in y, 0 to 1.
        target: address of the result.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, to_right, to_next, along_x, along_y, target = arguments
        x, y = (_repeated(builder, place, _FEATURES) for place in (along_x, along_y))

        def blended(row: Any) -> Any:
            left, right = (_load(builder, place, _FEATURES) for place in (row, builder.add(row, to_right)))
            return _blend(builder, left, right, x)

        result = _blend(builder, blended(source), blended(builder.add(source, to_next)), y)
        builder.store(result, _pointer(builder, target, _FEATURES), align=VECTOR)
        return context.get_dummy_value()

    return _SIGNATURE, generate


def _spread_rows(typingctx, target, to_right, to_next, along_x, along_y, source):
    """Adds the `VECTOR` numbers at `source` to the row at `target` and its neighbours, weighted as in `blend_rows`.

    Args:
        typingctx: numba's.
        target: address of the first row.
        to_right: bytes from a row to the next in x.
        to_next: bytes from a row to the next in y.
        along_x: place between the rows in x, 0 to 1.
        along_y: place between the rows in y, 0 to 1.
        source: address of the numbers.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, to_right, to_next, along_x, along_y, source = arguments
        x, y = (_repeated(builder, place, _FEATURES) for place in (along_x, along_y))
        whole = _load(builder, source, _FEATURES)
        above = builder.fmul(whole, y, flags=_FAST)
        for row, values in ((target, builder.fsub(whole, above, flags=_FAST)), (builder.add(target, to_next), above)):
            right = builder.fmul(values, x, flags=_FAST)
            left = builder.fsub(values, right, flags=_FAST)
            for address, added in ((row, left), (builder.add(row, to_right), right)):
                total = builder.fadd(_load(builder, address, _FEATURES), added, flags=_FAST)
                builder.store(total, _pointer(builder, address, _FEATURES), align=VECTOR)
        return context.get_dummy_value()

    return _SIGNATURE, generate


def _blend_pairs(typingctx, source, to_next, along_x, along_y, target):
    """`_blend_rows` for rows of `VECTOR` features: a row and its neighbour in x are read at once.

    Args:
        typingctx: numba's.
        source: address of the first row.
        to_next: bytes from a row to the next in y.
        along_x: place between the rows in x, 0 to 1.
        along_y: place between the rows in y, 0 to 1.
        target: address of the result.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, to_next, along_x, along_y, target = arguments
        low, high = (_load(builder, row, _PAIR) for row in (source, builder.add(source, to_next)))
        both = _blend(builder, low, high, _repeated(builder, along_y, _PAIR))
        left, right = _halves(builder, both)
        result = _blend(builder, left, right, _repeated(builder, along_x, _FEATURES))
        builder.store(result, _pointer(builder, target, _FEATURES), align=VECTOR)
        return context.get_dummy_value()

    return _PAIR_SIGNATURE, generate


def _spread_pairs(typingctx, target, to_next, along_x, along_y, source):
    """`_spread_rows` for rows of `VECTOR` features: a row and its neighbour in x are written at once.

    Args:
        typingctx: numba's.
        target: address of the first row.
        to_next: bytes from a row to the next in y.
        along_x: place between the rows in x, 0 to 1.
        along_y: place between the rows in y, 0 to 1.
        source: address of the numbers.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, to_next, along_x, along_y, source = arguments
        whole = _load(builder, source, _FEATURES)
        right = builder.fmul(whole, _repeated(builder, along_x, _FEATURES), flags=_FAST)
        both = _joined(builder, builder.fsub(whole, right, flags=_FAST), right)
        above = builder.fmul(both, _repeated(builder, along_y, _PAIR), flags=_FAST)
        for row, added in (
            (target, builder.fsub(both, above, flags=_FAST)),
            (builder.add(target, to_next), above),
        ):
            total = builder.fadd(_load(builder, row, _PAIR), added, flags=_FAST)
            builder.store(total, _pointer(builder, row, _PAIR), align=VECTOR)
        return context.get_dummy_value()

    return _PAIR_SIGNATURE, generate


blend_rows: Callable[..., None] = intrinsic(_blend_rows)
"""See `_blend_rows`, whose first argument numba supplies."""
spread_rows: Callable[..., None] = intrinsic(_spread_rows)
"""See `_spread_rows`, whose first argument numba supplies."""
blend_pairs: Callable[..., None] = intrinsic(_blend_pairs)
"""See `_blend_pairs`, whose first argument numba supplies."""
spread_pairs: Callable[..., None] = intrinsic(_spread_pairs)
"""See `_spread_pairs`, whose first argument numba supplies."""
