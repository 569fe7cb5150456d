"""Marching in training, with its gradient, on one core of a CPU: samples, the field, and compositing."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dfa_nerfstudio.nerf.kernels.numba_parts import (
    ONE,
    ZERO,
    cell_at,
    compiled,
    cube_interval,
    find_positions,
    find_window,
)
from dfa_nerfstudio.nerf.kernels.numba_training_kernel import Layers, Points, backward, forward

MAX_OPTICAL_DEPTH = np.float32(50)
"""Optical depth to which a sample's is limited; see `torch_sampler.compute_weights`."""


class TrainingRays(NamedTuple):
    """R rays of U frames."""

    origins: np.ndarray
    directions: np.ndarray
    """In scaled head space, [R, 3]."""
    frame: np.ndarray
    """Row of the conditions, [R]."""
    offsets: np.ndarray
    """Place of each sample in its stratum, 0 to 1, [R, samples]."""


class Scene(NamedTuple):
    """What all rays of a step share."""

    bounds: NamedTuple
    """See `numba_parts.View`."""
    to_torso: np.ndarray
    """Maps scaled head space to torso space before the division by depth, [U, 3, 4]."""
    occupied: np.ndarray
    """Cells that may contain the person, [cells^3]."""
    cells: int
    """Number of cells along an axis; 0 if all space counts as occupied."""


class Samples(NamedTuple):
    """Where S samples lie, stratum by stratum, front to back, and what they contribute."""

    ray: np.ndarray
    """Index of the ray, [S]."""
    distance: np.ndarray
    """Distance along it, [S]."""
    step: np.ndarray
    """Length of the sample's stratum, [S]."""
    cell: np.ndarray
    """Cell of the occupancy grid, [S]."""
    weight: np.ndarray
    """Weight of the sample's colour, [S]."""
    transmittance: np.ndarray
    """Share of light that passes the sample and those before it, [S]."""


@compiled
def march(rays, scene, weights, constants, stop_below, out):
    """Renders rays as `ray_marching.march` does in training; a ray stops as soon as it is opaque.

    Args:
        rays: R rays.
        scene: what they share.
        weights: of the field.
        constants: what training does not change.
        stop_below: transmittance below which a ray counts as opaque.
        out: colour, accumulation, depth and gates of the rays, [R, 7], which starts as 0.

    Returns:
        what the gradient needs: positions, outputs of the field's layers, samples; and how many rows of them are used.
    """
    (num_rays, num_strata), (num_features, width) = rays.offsets.shape, weights.first.shape
    most = num_rays * num_strata
    samples = Samples(
        np.empty(most, np.int64),
        np.empty(most, np.float32),
        np.empty(most, np.float32),
        np.empty(most, np.int64),
        np.empty(most, np.float32),
        np.empty(most, np.float32),
    )
    points = Points(np.empty((most, 6), np.float32), np.empty((most, 3), np.float32), np.empty(most, np.int64))
    layers = Layers(
        np.empty((most, num_features), np.float32),
        np.empty((most, width), np.float32),
        np.empty((most, width), np.float32),
        np.empty((most, width), np.float32),
        np.empty((most, 2), np.float32),
        np.empty(most, np.float32),
        np.empty((most, 3), np.float32),
    )
    near, step, passed = np.empty(num_rays, np.float32), np.empty(num_rays, np.float32), np.ones(num_rays, np.float32)
    for ray in range(num_rays):
        first, last = cube_interval(rays.origins, rays.directions, ray)
        near[ray], step[ray] = first, (last - first) / np.float32(num_strata)
    count = 0
    for stratum in range(num_strata):
        start = count
        for ray in range(num_rays):
            if not (step[ray] > ZERO and passed[ray] >= stop_below):
                continue
            distance = near[ray] + (np.float32(stratum) + rays.offsets[ray, stratum]) * step[ray]
            cell = cell_at(rays.origins, rays.directions, ray, distance, scene.cells) if scene.cells else 0
            if scene.occupied[cell]:
                samples.ray[count], samples.distance[count] = ray, distance
                samples.step[count], samples.cell[count] = step[ray], cell
                count += 1
        _find_points(rays, scene, samples, weights, constants, points, start, count)
        forward(points, weights, constants, layers, start, count)
        _composite(samples, layers, passed, out, start, count)
    return points, layers, samples, count


@compiled
def march_backward(points, layers, samples, weights, transposed, constants, by_out, gradient):
    """Adds to the gradients of a sum.

    Args:
        points: as `march` left them, without the rows that are not used.
        layers: likewise.
        samples: likewise.
        weights: the field's weights.
        transposed: its first, second and colour weights, transposed.
        constants: what training does not change.
        by_out: gradient of the sum with respect to what `march` wrote, [R, 7].
        gradient: receives what is added for each of the weights.
    """
    count = len(samples.ray)
    by_density, by_rgb = np.empty(count, np.float32), np.empty((count, 3), np.float32)
    by_gates, by_points = np.empty((count, 2), np.float32), np.zeros((count, 6), np.float32)
    _composite_backward(samples, layers, by_out, by_density, by_rgb, by_gates)
    backward(points, weights, transposed, constants, layers, by_density, by_rgb, by_gates, gradient, by_points)
    if len(weights.warp):
        _deform_backward(points, weights, constants, by_points, gradient)


@compiled
def _find_points(rays, scene, samples, weights, constants, points, start, stop):
    """Writes rows `start` to before `stop` of the positions."""
    for row in range(start, stop):
        ray = samples.ray[row]
        frame, to_torso = rays.frame[ray], scene.to_torso[rays.frame[ray]]
        points.frame[row] = frame
        find_positions(
            rays.origins, rays.directions, to_torso, scene.bounds, ray, samples.distance[row], points.deformed, row
        )
        points.head[row] = points.deformed[row, :3]
        if len(weights.warp):
            _deform(points.deformed, row, weights.warp, weights.code[frame], constants.moved_region)


@compiled
def _composite(samples, layers, passed, out, start, stop):
    """Writes the weights of rows `start` to before `stop`, at most one of each ray, and adds them to their rays."""
    for row in range(start, stop):
        ray = samples.ray[row]
        depth = min(math.exp(layers.log_density[row]) * samples.step[row], MAX_OPTICAL_DEPTH)
        weight = passed[ray] * -math.expm1(-depth)
        passed[ray] *= math.exp(-depth)
        samples.weight[row], samples.transmittance[row] = weight, passed[ray]
        for channel in range(3):
            out[ray, channel] += weight * layers.rgb[row, channel]
        out[ray, 3] += weight
        out[ray, 4] += weight * samples.distance[row]
        out[ray, 5] += weight * layers.gates[row, 0]
        out[ray, 6] += weight * layers.gates[row, 1]


@compiled
def _composite_backward(samples, layers, by_out, by_density, by_rgb, by_gates):
    """The gradient of `_composite`.

    A sample's optical depth d has the weight w = T (1 - exp(-d)) and dims all samples behind it: of a sum whose slope
    along w is g, the slope along d is T exp(-d) g - sum_{j behind} w_j g_j.
    """
    behind = np.zeros(len(by_out), np.float32)
    for row in range(len(samples.ray) - 1, -1, -1):
        ray, weight = samples.ray[row], samples.weight[row]
        slope = by_out[ray, 3] + by_out[ray, 4] * samples.distance[row]
        for channel in range(3):
            slope += by_out[ray, channel] * layers.rgb[row, channel]
            by_rgb[row, channel] = weight * by_out[ray, channel]
        for number in range(2):
            slope += by_out[ray, 5 + number] * layers.gates[row, number]
            by_gates[row, number] = weight * by_out[ray, 5 + number]
        step = samples.step[row]
        limited = math.exp(layers.log_density[row]) * step > MAX_OPTICAL_DEPTH
        by_density[row] = ZERO if limited else step * (samples.transmittance[row] * slope - behind[ray])
        behind[ray] += weight * slope


@compiled
def _deform(points, row, warp, code, region):
    """See `MouthWarp`."""
    window, x, y, along_x, along_y = find_window(points, row, region, len(warp) - 1)
    if window == ZERO:
        return
    for axis in range(3):
        moved = ZERO
        for k in range(len(code)):
            low = (ONE - along_y) * warp[x, y, axis, k] + along_y * warp[x, y + 1, axis, k]
            high = (ONE - along_y) * warp[x + 1, y, axis, k] + along_y * warp[x + 1, y + 1, axis, k]
            moved += code[k] * ((ONE - along_x) * low + along_x * high)
        points[row, axis] -= window * moved


@compiled
def _deform_backward(points, weights, constants, by_points, gradient):
    """The gradient of `_deform`."""
    warp, code, cells = weights.warp, weights.code, len(weights.warp) - 1
    for row in range(len(points.frame)):
        window, x, y, along_x, along_y = find_window(points.head, row, constants.moved_region, cells)
        if window == ZERO:
            continue
        frame = points.frame[row]
        for axis in range(3):
            slope = -window * by_points[row, axis]
            for k in range(code.shape[1]):
                low = (ONE - along_y) * warp[x, y, axis, k] + along_y * warp[x, y + 1, axis, k]
                high = (ONE - along_y) * warp[x + 1, y, axis, k] + along_y * warp[x + 1, y + 1, axis, k]
                gradient.code[frame, k] += slope * ((ONE - along_x) * low + along_x * high)
                by_field = slope * code[frame, k]
                gradient.warp[x, y, axis, k] += by_field * (ONE - along_x) * (ONE - along_y)
                gradient.warp[x, y + 1, axis, k] += by_field * (ONE - along_x) * along_y
                gradient.warp[x + 1, y, axis, k] += by_field * along_x * (ONE - along_y)
                gradient.warp[x + 1, y + 1, axis, k] += by_field * along_x * along_y
