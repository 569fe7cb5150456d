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


class MarchedSamples(NamedTuple):
    """Where S samples lie, and what they contribute."""

    ray: np.ndarray
    """Index of the ray, ascending, [S]."""
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
def march(rays, scene, weights, constants, out):
    """Renders rays as `ray_marching.march` does in training.

    Args:
        rays: R rays.
        scene: what they share.
        weights: of the field.
        constants: what training does not change.
        out: colour, accumulation, depth and gates of the rays, [R, 7], which starts as 0.

    Returns:
        what the gradient needs: positions, outputs of the field's layers, and the samples.
    """
    samples = _place(rays, scene)
    count, (num_features, width) = len(samples.ray), weights.first.shape
    points = Points(np.empty((count, 6), np.float32), np.empty((count, 3), np.float32), np.empty(count, np.int64))
    layers = Layers(
        np.empty((count, num_features), np.float32),
        np.empty((count, width), np.float32),
        np.empty((count, width), np.float32),
        np.empty((count, width), np.float32),
        np.empty((count, 2), np.float32),
        np.empty(count, np.float32),
        np.empty((count, 3), np.float32),
    )
    for row in range(count):
        ray = samples.ray[row]
        frame = rays.frame[ray]
        points.frame[row] = frame
        find_positions(
            rays.origins,
            rays.directions,
            scene.to_torso[frame],
            scene.bounds,
            ray,
            samples.distance[row],
            points.deformed,
            row,
        )
        points.head[row] = points.deformed[row, :3]
    if len(weights.warp):
        _deform(points, weights, constants)
    forward(points, weights, constants, layers)
    _add_up(samples, layers, out)
    return points, layers, samples


@compiled
def march_backward(points, layers, samples, weights, transposed, constants, by_out, gradient):
    """Adds to the gradients of a sum.

    Args:
        points: as `march` left them.
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
    _divide(samples, layers, by_out, by_density, by_rgb, by_gates)
    backward(points, weights, transposed, constants, layers, by_density, by_rgb, by_gates, gradient, by_points)
    if len(weights.warp):
        _deform_backward(points, weights, constants, by_points, gradient)


@compiled
def _place(rays, scene):
    """One sample in each stratum that lies in occupied space, ray by ray, front to back."""
    num_rays, num_strata = rays.offsets.shape
    ray, cell = np.empty(num_rays * num_strata, np.int64), np.empty(num_rays * num_strata, np.int64)
    distance, step = np.empty(len(ray), np.float32), np.empty(len(ray), np.float32)
    count = 0
    for number in range(num_rays):
        near, far = cube_interval(rays.origins, rays.directions, number)
        if not far > near:
            continue
        length = (far - near) / np.float32(num_strata)
        for stratum in range(num_strata):
            along = near + (np.float32(stratum) + rays.offsets[number, stratum]) * length
            place = cell_at(rays.origins, rays.directions, number, along, scene.cells) if scene.cells else 0
            if scene.occupied[place]:
                ray[count], cell[count], distance[count], step[count] = number, place, along, length
                count += 1
    return MarchedSamples(
        ray[:count],
        distance[:count],
        step[:count],
        cell[:count],
        np.empty(count, np.float32),
        np.empty(count, np.float32),
    )


@compiled
def _add_up(samples, layers, out):
    """Writes the weights of the samples, and adds their values to their rays."""
    passed, last = ONE, -1
    for row in range(len(samples.ray)):
        ray = samples.ray[row]
        if ray != last:
            passed, last = ONE, ray
        depth = min(math.exp(layers.log_density[row]) * samples.step[row], MAX_OPTICAL_DEPTH)
        weight = passed * -math.expm1(-depth)
        passed *= math.exp(-depth)
        samples.weight[row], samples.transmittance[row] = weight, passed
        for channel in range(3):
            out[ray, channel] += weight * layers.rgb[row, channel]
        out[ray, 3] += weight
        out[ray, 4] += weight * samples.distance[row]
        out[ray, 5] += weight * layers.gates[row, 0]
        out[ray, 6] += weight * layers.gates[row, 1]


@compiled
def _divide(samples, layers, by_out, by_density, by_rgb, by_gates):
    """The gradient of `_add_up`.

    A sample's optical depth d has the weight w = T (1 - exp(-d)) and dims all samples behind it: of a sum whose slope
    along w is g, the slope along d is T exp(-d) g - sum_{j behind} w_j g_j.
    """
    behind, last = ZERO, -1
    for row in range(len(samples.ray) - 1, -1, -1):
        ray, weight = samples.ray[row], samples.weight[row]
        if ray != last:
            behind, last = ZERO, ray
        slope = by_out[ray, 3] + by_out[ray, 4] * samples.distance[row]
        for channel in range(3):
            slope += by_out[ray, channel] * layers.rgb[row, channel]
            by_rgb[row, channel] = weight * by_out[ray, channel]
        for number in range(2):
            slope += by_out[ray, 5 + number] * layers.gates[row, number]
            by_gates[row, number] = weight * by_out[ray, 5 + number]
        step = samples.step[row]
        limited = math.exp(layers.log_density[row]) * step > MAX_OPTICAL_DEPTH
        by_density[row] = ZERO if limited else step * (samples.transmittance[row] * slope - behind)
        behind += weight * slope


@compiled
def _deform(points, weights, constants):
    """See `MouthWarp`."""
    deformed, warp, code, cells = points.deformed, weights.warp, weights.code, len(weights.warp) - 1
    for row in range(len(points.frame)):
        window, x, y, along_x, along_y = find_window(deformed, row, constants.moved_region, cells)
        if window == ZERO:
            continue
        frame = points.frame[row]
        for axis in range(3):
            moved = ZERO
            for k in range(code.shape[1]):
                low = (ONE - along_y) * warp[x, y, axis, k] + along_y * warp[x, y + 1, axis, k]
                high = (ONE - along_y) * warp[x + 1, y, axis, k] + along_y * warp[x + 1, y + 1, axis, k]
                moved += code[frame, k] * ((ONE - along_x) * low + along_x * high)
            deformed[row, axis] -= window * moved


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
