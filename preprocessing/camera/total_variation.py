"""A motion that rests most of the time: total variation instead of acceleration."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.linalg import solveh_banded

ITERATIONS = 30
AT_REST = 1e-3
"""A step as small as this, in the values' unit, is none."""


def smoothed_at_rest(
    values: Float[np.ndarray, "T D"], information: Float[np.ndarray, "T D D"], price: float
) -> Float[np.ndarray, "T D"]:
    """The motion x that minimises the sum over t of (x_t - y_t)' H_t (x_t - y_t) / 2 + price |x_t - x_{t-1}|.

    Where the measurements y do not clearly say that it moved, it stays exactly where it was, for as long as that lasts;
    a jump stays a jump. Solved by weighted least squares, each round weighting a step by the inverse of its length.

    Args:
        values: measurements y.
        information: H, their inverse covariances; zero for what was not measured.
        price: of moving by one unit.
    """
    count, width = values.shape
    if count < 2:
        return values.copy()
    size = count * width
    right = np.einsum("tij,tj->ti", information, values).ravel()
    motion, step = values, np.linalg.norm(np.diff(values, axis=0), axis=1)
    for _ in range(ITERATIONS):
        weight = price / np.maximum(step, AT_REST)  # [T - 1]
        bands = np.zeros((width + 1, size))  # lower form: bands[k, j] is the element (j + k, j)
        for row in range(width):
            for column in range(row + 1):
                bands[row - column, column::width] = information[:, row, column]
        bands[0] += np.repeat(np.r_[weight, 0] + np.r_[0, weight], width) + 1e-9
        bands[width, : size - width] -= np.repeat(weight, width)
        motion = solveh_banded(bands, right, lower=True).reshape(count, width)
        step = np.linalg.norm(np.diff(motion, axis=0), axis=1)
    return motion
