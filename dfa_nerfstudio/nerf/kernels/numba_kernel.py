"""Marching, the field and compositing in one compiled function, for one frame on one core of a CPU.

`march` evaluates the field for a list of samples by a hundred operations, each of which reads and writes megabytes.
Here the samples are evaluated in small tiles that stay in the core's cache.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dfa_nerfstudio.nerf.kernels.numba_parts import (
    HALF,
    ONE,
    TILE,
    ZERO,
    Constants,
    cell_at,
    compiled,
    cube_interval,
    find_positions,
    find_window,
    gate_radii,
    look_up,
    open_gates,
    sigmoid,
)


class FieldArrays(NamedTuple):
    """A `ConditionedField` of width W on planes, with the conditions of one frame added to its weights."""

    constants: Constants
    table: np.ndarray
    """Features of the planes' vertices, [planes, entries, F]."""
    warp: np.ndarray
    """Displacement of head space, [vertices, vertices, 3]; without vertices, space is not deformed."""
    first: np.ndarray
    """Weights of the first layer, [features, W]."""
    gates: np.ndarray
    """Weights of the gates, [2, features]."""
    second: np.ndarray
    colour: np.ndarray
    """Weights of second and colour layer, [W, W]."""
    heads: np.ndarray
    """Weights of density and colour, [4, W]."""
    additions: np.ndarray
    """What is added to first, second and colour layer, and by open gates of mouth and eyes to the first, [5, W]."""
    biases: np.ndarray
    """Biases of the two gates, of density and of colour, [6]."""


class RayArrays(NamedTuple):
    """Rays of one frame, see `Rays`."""

    origins: np.ndarray
    directions: np.ndarray
    """In scaled head space, [R, 3]; all share one origin if there is only one."""
    to_torso: np.ndarray
    """Maps it to torso space before the division by depth, [3, 4]."""


class Tile(NamedTuple):
    """Samples that are evaluated together, and memory for their features and hidden layers."""

    ray: np.ndarray
    """Index of each sample's ray, [TILE]."""
    distance: np.ndarray
    """Distance along it, [TILE]."""
    density: np.ndarray
    """[TILE]."""
    weight: np.ndarray
    """Weight of its colour, [TILE]."""
    gates: np.ndarray
    """Gates of mouth and eyes, [TILE, 2]."""
    colour: np.ndarray
    """[TILE, 3]."""
    points: np.ndarray
    """Positions in head space and torso space, [TILE, 6]."""
    features: np.ndarray
    """[TILE, features]."""
    hidden: np.ndarray
    other: np.ndarray
    """[TILE, W]."""


@compiled
def march(field, rays, view, occupied, cells, num_samples, stop_below, min_weight, out):
    """Renders rays as `ray_marching.march` does outside training; a ray stops as soon as it is opaque.

    Args:
        field: the field of one frame.
        rays: R rays.
        view: of the scene.
        occupied: cells that may contain the person, [cells^3].
        cells: number of cells along an axis; 0 if all space counts as occupied.
        num_samples: number of strata per ray.
        stop_below: transmittance below which a ray counts as opaque.
        min_weight: weight of a sample up to which its colour is left out.
        out: colour, accumulation, depth and gates of the rays, [R, 7], which starts as 0.

    Returns:
        number of samples at which the field was evaluated.
    """
    num_rays = len(rays.directions)
    transmittance = np.ones(num_rays, np.float32)
    near, step, active = np.empty(num_rays, np.float32), np.empty(num_rays, np.float32), np.empty(num_rays, np.int64)
    num_active = 0
    for ray in range(num_rays):
        start, end = cube_interval(rays.origins, rays.directions, ray)
        near[ray], step[ray] = start, (end - start) / np.float32(num_samples)
        if end > start:
            active[num_active] = ray
            num_active += 1
    tile, total, count = _new_tile(field), 0, 0
    for stratum in range(num_samples):
        for place in range(num_active + 1):
            if place < num_active:
                ray = active[place]
                distance = near[ray] + (np.float32(stratum) + HALF) * step[ray]
                if not cells or occupied[cell_at(rays.origins, rays.directions, ray, distance, cells)]:
                    tile.ray[count], tile.distance[count] = ray, distance
                    count += 1
            if count == TILE or (count and place == num_active):  # one call: each is compiled into this function
                _composite(field, rays, view, tile, count, step, transmittance, min_weight, out)
                total, count = total + count, 0
        num_kept = 0
        for place in range(num_active):
            ray = active[place]
            if transmittance[ray] > stop_below:
                active[num_kept] = ray
                num_kept += 1
        num_active = num_kept
    return total


@compiled
def shade(field, rays, view, ray, distance, opacity, out):
    """Composites one sample on each of S rays.

    Args:
        field: the field of one frame.
        rays: R rays.
        view: of the scene.
        ray: index of each sample's ray, [S].
        distance: its distance along the ray, [S].
        opacity: its opacity, [S].
        out: colour, accumulation, depth and gates of the samples, [S, 7].
    """
    tile = _new_tile(field)
    for first in range(0, len(ray), TILE):
        count = min(TILE, len(ray) - first)
        for row in range(count):
            tile.ray[row], tile.distance[row] = ray[first + row], distance[first + row]
            tile.weight[row] = opacity[first + row]
        _density_layers(field, rays, view, tile, count)
        for row in range(count):
            weight, values = tile.weight[row], out[first + row]
            values[3], values[4] = weight, weight * tile.distance[row]
            values[5], values[6] = weight * tile.gates[row, 0], weight * tile.gates[row, 1]
        _colour_layer(field, tile, count)
        for row in range(count):
            for channel in range(3):
                out[first + row, channel] = tile.weight[row] * tile.colour[row, channel]


@compiled
def _new_tile(field):
    num_features, width = field.first.shape
    return Tile(
        np.empty(TILE, np.int64),
        np.empty(TILE, np.float32),
        np.empty(TILE, np.float32),
        np.empty(TILE, np.float32),
        np.empty((TILE, 2), np.float32),
        np.empty((TILE, 3), np.float32),
        np.empty((TILE, 6), np.float32),
        np.empty((TILE, num_features), np.float32),
        np.empty((TILE, width), np.float32),
        np.empty((TILE, width), np.float32),
    )


@compiled
def _composite(field, rays, view, tile, count, step, transmittance, min_weight, out):
    """Evaluates the first `count` samples of a tile, at most one of each ray, and adds them to their rays."""
    _density_layers(field, rays, view, tile, count)
    num_visible = 0
    for row in range(count):
        ray = tile.ray[row]
        passed = math.exp(-tile.density[row] * step[ray])
        weight = transmittance[ray] * (ONE - passed)
        transmittance[ray] *= passed
        out[ray, 3] += weight
        out[ray, 4] += weight * tile.distance[row]
        out[ray, 5] += weight * tile.gates[row, 0]
        out[ray, 6] += weight * tile.gates[row, 1]
        if weight > min_weight:
            tile.ray[num_visible], tile.weight[num_visible] = ray, weight
            for k in range(tile.other.shape[1]):
                tile.other[num_visible, k] = tile.other[row, k]
            num_visible += 1
    _colour_layer(field, tile, num_visible)
    for row in range(num_visible):
        for channel in range(3):
            out[tile.ray[row], channel] += tile.weight[row] * tile.colour[row, channel]


@compiled
def _density_layers(field, rays, view, tile, count):
    """Leaves density, gates and, in `other`, the second hidden layer of the first `count` samples."""
    _find_positions(field, rays, view, tile, count)
    look_up(tile.points, field.table, field.constants, tile.features, 0, count)
    np.dot(tile.features[:count], field.first, tile.hidden[:count])
    open_gates(tile.features, field.gates, field.biases, field.constants, tile.gates, 0, count)
    hidden, gates = tile.hidden, tile.gates
    first, second, mouth, eye = field.additions[0], field.additions[1], field.additions[3], field.additions[4]
    for row in range(count):
        by_mouth, by_eye = gates[row, 0], gates[row, 1]
        for k in range(hidden.shape[1]):
            hidden[row, k] = max(hidden[row, k] + first[k] + by_mouth * mouth[k] + by_eye * eye[k], ZERO)
    np.dot(hidden[:count], field.second, tile.other[:count])
    other, head = tile.other, field.heads[0]
    for row in range(count):
        log_density = field.biases[2]
        for k in range(other.shape[1]):
            value = max(other[row, k] + second[k], ZERO)
            other[row, k] = value
            log_density += value * head[k]
        tile.density[row] = math.exp(log_density)


@compiled
def _colour_layer(field, tile, count):
    """Leaves the colours of the first `count` rows of `other` in `colour`."""
    if not count:
        return
    np.dot(tile.other[:count], field.colour, tile.hidden[:count])
    hidden, colour, addition = tile.hidden, tile.colour, field.additions[2]
    red_head, green_head, blue_head = field.heads[1], field.heads[2], field.heads[3]
    for row in range(count):
        red, green, blue = field.biases[3], field.biases[4], field.biases[5]
        for k in range(hidden.shape[1]):
            value = max(hidden[row, k] + addition[k], ZERO)
            red, green, blue = red + value * red_head[k], green + value * green_head[k], blue + value * blue_head[k]
        colour[row, 0], colour[row, 1], colour[row, 2] = sigmoid(red), sigmoid(green), sigmoid(blue)


@compiled
def _find_positions(field, rays, view, tile, count):
    """Leaves the positions of the samples, deformed, and in `gates` their distances from the gates' ellipsoids."""
    origins, directions, to_torso, points = rays.origins, rays.directions, rays.to_torso, tile.points
    for row in range(count):
        find_positions(origins, directions, to_torso, view, tile.ray[row], tile.distance[row], points, row)
        gate_radii(points, row, field.constants, tile.gates, row)
        if len(field.warp):
            _deform(field.warp, field.constants.moved_region, points, row)


@compiled
def _deform(warp, region, points, row):
    """See `MouthWarp`."""
    window, x, y, along_x, along_y = find_window(points, row, region, len(warp) - 1)
    if window == ZERO:
        return
    for axis in range(3):
        low = (ONE - along_y) * warp[x, y, axis] + along_y * warp[x, y + 1, axis]
        high = (ONE - along_y) * warp[x + 1, y, axis] + along_y * warp[x + 1, y + 1, axis]
        points[row, axis] -= window * ((ONE - along_x) * low + along_x * high)
