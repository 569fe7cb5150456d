"""Grid lookup by one fused Triton kernel, forward and backward, which Triton compiles at first use.

Import this module only where Triton is installed. With `TRITON_INTERPRET=1` in the environment the kernels run on a
CPU, slowly; the tests compare them with the reference that way.
"""

# Kernels are written in Triton's language, whose syntax is Python's and whose types are not.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from dfa_nerfstudio.nerf.encodings.grid_layout import PRIMES, GridLayout

_BLOCK = 128
"""Points per program."""

_PRIME_Y, _PRIME_Z = tl.constexpr(PRIMES[1]), tl.constexpr(PRIMES[2])


def encode(
    points: Float[Tensor, "grids n dims"], table: Float[Tensor, "grids entries features"], layout: GridLayout
) -> Float[Tensor, "n out"]:
    """Same as `torch_grid.encode`, in fp32."""
    return _Encode.apply(points.float().contiguous(), table.float().contiguous(), layout)


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, table: Tensor, layout: GridLayout) -> Tensor:
        grids, count, _ = points.shape
        out = points.new_empty(count, layout.num_levels * grids * layout.features_per_level)
        levels = level_tensors(layout, points.device)
        ctx.save_for_backward(points, table, *levels)
        ctx.layout = layout
        if count:
            _forward[(triton.cdiv(count, _BLOCK), grids * layout.num_levels)](
                points, table, out, *levels, count, grids, layout.entries, **_shape(layout)
            )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        points, table, *levels = ctx.saved_tensors
        layout, (grids, count, _) = ctx.layout, points.shape
        needs_points, needs_table, _ = ctx.needs_input_grad
        grad_points, grad_table = torch.zeros_like(points), torch.zeros_like(table)
        if count:
            _backward[(triton.cdiv(count, _BLOCK), grids * layout.num_levels)](
                points,
                table,
                gradients[0].contiguous(),
                grad_points,
                grad_table,
                *levels,
                count,
                grids,
                layout.entries,
                GRAD_POINTS=needs_points,
                GRAD_TABLE=needs_table,
                **_shape(layout),
            )
        return grad_points if needs_points else None, grad_table if needs_table else None, None


@lru_cache
def level_tensors(layout: GridLayout, device: torch.device) -> tuple[Tensor, Tensor]:
    """The levels as tensors for the kernels: [levels] scale, and [levels, 4] resolution, offset, entries, dense."""
    numbers = [(level.resolution, level.offset, level.entries, int(level.dense)) for level in layout.levels]
    scales = torch.tensor([level.scale for level in layout.levels], device=device, dtype=torch.float32)
    return scales, torch.tensor(numbers, device=device, dtype=torch.int32)


def _shape(layout: GridLayout) -> dict[str, int]:
    return {"DIMS": layout.dims, "FEATURES": layout.features_per_level, "BLOCK": _BLOCK}


@triton.jit
def table_row(x, y, z, resolution, entries, dense, DIMS: tl.constexpr):
    """Row of a vertex within its level; the remainder is unsigned, because the hash may use all 32 bits."""
    x, y, z = x.to(tl.uint32), y.to(tl.uint32), z.to(tl.uint32)
    if dense:
        row = x + y * resolution.to(tl.uint32)
        if DIMS == 3:
            row += z * resolution.to(tl.uint32) * resolution.to(tl.uint32)
    else:
        row = x ^ (y * _PRIME_Y)
        if DIMS == 3:
            row ^= z * _PRIME_Z
    return (row % entries.to(tl.uint32)).to(tl.int32)


@triton.jit
def _vertex(points, grid, index, inside, axis: tl.constexpr, count, scale, DIMS: tl.constexpr):
    """Lower vertex of a point's cell and the fraction beyond it, along an axis."""
    coordinate = tl.load(points + (grid * count + index) * DIMS + axis, mask=inside, other=0.0)
    position = coordinate * scale + 0.5
    lower = tl.floor(position)
    return lower.to(tl.int32), position - lower


@triton.jit
def load_level(scales, numbers, level):
    """Scale, resolution, offset, entries and density flag of a level."""
    numbers += 4 * level
    return tl.load(scales + level), tl.load(numbers), tl.load(numbers + 1), tl.load(numbers + 2), tl.load(numbers + 3)


@triton.jit
def _cell(points, grid, index, inside, count, scale, DIMS: tl.constexpr):
    """Lower vertex and fractions along x, y and z; in two dimensions z is not used."""
    x, fx = _vertex(points, grid, index, inside, 0, count, scale, DIMS)
    y, fy = _vertex(points, grid, index, inside, 1, count, scale, DIMS)
    z, fz = x, fx
    if DIMS == 3:
        z, fz = _vertex(points, grid, index, inside, 2, count, scale, DIMS)
    return x, y, z, fx, fy, fz


@triton.jit
def _forward(
    points,  # [grids, n, DIMS]
    table,  # [grids, entries, FEATURES]
    out,  # [n, levels, grids, FEATURES]
    scales,  # [levels]
    numbers,  # [levels, 4]
    count,
    grids,
    entries_of_grid,
    DIMS: tl.constexpr,
    FEATURES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    level, grid = tl.program_id(1) // grids, tl.program_id(1) % grids
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < count
    scale, resolution, offset, entries, dense = load_level(scales, numbers, level)
    feature = tl.arange(0, FEATURES)
    rows = table + (grid * entries_of_grid + offset) * FEATURES

    x, y, z, fx, fy, fz = _cell(points, grid, index, inside, count, scale, DIMS)
    total = tl.zeros([BLOCK, FEATURES], dtype=tl.float32)
    for corner in tl.static_range(1 << DIMS):
        cx, cy, cz = corner & 1, corner >> 1 & 1, corner >> 2
        weight = (fx if cx else 1 - fx) * (fy if cy else 1 - fy)
        if DIMS == 3:
            weight *= fz if cz else 1 - fz
        row = table_row(x + cx, y + cy, z + cz, resolution, entries, dense, DIMS)
        value = tl.load(rows + row[:, None] * FEATURES + feature[None, :], mask=inside[:, None], other=0.0)
        total += weight[:, None] * value
    levels_and_grids = tl.num_programs(1)
    target = (index[:, None] * levels_and_grids + tl.program_id(1)) * FEATURES + feature[None, :]
    tl.store(out + target, total, mask=inside[:, None])


@triton.jit
def _backward(
    points,  # [grids, n, DIMS]
    table,  # [grids, entries, FEATURES]
    grad_out,  # [n, levels, grids, FEATURES]
    grad_points,  # [grids, n, DIMS], zeros
    grad_table,  # [grids, entries, FEATURES], zeros
    scales,  # [levels]
    numbers,  # [levels, 4]
    count,
    grids,
    entries_of_grid,
    GRAD_POINTS: tl.constexpr,
    GRAD_TABLE: tl.constexpr,
    DIMS: tl.constexpr,
    FEATURES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    level, grid = tl.program_id(1) // grids, tl.program_id(1) % grids
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < count
    scale, resolution, offset, entries, dense = load_level(scales, numbers, level)
    feature = tl.arange(0, FEATURES)
    first_row = (grid * entries_of_grid + offset) * FEATURES
    source = (index[:, None] * tl.num_programs(1) + tl.program_id(1)) * FEATURES + feature[None, :]
    incoming = tl.load(grad_out + source, mask=inside[:, None], other=0.0)  # [BLOCK, FEATURES]

    x, y, z, fx, fy, fz = _cell(points, grid, index, inside, count, scale, DIMS)
    dx, dy, dz = tl.zeros_like(fx), tl.zeros_like(fx), tl.zeros_like(fx)
    for corner in tl.static_range(1 << DIMS):
        cx, cy, cz = corner & 1, corner >> 1 & 1, corner >> 2
        wx, wy, wz = (fx if cx else 1 - fx), (fy if cy else 1 - fy), tl.full(fx.shape, 1.0, tl.float32)
        if DIMS == 3:
            wz = fz if cz else 1 - fz
        row = table_row(x + cx, y + cy, z + cz, resolution, entries, dense, DIMS)
        cells = first_row + row[:, None] * FEATURES + feature[None, :]
        if GRAD_TABLE:
            tl.atomic_add(grad_table + cells, (wx * wy * wz)[:, None] * incoming, mask=inside[:, None])
        if GRAD_POINTS:
            value = tl.sum(tl.load(table + cells, mask=inside[:, None], other=0.0) * incoming, axis=1)
            dx += (value if cx else -value) * wy * wz
            dy += (value if cy else -value) * wx * wz
            dz += (value if cz else -value) * wx * wy
    if GRAD_POINTS:
        target = grad_points + (grid * count + index) * DIMS
        tl.atomic_add(target, dx * scale, mask=inside)
        tl.atomic_add(target + 1, dy * scale, mask=inside)
        if DIMS == 3:
            tl.atomic_add(target + 2, dz * scale, mask=inside)
