"""Smooths a motion that rests most of the time, by penalizing its total variation instead of its acceleration."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.linalg import solveh_banded

NUM_ITERATIONS = 30
MIN_STEP = 1e-3
"""Step below which the motion counts as at rest, in the unit of the values."""


def smooth_total_variation(
    values: Float[np.ndarray, "T D"], information: Float[np.ndarray, "T D D"], penalty: float
) -> Float[np.ndarray, "T D"]:
    """Returns the motion x that minimizes the sum over t of (x_t - y_t)' H_t (x_t - y_t) / 2 + penalty |x_t - x_{t-1}|.

    It is exactly constant while the measurements y do not clearly indicate motion, and it keeps jumps. Solved by
    iteratively reweighted least squares: the weight of a step is the inverse of its length.

    Args:
        values: measurements y.
        information: inverse covariances H of the measurements; zero for a missing measurement.
        penalty: cost of a motion by one unit.
    """
    num_frames, width = values.shape
    if num_frames < 2:
        return values.copy()
    size = num_frames * width
    right = np.einsum("tij,tj->ti", information, values).ravel()
    motion, step = values, np.linalg.norm(np.diff(values, axis=0), axis=1)
    for _ in range(NUM_ITERATIONS):
        weight = penalty / np.maximum(step, MIN_STEP)  # [T - 1]
        bands = np.zeros((width + 1, size))  # lower form: bands[k, j] is the element (j + k, j)
        for row in range(width):
            for column in range(row + 1):
                bands[row - column, column::width] = information[:, row, column]
        bands[0] += np.repeat(np.r_[weight, 0] + np.r_[0, weight], width) + 1e-9
        bands[width, : size - width] -= np.repeat(weight, width)
        motion = solveh_banded(bands, right, lower=True).reshape(num_frames, width)
        step = np.linalg.norm(np.diff(motion, axis=0), axis=1)
    return motion
