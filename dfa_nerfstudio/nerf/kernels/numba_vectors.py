"""The bilinear blend of four rows of a table, as vector instructions, which numba does not find by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

VECTOR = 4
"""Features that one instruction processes."""

_FEATURES = ir.VectorType(ir.FloatType(), VECTOR)
_FAST = ("contract", "reassoc", "nsz")


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
    address, number = types.int64, types.float32
    signature = types.void(address, address, address, number, number, address)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, to_right, to_next, along_x, along_y, target = arguments

        def load(address: Any) -> Any:
            return builder.load(builder.inttoptr(address, _FEATURES.as_pointer()), align=VECTOR)

        def repeated(number: Any) -> Any:
            empty, integer = ir.Constant(_FEATURES, ir.Undefined), ir.IntType(32)
            one = builder.insert_element(empty, number, ir.Constant(integer, 0))
            return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(integer, VECTOR), [0] * VECTOR))

        def blend(low: Any, high: Any, place: Any) -> Any:
            step = builder.fmul(place, builder.fsub(high, low, flags=_FAST), flags=_FAST)
            return builder.fadd(low, step, flags=_FAST)

        x, y, above = repeated(along_x), repeated(along_y), builder.add(source, to_next)
        low = blend(load(source), load(builder.add(source, to_right)), x)
        high = blend(load(above), load(builder.add(above, to_right)), x)
        pointer = builder.inttoptr(target, _FEATURES.as_pointer())
        builder.store(blend(low, high, y), pointer, align=VECTOR)
        return context.get_dummy_value()

    return signature, generate


blend_rows: Callable[..., None] = intrinsic(_blend_rows)
"""See `_blend_rows`, whose first argument numba supplies."""
