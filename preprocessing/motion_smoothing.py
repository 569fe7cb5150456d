"""Smooths tracked motion over time, weighting each measurement by its information."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.special import gammaincinv

SECOND_DIFFERENCE = np.array([1.0, -2.0, 1.0])
FOURTH_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
"""Filter that removes most of a motion, but little of noise that is independent from frame to frame."""
MIN_MOTION_SHARE = 0.2
"""Minimum share of the observed second differences that is attributed to motion instead of noise."""
MAX_FIT_WINDOWS = 20_000
"""Maximum number of windows that noise and acceleration are estimated from; both are medians."""
MAD_TO_DEVIATION = 1.4826
"""Factor from a median absolute value to the standard deviation of a normal distribution."""


@dataclass
class MotionSmoother:
    """Estimates the most probable motion x, given measurements y_t with information H_t and small random accelerations.

    Minimizes the sum over t of (x_t - y_t)' H_t (x_t - y_t) / noise + |(x_{t-1} - 2 x_t + x_{t+1}) / acceleration|^2.
    Components that a frame determines well (position in the image, tilt) stay close to the measurement; components that
    it determines badly (distance, yaw and pitch) follow the neighbouring frames. A filter with one fixed window would
    blur the former to stabilize the latter.
    """

    noise: float
    """Ratio of a measurement's variance to the variance that its information claims."""
    acceleration: Float[np.ndarray, " D"]
    """Standard deviation of the second difference of the true motion, per channel."""

    @classmethod
    def fit(
        cls,
        values: Float[np.ndarray, "T D"],
        information: Float[np.ndarray, "T D D"],
        segments: Sequence[slice],
        groups: Sequence[slice],
        strength: float = 1.0,
    ) -> MotionSmoother:
        """Estimates noise and acceleration from measurements.

        Args:
            values: measurements y.
            information: inverse covariances up to one common factor; zero for a lost frame.
            segments: runs of consecutive frames to estimate from.
            groups: groups of channels with similar acceleration. Channels in no group get that of the last group.
            strength: factor of the noise; larger values smooth more.
        """
        known = information.any((1, 2))
        covariance = np.zeros_like(information)
        covariance[known] = np.linalg.inv(information[known])
        fourth, fourth_covariance = _differences(values, covariance, known, segments, FOURTH_DIFFERENCE)
        distance = np.einsum("ti,ti->t", fourth, np.linalg.solve(fourth_covariance, fourth[..., None])[..., 0])
        width = values.shape[1]
        expected = 2 * float(gammaincinv(width / 2, 0.5))  # median of chi squared with D degrees of freedom
        noise = float(np.median(distance)) / expected if len(distance) else 1.0
        second, second_covariance = _differences(values, covariance, known, segments, SECOND_DIFFERENCE)
        acceleration = np.ones(width)
        if len(second):
            total = (MAD_TO_DEVIATION * np.median(np.abs(second), axis=0)) ** 2
            from_noise = noise * np.median(np.einsum("tii->ti", second_covariance), axis=0)
            from_motion = np.maximum(total - from_noise, MIN_MOTION_SHARE**2 * total)
            for group in groups:
                acceleration[group.start :] = max(float(np.sqrt(from_motion[group].mean())), 1e-9)
        return cls(max(noise * strength, 1e-9), acceleration)

    def smooth(
        self, values: Float[np.ndarray, "T D"], information: Float[np.ndarray, "T D D"]
    ) -> tuple[Float[np.ndarray, "T D"], Float[np.ndarray, "T D"]]:
        """Smooths one segment.

        Returns:
            the motion and its standard deviation. With fewer than two known frames the motion is zero and its standard
            deviation infinite.
        """
        num_frames, width = values.shape
        if np.count_nonzero(information.any((1, 2))) < 2:
            return np.zeros_like(values), np.full_like(values, np.inf)
        scaled = information * self.acceleration[:, None] * self.acceleration / self.noise
        bandwidth = 2 * width  # second differences couple a frame with the next two
        band = np.zeros((bandwidth + 1, num_frames * width))  # scipy's lower form: band[i - j, j] is element (i, j)
        for i in range(width):
            for j in range(i + 1):
                band[i - j, j::width] += scaled[:, i, j]
        for p in range(3):
            for q in range(p + 1):
                coupling = SECOND_DIFFERENCE[p] * SECOND_DIFFERENCE[q]
                band[(p - q) * width, q * width : (num_frames - 2 + q) * width] += coupling
        factor = cholesky_banded(band, lower=True)
        moment = np.einsum("tij,tj->ti", scaled, values / self.acceleration).reshape(-1)
        smooth = cho_solve_banded((factor, True), moment).reshape(num_frames, width)
        deviation = np.sqrt(_inverse_diagonal(factor)).reshape(num_frames, width)
        return smooth * self.acceleration, deviation * self.acceleration


def _differences(
    values: Float[np.ndarray, "T D"],
    covariance: Float[np.ndarray, "T D D"],
    known: Bool[np.ndarray, " T"],
    segments: Sequence[slice],
    weights: Float[np.ndarray, " K"],
) -> tuple[Float[np.ndarray, "M D"], Float[np.ndarray, "M D D"]]:
    """Returns weighted sums over windows of known frames, and their covariances under the assumption of pure noise.

    The windows of a long clip are subsampled to at most `MAX_FIT_WINDOWS`.
    """
    width = len(weights)
    starts = np.concatenate([np.arange(run.start, run.stop - width + 1) for run in segments] or [np.zeros(0, int)])
    windows = starts.astype(int)[:, None] + np.arange(width)
    windows = windows[known[windows].all(1)]
    windows = windows[:: 1 + len(windows) // MAX_FIT_WINDOWS]
    return np.einsum("k,mkd->md", weights, values[windows]), np.einsum("k,mkij->mij", weights**2, covariance[windows])


def _inverse_diagonal(factor: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " n"]:
    """Returns the diagonal of a matrix' inverse, given the matrix' banded Cholesky factor (lower form).

    Takahashi's recursion: an element of the inverse within the band depends only on elements within the band below and
    to the right of it.
    """
    bandwidth, size = len(factor) - 1, factor.shape[1]
    below = factor[1:] / factor[0]
    window = np.zeros((bandwidth, bandwidth))  # of the inverse, from row and column j + 1 on
    diagonal = np.empty(size)
    for j in range(size - 1, -1, -1):
        column = -window @ below[:, j]
        diagonal[j] = 1 / factor[0, j] ** 2 - below[:, j] @ column
        window[1:, 1:] = window[:-1, :-1].copy()
        window[0, 0] = diagonal[j]
        window[0, 1:] = window[1:, 0] = column[:-1]
    return diagonal
