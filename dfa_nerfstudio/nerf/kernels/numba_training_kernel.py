"""The field and its gradient for samples of many frames, on one core of a CPU.

As in `numba_kernel`, samples are processed in small tiles that stay in the core's cache. What the gradient needs of the
forward pass (features and hidden layers) is kept for all samples.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dfa_nerfstudio.nerf.kernels import VECTOR
from dfa_nerfstudio.nerf.kernels.numba_parts import (
    HALF,
    NUMBER_BYTES,
    ONE,
    TILE,
    ZERO,
    compiled,
    find_cell,
    gate_radii,
    look_up,
    open_gates,
    radius_in,
    sigmoid,
)
from dfa_nerfstudio.nerf.kernels.numba_vectors import spread_pairs, spread_rows

MAX_LOG_DENSITY = np.float32(15)
"""Logarithm of the density above which its gradient is that of this density; see nerfstudio's `trunc_exp`."""


class Points(NamedTuple):
    """Positions of S samples."""

    deformed: np.ndarray
    """In head space, deformed, and in torso space, [S, 6]."""
    head: np.ndarray
    """In head space before the deformation, [S, 3]."""
    frame: np.ndarray
    """Row of the conditions, [S]."""


class Weights(NamedTuple):
    """Weights of a field of width W, or their gradients."""

    table: np.ndarray
    """[planes, entries, F]."""
    first: np.ndarray
    """[features, W]."""
    gates: np.ndarray
    """[2, features]."""
    second: np.ndarray
    colour: np.ndarray
    """[W, W]."""
    heads: np.ndarray
    """Of density and colour, [4, W]."""
    to_first: np.ndarray
    """What is added to the first layer for each of U frames, [U, W]."""
    to_second: np.ndarray
    """[1, W]."""
    to_colour: np.ndarray
    """[U, W]."""
    mouth: np.ndarray
    eye: np.ndarray
    """Added to the first layer through the gates, [U, W]."""
    biases: np.ndarray
    """Biases of the two gates, of density and of colour, [6]."""
    warp: np.ndarray
    """Fields that deform head space, [vertices, vertices, 3, K]; without vertices, it is not deformed."""
    code: np.ndarray
    """Their factors for each of U frames, [U, K]."""


class Layers(NamedTuple):
    """Outputs of the field's layers for S samples."""

    features: np.ndarray
    """[S, features]."""
    first: np.ndarray
    second: np.ndarray
    colour: np.ndarray
    """Hidden layers, [S, W]."""
    gates: np.ndarray
    """[S, 2]."""
    log_density: np.ndarray
    """[S]."""
    rgb: np.ndarray
    """[S, 3]."""


@compiled
def forward(points, weights, constants, layers, first, last):
    """Evaluates the field for rows `first` to before `last`; writes these rows of `layers`."""
    to_second, biases, heads = weights.to_second[0], weights.biases, weights.heads
    for start in range(first, last, TILE):
        stop = min(start + TILE, last)
        look_up(points.deformed, weights.table, constants, layers.features, start, stop)
        np.dot(layers.features[start:stop], weights.first, layers.first[start:stop])
        for row in range(start, stop):
            gate_radii(points.head, row, constants, layers.gates, row)
        open_gates(layers.features, weights.gates, biases, constants, layers.gates, start, stop)
        hidden = layers.first
        for row in range(start, stop):
            frame, by_mouth, by_eye = points.frame[row], layers.gates[row, 0], layers.gates[row, 1]
            for k in range(hidden.shape[1]):
                gated = by_mouth * weights.mouth[frame, k] + by_eye * weights.eye[frame, k]
                hidden[row, k] = max(hidden[row, k] + weights.to_first[frame, k] + gated, ZERO)
        np.dot(layers.first[start:stop], weights.second, layers.second[start:stop])
        hidden = layers.second
        for row in range(start, stop):
            log_density = biases[2]
            for k in range(hidden.shape[1]):
                hidden[row, k] = max(hidden[row, k] + to_second[k], ZERO)
                log_density += hidden[row, k] * heads[0, k]
            layers.log_density[row] = log_density
        np.dot(layers.second[start:stop], weights.colour, layers.colour[start:stop])
        hidden = layers.colour
        for row in range(start, stop):
            frame, red, green, blue = points.frame[row], biases[3], biases[4], biases[5]
            for k in range(hidden.shape[1]):
                value = max(hidden[row, k] + weights.to_colour[frame, k], ZERO)
                hidden[row, k] = value
                red, green, blue = red + value * heads[1, k], green + value * heads[2, k], blue + value * heads[3, k]
            layers.rgb[row, 0], layers.rgb[row, 1], layers.rgb[row, 2] = sigmoid(red), sigmoid(green), sigmoid(blue)


@compiled
def backward(points, weights, transposed, constants, layers, by_density, by_rgb, by_gates, gradient, by_points):
    """Adds to the gradients of a sum.

    Args:
        points: positions of S samples.
        weights: the field's weights.
        transposed: its first, second and colour weights, transposed.
        constants: what training does not change.
        layers: as `forward` left them.
        by_density: gradient of the sum with respect to the densities, [S].
        by_rgb: with respect to the colours, [S, 3].
        by_gates: with respect to the gates, [S, 2].
        gradient: receives what is added for each of the weights.
        by_points: receives the gradient with respect to `Points.deformed`, where they are deformed.
    """
    first_t, second_t, colour_t = transposed
    width, num_features = weights.second.shape[0], weights.first.shape[0]
    by_hidden, by_other = np.empty((TILE, width), np.float32), np.empty((TILE, width), np.float32)
    by_features, by_logits = np.empty((TILE, num_features), np.float32), np.empty((TILE, 2), np.float32)
    square, wide = np.empty((width, width), np.float32), np.empty((num_features, width), np.float32)
    by_rgb_logit = np.empty(3, np.float32)
    for start in range(0, len(points.frame), TILE):
        stop = min(start + TILE, len(points.frame))
        count = stop - start
        for row in range(count):
            at, frame = start + row, points.frame[start + row]
            for channel in range(3):
                value = layers.rgb[at, channel]
                by_rgb_logit[channel] = by_rgb[at, channel] * value * (ONE - value)
                gradient.biases[3 + channel] += by_rgb_logit[channel]
            red, green, blue = by_rgb_logit[0], by_rgb_logit[1], by_rgb_logit[2]
            for k in range(width):
                value = layers.colour[at, k]
                gradient.heads[1, k] += red * value
                gradient.heads[2, k] += green * value
                gradient.heads[3, k] += blue * value
                slope = red * weights.heads[1, k] + green * weights.heads[2, k] + blue * weights.heads[3, k]
                by_hidden[row, k] = slope if value > ZERO else ZERO
                gradient.to_colour[frame, k] += by_hidden[row, k]
        np.dot(layers.second[start:stop].T, by_hidden[:count], square)
        gradient.colour[:] += square
        np.dot(by_hidden[:count], colour_t, by_other[:count])
        for row in range(count):
            at = start + row
            slope = by_density[at] * math.exp(min(layers.log_density[at], MAX_LOG_DENSITY))
            gradient.biases[2] += slope
            for k in range(width):
                value = layers.second[at, k]
                gradient.heads[0, k] += slope * value
                by_other[row, k] = by_other[row, k] + slope * weights.heads[0, k] if value > ZERO else ZERO
                gradient.to_second[0, k] += by_other[row, k]
        np.dot(layers.first[start:stop].T, by_other[:count], square)
        gradient.second[:] += square
        np.dot(by_other[:count], second_t, by_hidden[:count])
        for row in range(count):
            at, frame = start + row, points.frame[start + row]
            by_mouth, by_eye = layers.gates[at, 0], layers.gates[at, 1]
            by_mouth_gate, by_eye_gate = by_gates[at, 0], by_gates[at, 1]
            for k in range(width):
                slope = by_hidden[row, k] if layers.first[at, k] > ZERO else ZERO
                by_hidden[row, k] = slope
                gradient.to_first[frame, k] += slope
                gradient.mouth[frame, k] += slope * by_mouth
                gradient.eye[frame, k] += slope * by_eye
                by_mouth_gate += slope * weights.mouth[frame, k]
                by_eye_gate += slope * weights.eye[frame, k]
            by_logits[row, 0], by_logits[row, 1] = by_mouth_gate, by_eye_gate
        np.dot(layers.features[start:stop].T, by_hidden[:count], wide)
        gradient.first[:] += wide
        np.dot(by_hidden[:count], first_t, by_features[:count])
        _close_gates(points, weights, constants, layers, by_logits, by_features, gradient, start, count)
        _spread(points, weights.table, constants, by_features, gradient.table, by_points, start, count)


@compiled
def _spread(points, table, constants, by_features, by_table, by_points, start, count):
    """The gradient of `look_up`."""
    deformed, moved = points.deformed, constants.moved_region
    num_planes, num_entries, num_values = table.shape
    row_bytes, slope_of_scale = num_values * NUMBER_BYTES, HALF - constants.margin
    first_row, first_slope = np.int64(by_table.ctypes.data), np.int64(by_features.ctypes.data)
    corner, fraction = np.empty(6, np.int32), np.empty(6, np.float32)
    for row in range(count):
        at = start + row
        source = first_slope + row * by_features.shape[1] * NUMBER_BYTES
        is_moved = len(moved) > 0 and radius_in(points.head, at, moved, 0) < ONE
        for level in range(len(constants.scales)):
            find_cell(deformed, at, constants, level, corner, fraction)
            first, resolution, scale = constants.levels[level, 0], constants.levels[level, 1], constants.scales[level]
            for plane in range(num_planes):
                x, y = constants.axes[plane, 0], constants.axes[plane, 1]
                vertex = first + corner[y] * resolution + corner[x]
                target = first_row + (plane * num_entries + vertex) * row_bytes
                if num_values == VECTOR:
                    spread_pairs(target, resolution * row_bytes, fraction[x], fraction[y], source)
                else:
                    for part in range(0, row_bytes, VECTOR * NUMBER_BYTES):
                        spread_rows(
                            target + part, row_bytes, resolution * row_bytes, fraction[x], fraction[y], source + part
                        )
                source += row_bytes
                if is_moved and plane < 3:  # the planes of head space come first
                    by_x, by_y = ZERO, ZERO
                    for k in range(num_values):
                        slope = by_features[row, (level * num_planes + plane) * num_values + k]
                        here, right = table[plane, vertex, k], table[plane, vertex + 1, k]
                        above, beyond = table[plane, vertex + resolution, k], table[plane, vertex + resolution + 1, k]
                        by_x += slope * ((right - here) * (ONE - fraction[y]) + (beyond - above) * fraction[y])
                        by_y += slope * ((above - here) * (ONE - fraction[x]) + (beyond - right) * fraction[x])
                    by_points[at, x] += by_x * scale * slope_of_scale
                    by_points[at, y] += by_y * scale * slope_of_scale
        for axis in range(3):
            if not abs(deformed[at, axis]) <= ONE:  # `look_up` limits positions to the cube
                by_points[at, axis] = ZERO


@compiled
def _close_gates(points, weights, constants, layers, by_gates, by_features, gradient, start, count):
    """The gradient of `open_gates`."""
    if not constants.gated:
        return
    radii = np.empty((1, 2), np.float32)
    for row in range(count):
        at = start + row
        gate_radii(points.head, at, constants, radii, 0)
        for number in range(2):
            window = min(constants.gate_cutoff - radii[0, number], ONE)
            if window <= ZERO:
                continue
            opened = layers.gates[at, number] / window
            slope = by_gates[row, number] * window * opened * (ONE - opened)
            gradient.biases[number] += slope
            for k in range(by_features.shape[1]):
                by_features[row, k] += slope * weights.gates[number, k]
                gradient.gates[number, k] += slope * layers.features[at, k]
