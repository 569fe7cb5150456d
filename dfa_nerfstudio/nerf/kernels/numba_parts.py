"""What the compiled functions of rendering and of training share: constants, places of samples, lookup of features,
gates.

All numbers are in single precision. A literal such as 0.5 would be double and make its expression double, therefore
constants have names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from dfa_nerfstudio.nerf.kernels import VECTOR
from dfa_nerfstudio.nerf.kernels.numba_vectors import blend_pairs, blend_rows

TILE = 128
"""Samples that are evaluated together: 130 KB of features and hidden layers."""
ZERO, HALF, ONE, TWO, TENTH = (np.float32(value) for value in (0, 0.5, 1, 2, 0.1))
NEAREST, SMALLEST_SLOPE = np.float32(1e-3), np.float32(1e-9)
NUMBER_BYTES = np.dtype(np.float32).itemsize

FAST_MATH = {"nsz", "arcp", "contract", "afn", "reassoc"}
SOURCES = tuple(
    (path.name, path.stat().st_size, path.stat().st_mtime) for path in sorted(Path(__file__).parent.glob("numba_*.py"))
)
"""Name, bytes and time of change of all files of compiled functions."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function at first use and keeps it on disk.

    It releases the interpreter lock. Its sums may be reordered, as vector instructions need, but numbers that are not
    finite stay what they are.

    Numba would compile it again only when its own file has changed, although the functions that it calls are part of
    the result. Here it does so when any of `SOURCES` has.
    """
    dispatcher = njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST_MATH)(function)
    dispatcher._cache._cache_file._source_stamp = SOURCES
    return dispatcher



class Constants(NamedTuple):
    """What neither training nor a frame changes."""

    levels: np.ndarray
    """First row and resolution of each level, [levels, 2]."""
    scales: np.ndarray
    """See `GridLevel.scale`, [levels]."""
    axes: np.ndarray
    """The two axes of each plane among those of head space and torso space, [planes, 2]."""
    margin: np.float32
    """See `FeatureGrid.margin`."""
    regions: np.ndarray
    """Centre and radii of the gates' ellipsoids, [3, 2, 3]."""
    moved_region: np.ndarray
    """Centre and radii of the ellipsoid in which head space is deformed, [1, 2, 3]; empty if it is not."""
    gated: bool
    """False: gates are always 1."""
    gate_slope: np.float32
    gate_limit: np.float32
    gate_cutoff: np.float32
    """Of the gates' prior, see `GATE_SLOPE`; the cutoff is infinite for gates without prior."""


class View(NamedTuple):
    """Of the scene, see `SceneBounds`."""

    near: np.float32
    far: np.float32
    half_width: np.float32
    half_height: np.float32


@compiled
def clamp(value, low, high):
    """A value within limits; `low` for one that is not a number, which must not become an address."""
    return min(value, high) if value > low else low


@compiled
def sigmoid(value):
    """1 / (1 + exp(-value))."""
    return ONE / (ONE + math.exp(-value))


@compiled
def radius_in(points, row, regions, number):
    """Distance of a point from an ellipsoid's centre, in its radii."""
    total = ZERO
    for axis in range(3):
        local = (points[row, axis] - regions[number, 0, axis]) / regions[number, 1, axis]
        total += local * local
    return math.sqrt(total)


@compiled
def cube_interval(origins, directions, ray):
    """Distances at which a ray enters and leaves the cube [-1, 1]^3; equal if it misses it.

    Args:
        origins: of the rays, or one that all share.
        directions: of the rays.
        ray: its number.
    """
    near, far, place = NEAREST, np.float32(np.inf), min(ray, len(origins) - 1)
    for axis in range(3):
        slope, origin = directions[ray, axis], origins[place, axis]
        inverse = ONE / (SMALLEST_SLOPE if abs(slope) < SMALLEST_SLOPE else slope)
        first, second = (-ONE - origin) * inverse, (ONE - origin) * inverse
        near, far = max(near, min(first, second)), min(far, max(first, second))
    return near, max(far, near)


@compiled
def cell_at(origins, directions, ray, distance, cells):
    """Index of the cell of a sample; see `OccupancyGrid.cell`."""
    cell, place = 0, min(ray, len(origins) - 1)
    for axis in range(3):
        point = origins[place, axis] + distance * directions[ray, axis]
        index = int((point + ONE) * (HALF * np.float32(cells)))
        cell = cell * cells + min(max(index, 0), cells - 1)
    return cell


@compiled
def find_positions(origins, directions, to_torso, view, ray, distance, points, row):
    """Writes a sample's position in head space and in torso space in a row of `points`, [S, 6]."""
    place = min(ray, len(origins) - 1)
    for axis in range(3):
        points[row, axis] = origins[place, axis] + distance * directions[ray, axis]
    for axis in range(3):
        points[row, 3 + axis] = to_torso[axis, 3]
        for other in range(3):
            points[row, 3 + axis] += to_torso[axis, other] * points[row, other]
    depth = max(points[row, 5], TENTH * view.near)
    points[row, 3] /= depth * view.half_width
    points[row, 4] /= depth * view.half_height
    points[row, 5] = (depth - view.near) * (TWO / (view.far - view.near)) - ONE


@compiled
def find_window(points, row, region, cells):
    """Where a point lies in the grid that deforms head space; see `MouthWarp`.

    Returns:
        the window's value, 0 where nothing is deformed; the lower corner of the point's cell, and its place in that
        cell.
    """
    radius = radius_in(points, row, region, 0)
    if not radius < ONE:  # also for a radius that is not a number
        return ZERO, 0, 0, ZERO, ZERO
    along_x = ((points[row, 0] - region[0, 0, 0]) / region[0, 1, 0] + ONE) * HALF * np.float32(cells)
    along_y = ((points[row, 1] - region[0, 0, 1]) / region[0, 1, 1] + ONE) * HALF * np.float32(cells)
    x, y = min(int(along_x), cells - 1), min(int(along_y), cells - 1)
    return min(TWO * (ONE - radius), ONE), x, y, along_x - np.float32(x), along_y - np.float32(y)


@compiled
def find_cell(points, row, constants, level, corner, fraction):
    """Writes the lower corner of a point's cell in a level, and the point's place in it, for each axis."""
    scale = constants.scales[level]
    for axis in range(points.shape[1]):
        unit = clamp(points[row, axis], -ONE, ONE) * (HALF - constants.margin) + HALF
        position = unit * scale + HALF
        corner[axis] = int(position)
        fraction[axis] = position - np.float32(corner[axis])


@compiled
def look_up(points, table, constants, features, start, stop):
    """Writes rows `start` to `stop` of the features; see `FeatureGrid.forward`.

    Args:
        points: positions in head space and torso space, [S, 6].
        table: features of the planes' vertices, [planes, entries, F].
        constants: of the field.
        features: [S, levels * planes * F].
        start: first row.
        stop: row after the last.
    """
    num_planes, num_entries, num_values = table.shape
    row_bytes = num_values * NUMBER_BYTES
    first_row, first_feature = np.int64(table.ctypes.data), np.int64(features.ctypes.data)
    corner, fraction = np.empty(6, np.int32), np.empty(6, np.float32)
    for row in range(start, stop):
        target = first_feature + row * features.shape[1] * NUMBER_BYTES
        for level in range(len(constants.scales)):
            find_cell(points, row, constants, level, corner, fraction)
            first, resolution = constants.levels[level, 0], constants.levels[level, 1]
            for plane in range(num_planes):
                x, y = constants.axes[plane, 0], constants.axes[plane, 1]
                vertex = plane * num_entries + first + corner[y] * resolution + corner[x]
                source = first_row + vertex * row_bytes
                if num_values == VECTOR:
                    blend_pairs(source, resolution * row_bytes, fraction[x], fraction[y], target)
                else:
                    for part in range(0, row_bytes, VECTOR * NUMBER_BYTES):
                        blend_rows(
                            source + part, row_bytes, resolution * row_bytes, fraction[x], fraction[y], target + part
                        )
                target += row_bytes


@compiled
def gate_radii(head_points, row, constants, gates, at):
    """Leaves a point's distances from the gates' ellipsoids, in their radii, in row `at` of `gates`."""
    gates[at, 0] = radius_in(head_points, row, constants.regions, 0)
    left = radius_in(head_points, row, constants.regions, 1)
    gates[at, 1] = min(left, radius_in(head_points, row, constants.regions, 2))


@compiled
def open_gates(features, weights, biases, constants, gates, start, stop):
    """Replaces the distances that `gate_radii` left by the gates; see `ConditionedField._gates`.

    Args:
        features: features of the samples.
        weights: weights of the gates, [2, features].
        biases: their biases, [2 or more].
        constants: of the field.
        gates: [S, 2].
        start: first row.
        stop: row after the last.
    """
    for row in range(start, stop):
        for number in range(2):
            radius = gates[row, number]
            if not constants.gated:
                gates[row, number] = ONE
            elif radius >= constants.gate_cutoff:
                gates[row, number] = ZERO
            else:
                logit = biases[number]
                for k in range(features.shape[1]):
                    logit += features[row, k] * weights[number, k]
                prior = clamp(constants.gate_slope * (ONE - radius), -constants.gate_limit, constants.gate_limit)
                gates[row, number] = sigmoid(logit + prior) * min(constants.gate_cutoff - radius, ONE)
