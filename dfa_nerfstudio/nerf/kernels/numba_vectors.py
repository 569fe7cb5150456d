"""The bilinear blend of four rows of a table, and its gradient, as vector instructions, which numba does not find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from dfa_nerfstudio.nerf.kernels import VECTOR

_FEATURES = ir.VectorType(ir.FloatType(), VECTOR)
_FAST = ("contract", "reassoc", "nsz")
_SIGNATURE = types.void(types.int64, types.int64, types.int64, types.float32, types.float32, types.int64)


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _FEATURES.as_pointer())


def _load(builder: Any, address: Any) -> Any:
    return builder.load(_pointer(builder, address), align=VECTOR)


def _repeated(builder: Any, number: Any) -> Any:
    empty, integer = ir.Constant(_FEATURES, ir.Undefined), ir.IntType(32)
    one = builder.insert_element(empty, number, ir.Constant(integer, 0))
    return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(integer, VECTOR), [0] * VECTOR))


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

        def blend(low: Any, high: Any, place: Any) -> Any:
            step = builder.fmul(place, builder.fsub(high, low, flags=_FAST), flags=_FAST)
            return builder.fadd(low, step, flags=_FAST)

        x, y, above = _repeated(builder, along_x), _repeated(builder, along_y), builder.add(source, to_next)
        low = blend(_load(builder, source), _load(builder, builder.add(source, to_right)), x)
        high = blend(_load(builder, above), _load(builder, builder.add(above, to_right)), x)
        builder.store(blend(low, high, y), _pointer(builder, target), align=VECTOR)
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
        x, y = _repeated(builder, along_x), _repeated(builder, along_y)
        whole = _load(builder, source)
        above = builder.fmul(whole, y, flags=_FAST)
        for row, values in ((target, builder.fsub(whole, above, flags=_FAST)), (builder.add(target, to_next), above)):
            right = builder.fmul(values, x, flags=_FAST)
            left = builder.fsub(values, right, flags=_FAST)
            for address, added in ((row, left), (builder.add(row, to_right), right)):
                total = builder.fadd(_load(builder, address), added, flags=_FAST)
                builder.store(total, _pointer(builder, address), align=VECTOR)
        return context.get_dummy_value()

    return _SIGNATURE, generate


blend_rows: Callable[..., None] = intrinsic(_blend_rows)
"""See `_blend_rows`, whose first argument numba supplies."""
spread_rows: Callable[..., None] = intrinsic(_spread_rows)
"""See `_spread_rows`, whose first argument numba supplies."""
