"""Smoothing of tracked motion over time by what each measurement is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.linalg import solveh_banded


def smooth_track(
    values: Float[np.ndarray, "T D"], information: Float[np.ndarray, "T D D"], acceleration: float
) -> Float[np.ndarray, "T D"]:
    """The most probable motion x given measurements y_t of information H_t and small random accelerations.

    Minimises the sum over t of (x_t - y_t)' H_t (x_t - y_t) + |x_{t-1} - 2 x_t + x_{t+1}|^2 / acceleration^2. What a
    frame shows clearly (where the head is in the picture, its tilt) is kept; what it shows vaguely (its distance, how
    far it is turned) is taken from the frames around. A fixed window would blur the one to calm the other.

    Args:
        values: measurements y, in units in which accelerations of all D parameters are alike.
        information: inverse covariance of each measurement; zero for a frame that was lost. With fewer than two
            frames the motion is not known, and the result is zero.
        acceleration: standard deviation of the second difference of the true motion.
    """
    count, width = values.shape
    if np.count_nonzero(information.any((1, 2))) < 2:
        return np.zeros_like(values)
    if count < 3:
        return values
    upper = 2 * width  # a frame is tied to the two after it
    band = np.zeros((upper + 1, count * width))  # scipy's upper form: band[upper + i - j, j] is element (i, j)
    for i in range(width):
        for j in range(i, width):
            band[upper + i - j, j::width] += information[:, i, j]
    difference = (1.0, -2.0, 1.0)
    for p in range(3):
        for q in range(p, 3):
            tie = difference[p] * difference[q] / acceleration**2
            band[upper - (q - p) * width, q * width : (count - 2 + q) * width] += tie
    moment = np.einsum("tij,tj->ti", information, values).reshape(-1)
    return solveh_banded(band, moment).reshape(count, width)


def typical_acceleration(places: Float[np.ndarray, "T 2"]) -> float:
    """Robust standard deviation of the second difference of a motion in the image plane, which is measured well."""
    if len(places) < 3:
        return 1.0
    return max(1.4826 * float(np.median(np.abs(np.diff(places, 2, axis=0)))), 1e-6)


def jitter(places: Float[np.ndarray, "T ..."], stretches: Sequence[slice]) -> float:
    """Standard deviation of the second difference over time, within stretches: what shakes, not what moves."""
    shakes = [np.diff(places[stretch], 2, axis=0) for stretch in stretches]
    return float(np.concatenate(shakes).std()) if sum(map(len, shakes)) else 0.0
