"""The Triton kernel of `triton_renderer`: marches a block of rays front to back and evaluates the field on the way.

Import this module only where Triton is installed; see `encodings.triton_grid`, whose lookups it shares.
"""

# Kernels are written in Triton's language, whose syntax is Python's and whose types are not.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportOptionalOperand=false, reportAttributeAccessIssue=false

from __future__ import annotations

import triton
import triton.language as tl

from dfa_nerfstudio.nerf.conditioned_field import GATE_CUTOFF_RADII, GATE_LOGIT_LIMIT, GATE_SLOPE
from dfa_nerfstudio.nerf.encodings.triton_grid import load_level, table_row

_GATE_SLOPE, _GATE_LOGIT_LIMIT = tl.constexpr(GATE_SLOPE), tl.constexpr(GATE_LOGIT_LIMIT)
_GATE_CUTOFF_RADII = tl.constexpr(GATE_CUTOFF_RADII)


@triton.jit
def _coordinate(vectors, inside, distance):
    """One coordinate of `origin + distance direction`."""
    origin, direction = tl.load(vectors, mask=inside, other=0.0), tl.load(vectors + 3, mask=inside, other=0.0)
    return origin + distance * direction


@triton.jit
def _position(vectors, ray, inside, distance):
    """Position `origin + distance direction` on each ray; vectors [R, 2, 3]."""
    vectors += 6 * ray
    x, y = _coordinate(vectors, inside, distance), _coordinate(vectors + 1, inside, distance)
    return x, y, _coordinate(vectors + 2, inside, distance)


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
    scale, resolution, offset, entries, dense = load_level(scales, numbers, level)
    grid, feature = tl.arange(0, GRIDS), tl.arange(0, FEATURES)
    first = ((grid * entries_of_grid + offset) * FEATURES)[None, :]
    is_plane = (grid < PLANES)[None, :, None]
    px, py = x * scale + 0.5, y * scale + 0.5
    lx, ly = tl.floor(px), tl.floor(py)
    fx, fy = px - lx, py - ly
    ix, iy = lx.to(tl.int32), ly.to(tl.int32)
    total = tl.zeros([x.shape[0], GRIDS, FEATURES], dtype=tl.float32)
    for corner in tl.static_range(4):
        cx, cy = corner & 1, corner >> 1
        weight = (fx if cx else 1 - fx) * (fy if cy else 1 - fy)
        row = table_row(ix + cx, iy + cy, ix, resolution, entries, dense, 2)
        cells = (first + row * FEATURES)[:, :, None] + feature[None, None, :]
        total += weight[:, :, None] * tl.load(table + cells, mask=is_plane, other=0.0)
    return total


@triton.jit
def render_rays(
    head,  # [R, 2, 3] origins and directions in head space
    torso,  # [R, 2, 3] origins and directions in torso space, before the division by depth
    interval,  # [R, 2] distance at which a ray enters the cube, length of its strata
    occupied,  # [CELLS^3], whether a cell is occupied
    scene,  # [4] half extents, near, far
    table,  # [PLANES, entries, FEATURES]
    scales,  # [levels]
    numbers,  # [levels, 4]
    regions,  # [3, 2, 3] centres and radii
    warp,  # [WARP, WARP, 3] displacement of head space in this frame
    warp_region,  # [2, 3] centre and radii of the ellipsoid that is displaced
    first,  # [levels, GRIDS FEATURES, WIDTH] fp16
    gate,  # [levels, GRIDS FEATURES, 2]
    second,  # [WIDTH, WIDTH] fp16
    colour,  # [WIDTH, WIDTH] fp16
    vectors,  # [9, WIDTH] additions to the three layers, mouth, eye, weights of density head and colour head
    biases,  # [6] biases of gates, density, colour
    out,  # [R, 8] colour, opacity, depth, gates, number of queries
    count,
    levels,
    entries_of_grid,
    margin,
    stop_below,
    SAMPLES: tl.constexpr,
    CELLS: tl.constexpr,
    PLANES: tl.constexpr,
    GRIDS: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    GATED: tl.constexpr,
    GATE_PRIOR: tl.constexpr,
    WARP: tl.constexpr,
    TORSO_ONLY: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Renders BLOCK rays per program, front to back."""
    ray = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = ray < count
    unit, inputs = tl.arange(0, WIDTH), tl.arange(0, GRIDS * FEATURES)
    grid = tl.arange(0, GRIDS)[None, :]
    in_torso = grid >= (0 if TORSO_ONLY else 3)
    plane = grid % 3
    near = tl.load(interval + 2 * ray, mask=inside, other=0.0)
    step = tl.load(interval + 2 * ray + 1, mask=inside, other=0.0)
    width, height = tl.load(scene), tl.load(scene + 1)
    scene_near, scene_far = tl.load(scene + 2), tl.load(scene + 3)

    transmittance = tl.where(step > 0, 1.0, 0.0)
    red, green, blue = tl.zeros_like(near), tl.zeros_like(near), tl.zeros_like(near)
    depth, mouth_gate, eye_gate = tl.zeros_like(near), tl.zeros_like(near), tl.zeros_like(near)
    num_queries = tl.zeros_like(near)
    stratum = 0
    while (stratum < SAMPLES) & (tl.max(transmittance, axis=0) > stop_below):
        distance = near + (stratum + 0.5) * step
        x, y, z = _position(head, ray, inside, distance)
        active = transmittance > stop_below
        if CELLS > 0:
            i = tl.minimum(tl.maximum((x + 1) * (CELLS / 2), 0.0), CELLS - 1.0).to(tl.int32)
            j = tl.minimum(tl.maximum((y + 1) * (CELLS / 2), 0.0), CELLS - 1.0).to(tl.int32)
            k = tl.minimum(tl.maximum((z + 1) * (CELLS / 2), 0.0), CELLS - 1.0).to(tl.int32)
            active = active & (tl.load(occupied + (i * CELLS + j) * CELLS + k, mask=inside, other=0) > 0)
        if tl.max(active.to(tl.int32), axis=0) > 0:
            u, v, w = _position(torso, ray, inside, distance)
            w = tl.maximum(w, 0.1 * scene_near)
            u, v, w = u / (w * width), v / (w * height), (w - scene_near) * (2 / (scene_far - scene_near)) - 1
            hx, hy, hz = x, y, z
            if WARP > 0:
                hx, hy, hz = _warped(warp, warp_region, x, y, z, WARP)
            plane_u = tl.where(
                in_torso,
                tl.where(plane == 2, v[:, None], u[:, None]),
                tl.where(plane == 2, hy[:, None], hx[:, None]),
            )
            plane_v = tl.where(
                in_torso,
                tl.where(plane == 0, v[:, None], w[:, None]),
                tl.where(plane == 0, hy[:, None], hz[:, None]),
            )
            plane_u = tl.minimum(tl.maximum(plane_u, -1.0), 1.0) * (0.5 - margin) + 0.5
            plane_v = tl.minimum(tl.maximum(plane_v, -1.0), 1.0) * (0.5 - margin) + 0.5

            hidden = tl.zeros([BLOCK, WIDTH], dtype=tl.float32) + tl.load(vectors + unit)[None, :]
            mouth_logit, eye_logit = tl.zeros_like(near) + tl.load(biases), tl.zeros_like(near) + tl.load(biases + 1)
            for level in range(levels):
                features = _features(
                    table, numbers, scales, level, entries_of_grid, plane_u, plane_v, GRIDS, PLANES, FEATURES
                )
                features = tl.reshape(features, [BLOCK, GRIDS * FEATURES])
                rows = (level * GRIDS * FEATURES + inputs)[:, None]
                hidden = tl.dot(features.to(tl.float16), tl.load(first + rows * WIDTH + unit[None, :]), hidden)
                gates = gate + (level * GRIDS * FEATURES + inputs) * 2
                mouth_logit += tl.sum(features * tl.load(gates)[None, :], axis=1)
                eye_logit += tl.sum(features * tl.load(gates + 1)[None, :], axis=1)
            if GATE_PRIOR:
                left_eye, right_eye = _radius(regions + 6, x, y, z), _radius(regions + 12, x, y, z)
                mouth = _gate(mouth_logit, _radius(regions, x, y, z))
                eye = _gate(eye_logit, tl.minimum(left_eye, right_eye))
            else:
                mouth, eye = tl.sigmoid(mouth_logit), tl.sigmoid(eye_logit)
            if not GATED:
                mouth, eye = tl.zeros_like(near) + 1.0, tl.zeros_like(near) + 1.0
            hidden += mouth[:, None] * tl.load(vectors + 3 * WIDTH + unit)[None, :]
            hidden += eye[:, None] * tl.load(vectors + 4 * WIDTH + unit)[None, :]
            matrix = unit[:, None] * WIDTH + unit[None, :]
            hidden = tl.maximum(hidden, 0.0).to(tl.float16)
            hidden = tl.dot(hidden, tl.load(second + matrix)) + tl.load(vectors + WIDTH + unit)[None, :]
            hidden = tl.maximum(hidden, 0.0)
            density = tl.exp(_linear_head(hidden, vectors + 5 * WIDTH + unit, biases + 2))
            hidden = tl.dot(hidden.to(tl.float16), tl.load(colour + matrix))
            hidden = tl.maximum(hidden + tl.load(vectors + 2 * WIDTH + unit)[None, :], 0.0)
            r = tl.sigmoid(_linear_head(hidden, vectors + 6 * WIDTH + unit, biases + 3))
            g = tl.sigmoid(_linear_head(hidden, vectors + 7 * WIDTH + unit, biases + 4))
            b = tl.sigmoid(_linear_head(hidden, vectors + 8 * WIDTH + unit, biases + 5))

            remaining = tl.where(active, tl.exp(-density * step), 1.0)
            weight = transmittance * (1 - remaining)
            red, green, blue = red + weight * r, green + weight * g, blue + weight * b
            depth += weight * distance
            mouth_gate, eye_gate = mouth_gate + weight * mouth, eye_gate + weight * eye
            transmittance = transmittance * remaining
            num_queries += active.to(tl.float32)
        stratum += 1
    target = out + 8 * ray
    tl.store(target, red, mask=inside)
    tl.store(target + 1, green, mask=inside)
    tl.store(target + 2, blue, mask=inside)
    tl.store(target + 3, tl.where(step > 0, 1 - transmittance, 0.0), mask=inside)
    tl.store(target + 4, depth, mask=inside)
    tl.store(target + 5, mouth_gate, mask=inside)
    tl.store(target + 6, eye_gate, mask=inside)
    tl.store(target + 7, num_queries, mask=inside)


@triton.jit
def _linear_head(hidden, weights, bias):
    """A linear layer with one output."""
    return tl.sum(hidden * tl.load(weights)[None, :], axis=1) + tl.load(bias)


@triton.jit
def _radius(region, x, y, z):
    """Distance from an ellipsoid's centre in units of its radii; region [2, 3]."""
    dx = (x - tl.load(region)) / tl.load(region + 3)
    dy = (y - tl.load(region + 1)) / tl.load(region + 4)
    dz = (z - tl.load(region + 2)) / tl.load(region + 5)
    return tl.sqrt(dx * dx + dy * dy + dz * dz)


@triton.jit
def _warped(warp, region, x, y, z, WARP: tl.constexpr):
    """Positions in the mean mouth; see `MouthWarp`."""
    px = (((x - tl.load(region)) / tl.load(region + 3)) * 0.5 + 0.5) * (WARP - 1)
    py = (((y - tl.load(region + 1)) / tl.load(region + 4)) * 0.5 + 0.5) * (WARP - 1)
    window = tl.minimum(tl.maximum(2 * (1 - _radius(region, x, y, z)), 0.0), 1.0)
    inside = window > 0
    lx = tl.minimum(tl.maximum(tl.floor(px), 0.0), WARP - 2.0)
    ly = tl.minimum(tl.maximum(tl.floor(py), 0.0), WARP - 2.0)
    fx, fy = px - lx, py - ly
    first = (lx * WARP + ly).to(tl.int32)
    dx, dy, dz = tl.zeros_like(x), tl.zeros_like(x), tl.zeros_like(x)
    for corner in tl.static_range(4):
        cx, cy = corner & 1, corner >> 1
        weight = (fx if cx else 1 - fx) * (fy if cy else 1 - fy) * window
        vertex = warp + (first + cx * WARP + cy) * 3
        dx += weight * tl.load(vertex, mask=inside, other=0.0)
        dy += weight * tl.load(vertex + 1, mask=inside, other=0.0)
        dz += weight * tl.load(vertex + 2, mask=inside, other=0.0)
    return x - dx, y - dy, z - dz


@triton.jit
def _gate(learned, radius):
    """A gate from its learned logit and the distance from its ellipsoid, in radii."""
    prior = tl.minimum(tl.maximum(_GATE_SLOPE * (1 - radius), -_GATE_LOGIT_LIMIT), _GATE_LOGIT_LIMIT)
    return tl.sigmoid(learned + prior) * tl.minimum(tl.maximum(_GATE_CUTOFF_RADII - radius, 0.0), 1.0)
