"""The kernel of `fused`: a block of rays from front to back, with the field asked on the way.

Import it only where triton is there; see `encodings.triton_grid`, whose lookups it shares.
"""

# Kernels are written in Triton's language: Python to the eye, but its types are not Python's.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportOptionalOperand=false, reportAttributeAccessIssue=false

from __future__ import annotations

import triton
import triton.language as tl

from dfa_nerfstudio.nerf.conditioned_field import FARTHEST, LEAN, SHUT
from dfa_nerfstudio.nerf.encodings.triton_grid import level_of, row_of

_LEAN, _FARTHEST, _SHUT = tl.constexpr(LEAN), tl.constexpr(FARTHEST), tl.constexpr(SHUT)


@triton.jit
def _along(vectors, inside, distance):
    origin, direction = tl.load(vectors, mask=inside, other=0.0), tl.load(vectors + 3, mask=inside, other=0.0)
    return origin + distance * direction


@triton.jit
def _at(vectors, ray, inside, distance):
    """`origin + distance direction`; vectors [R, 2, 3]."""
    vectors += 6 * ray
    x, y = _along(vectors, inside, distance), _along(vectors + 1, inside, distance)
    return x, y, _along(vectors + 2, inside, distance)


@triton.jit
def _features(
    table,
    numbers,
    scales,
    level,
    entries_of_grid,
    x,
    y,
    GRIDS: tl.constexpr,
    PLANES: tl.constexpr,
    FEATURES: tl.constexpr,
):
    """Features of one level in every plane, [BLOCK, GRIDS, FEATURES]; x and y [BLOCK, GRIDS] in [0, 1]."""
    scale, resolution, offset, entries, dense = level_of(scales, numbers, level)
    grid, feature = tl.arange(0, GRIDS), tl.arange(0, FEATURES)
    first = ((grid * entries_of_grid + offset) * FEATURES)[None, :]
    there = (grid < PLANES)[None, :, None]
    px, py = x * scale + 0.5, y * scale + 0.5
    lx, ly = tl.floor(px), tl.floor(py)
    fx, fy = px - lx, py - ly
    ix, iy = lx.to(tl.int32), ly.to(tl.int32)
    total = tl.zeros([x.shape[0], GRIDS, FEATURES], dtype=tl.float32)
    for corner in tl.static_range(4):
        cx, cy = corner & 1, corner >> 1
        weight = (fx if cx else 1 - fx) * (fy if cy else 1 - fy)
        row = row_of(ix + cx, iy + cy, ix, resolution, entries, dense, 2)
        cells = (first + row * FEATURES)[:, :, None] + feature[None, None, :]
        total += weight[:, :, None] * tl.load(table + cells, mask=there, other=0.0)
    return total


@triton.jit
def render_rays(
    head,  # [R, 2, 3] origins and directions in head space
    torso,  # [R, 2, 3] likewise before the division by depth
    interval,  # [R, 2] where a ray enters the cube, and the length of its strata
    occupied,  # [CELLS^3], whether anything can be there
    scene,  # [4] half extents, near, far
    table,  # [PLANES, entries, FEATURES]
    scales,  # [levels]
    numbers,  # [levels, 4]
    regions,  # [3, 2, 3] centres and radii
    first,  # [levels, GRIDS FEATURES, WIDTH] fp16
    gate,  # [levels, GRIDS FEATURES, 2]
    second,  # [WIDTH, WIDTH] fp16
    colour,  # [WIDTH, WIDTH] fp16
    vectors,  # [9, WIDTH]: what is added to the three layers, audio, eye, density head, colour head
    biases,  # [6] of gates, density, colour
    out,  # [R, 8] colour, opacity, depth, gates, samples
    count,
    levels,
    entries_of_grid,
    rim,
    stop_below,
    SAMPLES: tl.constexpr,
    CELLS: tl.constexpr,
    PLANES: tl.constexpr,
    GRIDS: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    GATED: tl.constexpr,
    LEANING: tl.constexpr,
    IN_TORSO: tl.constexpr,
    BLOCK: tl.constexpr,
):
    ray = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = ray < count
    wide, inputs = tl.arange(0, WIDTH), tl.arange(0, GRIDS * FEATURES)
    grid = tl.arange(0, GRIDS)[None, :]
    in_torso = grid >= (0 if IN_TORSO else 3)
    plane = grid % 3
    near = tl.load(interval + 2 * ray, mask=inside, other=0.0)
    step = tl.load(interval + 2 * ray + 1, mask=inside, other=0.0)
    width, height = tl.load(scene), tl.load(scene + 1)
    front, back = tl.load(scene + 2), tl.load(scene + 3)

    through = tl.where(step > 0, 1.0, 0.0)  # transmittance
    red, green, blue = tl.zeros_like(near), tl.zeros_like(near), tl.zeros_like(near)
    depth, hearing, seeing, asked = tl.zeros_like(near), tl.zeros_like(near), tl.zeros_like(near), tl.zeros_like(near)
    stratum = 0
    while (stratum < SAMPLES) & (tl.max(through, axis=0) > stop_below):
        distance = near + (stratum + 0.5) * step
        x, y, z = _at(head, ray, inside, distance)
        here = through > stop_below
        if CELLS > 0:
            i = tl.minimum(tl.maximum((x + 1) * (CELLS / 2), 0.0), CELLS - 1.0).to(tl.int32)
            j = tl.minimum(tl.maximum((y + 1) * (CELLS / 2), 0.0), CELLS - 1.0).to(tl.int32)
            k = tl.minimum(tl.maximum((z + 1) * (CELLS / 2), 0.0), CELLS - 1.0).to(tl.int32)
            here = here & (tl.load(occupied + (i * CELLS + j) * CELLS + k, mask=inside, other=0) > 0)
        if tl.max(here.to(tl.int32), axis=0) > 0:
            u, v, w = _at(torso, ray, inside, distance)
            w = tl.maximum(w, 0.1 * front)
            u, v, w = u / (w * width), v / (w * height), (w - front) * (2 / (back - front)) - 1
            along = tl.where(
                in_torso,
                tl.where(plane == 2, v[:, None], u[:, None]),
                tl.where(plane == 2, y[:, None], x[:, None]),
            )
            across = tl.where(
                in_torso,
                tl.where(plane == 0, v[:, None], w[:, None]),
                tl.where(plane == 0, y[:, None], z[:, None]),
            )
            along = tl.minimum(tl.maximum(along, -1.0), 1.0) * (0.5 - rim) + 0.5
            across = tl.minimum(tl.maximum(across, -1.0), 1.0) * (0.5 - rim) + 0.5

            hidden = tl.zeros([BLOCK, WIDTH], dtype=tl.float32) + tl.load(vectors + wide)[None, :]
            ears, eyes = tl.zeros_like(near) + tl.load(biases), tl.zeros_like(near) + tl.load(biases + 1)
            for level in range(levels):
                read = _features(table, numbers, scales, level, entries_of_grid, along, across, GRIDS, PLANES, FEATURES)
                read = tl.reshape(read, [BLOCK, GRIDS * FEATURES])
                line = (level * GRIDS * FEATURES + inputs)[:, None]
                hidden = tl.dot(read.to(tl.float16), tl.load(first + line * WIDTH + wide[None, :]), hidden)
                gates = gate + (level * GRIDS * FEATURES + inputs) * 2
                ears += tl.sum(read * tl.load(gates)[None, :], axis=1)
                eyes += tl.sum(read * tl.load(gates + 1)[None, :], axis=1)
            if LEANING:
                ears = _open(ears, _away(regions, x, y, z))
                eyes = _open(eyes, tl.minimum(_away(regions + 6, x, y, z), _away(regions + 12, x, y, z)))
            else:
                ears, eyes = tl.sigmoid(ears), tl.sigmoid(eyes)
            if not GATED:
                ears, eyes = tl.zeros_like(near) + 1.0, tl.zeros_like(near) + 1.0
            hidden += ears[:, None] * tl.load(vectors + 3 * WIDTH + wide)[None, :]
            hidden += eyes[:, None] * tl.load(vectors + 4 * WIDTH + wide)[None, :]
            lines = wide[:, None] * WIDTH + wide[None, :]
            hidden = tl.maximum(hidden, 0.0).to(tl.float16)
            hidden = tl.dot(hidden, tl.load(second + lines)) + tl.load(vectors + WIDTH + wide)[None, :]
            hidden = tl.maximum(hidden, 0.0)
            density = tl.exp(_head(hidden, vectors + 5 * WIDTH + wide, biases + 2))
            hidden = tl.dot(hidden.to(tl.float16), tl.load(colour + lines))
            hidden = tl.maximum(hidden + tl.load(vectors + 2 * WIDTH + wide)[None, :], 0.0)
            r = tl.sigmoid(_head(hidden, vectors + 6 * WIDTH + wide, biases + 3))
            g = tl.sigmoid(_head(hidden, vectors + 7 * WIDTH + wide, biases + 4))
            b = tl.sigmoid(_head(hidden, vectors + 8 * WIDTH + wide, biases + 5))

            left = tl.where(here, tl.exp(-density * step), 1.0)
            weight = through * (1 - left)
            red, green, blue = red + weight * r, green + weight * g, blue + weight * b
            depth += weight * distance
            hearing, seeing = hearing + weight * ears, seeing + weight * eyes
            through = through * left
            asked += here.to(tl.float32)
        stratum += 1
    place = out + 8 * ray
    tl.store(place, red, mask=inside)
    tl.store(place + 1, green, mask=inside)
    tl.store(place + 2, blue, mask=inside)
    tl.store(place + 3, tl.where(step > 0, 1 - through, 0.0), mask=inside)
    tl.store(place + 4, depth, mask=inside)
    tl.store(place + 5, hearing, mask=inside)
    tl.store(place + 6, seeing, mask=inside)
    tl.store(place + 7, asked, mask=inside)


@triton.jit
def _head(hidden, weights, bias):
    return tl.sum(hidden * tl.load(weights)[None, :], axis=1) + tl.load(bias)


@triton.jit
def _away(region, x, y, z):
    """Distance from an ellipsoid's centre in units of its radii; region [2, 3]."""
    dx = (x - tl.load(region)) / tl.load(region + 3)
    dy = (y - tl.load(region + 1)) / tl.load(region + 4)
    dz = (z - tl.load(region + 2)) / tl.load(region + 5)
    return tl.sqrt(dx * dx + dy * dy + dz * dz)


@triton.jit
def _open(learned, away):
    """A gate, from what is learnt and from how far away its place is."""
    lean = tl.minimum(tl.maximum(_LEAN * (1 - away), -_FARTHEST), _FARTHEST)
    return tl.sigmoid(learned + lean) * tl.minimum(tl.maximum(_SHUT - away, 0.0), 1.0)
