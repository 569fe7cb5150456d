"""Grids read by one fused Triton kernel, forward and backward; compiled on first use, by Triton itself.

Import it only where triton is there. With `TRITON_INTERPRET=1` in the environment the kernels run on a CPU, slowly,
which is how the tests compare them with the reference.
"""

# Kernels are written in Triton's language: Python to the eye, but its types are not Python's.
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
"""Points a program reads."""

_PRIME_Y, _PRIME_Z = tl.constexpr(PRIMES[1]), tl.constexpr(PRIMES[2])


def encode(
    points: Float[Tensor, "grids n dims"], table: Float[Tensor, "grids entries features"], layout: GridLayout
) -> Float[Tensor, "n out"]:
    """As `torch_grid.encode`, in fp32."""
    return _Encode.apply(points.float().contiguous(), table.float().contiguous(), layout)


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, table: Tensor, layout: GridLayout) -> Tensor:
        grids, count, _ = points.shape
        out = points.new_empty(count, layout.levels * grids * layout.features)
        levels = levels_of(layout, points.device)
        ctx.save_for_backward(points, table, *levels)
        ctx.layout = layout
        if count:
            _forward[(triton.cdiv(count, _BLOCK), grids * layout.levels)](
                points, table, out, *levels, count, grids, layout.entries, **_shape(layout)
            )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        points, table, *levels = ctx.saved_tensors
        layout, (grids, count, _) = ctx.layout, points.shape
        wants_points, wants_table, _ = ctx.needs_input_grad
        to_points, to_table = torch.zeros_like(points), torch.zeros_like(table)
        if count:
            _backward[(triton.cdiv(count, _BLOCK), grids * layout.levels)](
                points,
                table,
                gradients[0].contiguous(),
                to_points,
                to_table,
                *levels,
                count,
                grids,
                layout.entries,
                TO_POINTS=wants_points,
                TO_TABLE=wants_table,
                **_shape(layout),
            )
        return to_points if wants_points else None, to_table if wants_table else None, None


@lru_cache
def levels_of(layout: GridLayout, device: torch.device) -> tuple[Tensor, Tensor]:
    """What the kernels look up about a level: [levels] scale, [levels, 4] resolution, offset, entries, dense."""
    numbers = [(level.resolution, level.offset, level.entries, int(level.dense)) for level in layout.table]
    scales = torch.tensor([level.scale for level in layout.table], device=device, dtype=torch.float32)
    return scales, torch.tensor(numbers, device=device, dtype=torch.int32)


def _shape(layout: GridLayout) -> dict[str, int]:
    return {"DIMS": layout.dims, "FEATURES": layout.features, "BLOCK": _BLOCK}


@triton.jit
def row_of(x, y, z, resolution, entries, dense, DIMS: tl.constexpr):
    """Row of a vertex within its level; the remainder is taken unsigned, as the hash may use all 32 bits."""
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
def _place(points, grid, index, inside, axis: tl.constexpr, count, scale, DIMS: tl.constexpr):
    """Lower vertex and fraction along an axis."""
    coordinate = tl.load(points + (grid * count + index) * DIMS + axis, mask=inside, other=0.0)
    position = coordinate * scale + 0.5
    lower = tl.floor(position)
    return lower.to(tl.int32), position - lower


@triton.jit
def level_of(scales, numbers, level):
    """Scale, resolution, offset, entries and whether it is dense."""
    numbers += 4 * level
    return tl.load(scales + level), tl.load(numbers), tl.load(numbers + 1), tl.load(numbers + 2), tl.load(numbers + 3)


@triton.jit
def _cell(points, grid, index, inside, count, scale, DIMS: tl.constexpr):
    """Lower vertex and fractions along x, y and z; in two dimensions z stands for nothing."""
    x, fx = _place(points, grid, index, inside, 0, count, scale, DIMS)
    y, fy = _place(points, grid, index, inside, 1, count, scale, DIMS)
    z, fz = x, fx
    if DIMS == 3:
        z, fz = _place(points, grid, index, inside, 2, count, scale, DIMS)
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
    scale, resolution, offset, entries, dense = level_of(scales, numbers, level)
    feature = tl.arange(0, FEATURES)
    rows = table + (grid * entries_of_grid + offset) * FEATURES

    x, y, z, fx, fy, fz = _cell(points, grid, index, inside, count, scale, DIMS)
    total = tl.zeros([BLOCK, FEATURES], dtype=tl.float32)
    for corner in tl.static_range(1 << DIMS):
        cx, cy, cz = corner & 1, corner >> 1 & 1, corner >> 2
        weight = (fx if cx else 1 - fx) * (fy if cy else 1 - fy)
        if DIMS == 3:
            weight *= fz if cz else 1 - fz
        row = row_of(x + cx, y + cy, z + cz, resolution, entries, dense, DIMS)
        value = tl.load(rows + row[:, None] * FEATURES + feature[None, :], mask=inside[:, None], other=0.0)
        total += weight[:, None] * value
    levels_and_grids = tl.num_programs(1)
    place = (index[:, None] * levels_and_grids + tl.program_id(1)) * FEATURES + feature[None, :]
    tl.store(out + place, total, mask=inside[:, None])


@triton.jit
def _backward(
    points,  # [grids, n, DIMS]
    table,  # [grids, entries, FEATURES]
    gradient,  # [n, levels, grids, FEATURES]
    to_points,  # [grids, n, DIMS], zeros
    to_table,  # [grids, entries, FEATURES], zeros
    scales,  # [levels]
    numbers,  # [levels, 4]
    count,
    grids,
    entries_of_grid,
    TO_POINTS: tl.constexpr,
    TO_TABLE: tl.constexpr,
    DIMS: tl.constexpr,
    FEATURES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    level, grid = tl.program_id(1) // grids, tl.program_id(1) % grids
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < count
    scale, resolution, offset, entries, dense = level_of(scales, numbers, level)
    feature = tl.arange(0, FEATURES)
    first_row = (grid * entries_of_grid + offset) * FEATURES
    place = (index[:, None] * tl.num_programs(1) + tl.program_id(1)) * FEATURES + feature[None, :]
    arriving = tl.load(gradient + place, mask=inside[:, None], other=0.0)  # [BLOCK, FEATURES]

    x, y, z, fx, fy, fz = _cell(points, grid, index, inside, count, scale, DIMS)
    dx, dy, dz = tl.zeros_like(fx), tl.zeros_like(fx), tl.zeros_like(fx)
    for corner in tl.static_range(1 << DIMS):
        cx, cy, cz = corner & 1, corner >> 1 & 1, corner >> 2
        wx, wy, wz = (fx if cx else 1 - fx), (fy if cy else 1 - fy), tl.full(fx.shape, 1.0, tl.float32)
        if DIMS == 3:
            wz = fz if cz else 1 - fz
        row = row_of(x + cx, y + cy, z + cz, resolution, entries, dense, DIMS)
        cells = first_row + row[:, None] * FEATURES + feature[None, :]
        if TO_TABLE:
            tl.atomic_add(to_table + cells, (wx * wy * wz)[:, None] * arriving, mask=inside[:, None])
        if TO_POINTS:
            value = tl.sum(tl.load(table + cells, mask=inside[:, None], other=0.0) * arriving, axis=1)
            dx += (value if cx else -value) * wy * wz
            dy += (value if cy else -value) * wx * wz
            dz += (value if cz else -value) * wx * wy
    if TO_POINTS:
        target = to_points + (grid * count + index) * DIMS
        tl.atomic_add(target, dx * scale, mask=inside)
        tl.atomic_add(target + 1, dy * scale, mask=inside)
        if DIMS == 3:
            tl.atomic_add(target + 2, dz * scale, mask=inside)
