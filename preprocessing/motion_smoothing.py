"""Smoothing of tracked motion over time by what each measurement is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.special import gammaincinv

DIFFERENCE = np.array([1.0, -2.0, 1.0])
QUIET_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
"""Of a motion hardly anything is left by it; of noise, which is new in every frame, nearly all."""
LEAST_MOTION = 0.2
"""Of the second differences seen, so much is motion at least."""
MOST_LEARNT = 20_000
"""Windows of a long film that noise and acceleration are learnt from; they are medians."""
TO_DEVIATION = 1.4826
"""From a median of absolute values to a standard deviation."""


@dataclass
class MotionSmoother:
    """The most probable motion x given measurements y_t of information H_t and small random accelerations.

    Minimises the sum over t of (x_t - y_t)' H_t (x_t - y_t) / noise + |(x_{t-1} - 2 x_t + x_{t+1}) / acceleration|^2.
    What a frame shows clearly (where the head is in the picture, its tilt) is kept; what it shows vaguely (its
    distance, how far it is turned) is taken from the frames around. A fixed window would blur the one to calm the
    other.
    """

    noise: float
    """How many times the variance of a measurement is what its information says."""
    acceleration: Float[np.ndarray, " D"]
    """Standard deviation of the second difference of the true motion."""

    @classmethod
    def learn(
        cls,
        values: Float[np.ndarray, "T D"],
        information: Float[np.ndarray, "T D D"],
        stretches: Sequence[slice],
        groups: Sequence[slice],
        strength: float = 1.0,
    ) -> MotionSmoother:
        """Measures noise and acceleration.

        Args:
            values: measurements y.
            information: inverse covariances up to one factor; zero for a frame that was lost.
            stretches: frames that may be learnt from, each in one piece.
            groups: channels whose accelerations are alike. All D channels that are in none are as those in the last.
            strength: multiplies the noise: more smooths more.
        """
        known = information.any((1, 2))
        covariance = np.zeros_like(information)
        covariance[known] = np.linalg.inv(information[known])
        quiet, spread = _differences(values, covariance, known, stretches, QUIET_DIFFERENCE)
        distance = np.einsum("ti,ti->t", quiet, np.linalg.solve(spread, quiet[..., None])[..., 0])
        width = values.shape[1]
        usual = 2 * float(gammaincinv(width / 2, 0.5))  # median of chi squared with D degrees of freedom
        noise = float(np.median(distance)) / usual if len(distance) else 1.0
        second, spread = _differences(values, covariance, known, stretches, DIFFERENCE)
        acceleration = np.ones(width)
        if len(second):
            seen = (TO_DEVIATION * np.median(np.abs(second), axis=0)) ** 2
            shaken = noise * np.median(np.einsum("tii->ti", spread), axis=0)
            moved = np.maximum(seen - shaken, LEAST_MOTION**2 * seen)
            for group in groups:
                acceleration[group.start :] = max(float(np.sqrt(moved[group].mean())), 1e-9)
        return cls(max(noise * strength, 1e-9), acceleration)

    def smooth(
        self, values: Float[np.ndarray, "T D"], information: Float[np.ndarray, "T D D"]
    ) -> tuple[Float[np.ndarray, "T D"], Float[np.ndarray, "T D"]]:
        """Smooths one stretch.

        Returns:
            the motion, and its standard deviation. With fewer than two known frames the motion is not known: zero, with
            an infinite deviation.
        """
        count, width = values.shape
        if np.count_nonzero(information.any((1, 2))) < 2:
            return np.zeros_like(values), np.full_like(values, np.inf)
        scaled = information * self.acceleration[:, None] * self.acceleration / self.noise
        lower = 2 * width  # a frame is tied to the two after it
        band = np.zeros((lower + 1, count * width))  # scipy's lower form: band[i - j, j] is element (i, j)
        for i in range(width):
            for j in range(i + 1):
                band[i - j, j::width] += scaled[:, i, j]
        for p in range(3):
            for q in range(p + 1):
                band[(p - q) * width, q * width : (count - 2 + q) * width] += DIFFERENCE[p] * DIFFERENCE[q]
        factor = cholesky_banded(band, lower=True)
        moment = np.einsum("tij,tj->ti", scaled, values / self.acceleration).reshape(-1)
        smooth = cho_solve_banded((factor, True), moment).reshape(count, width)
        deviation = np.sqrt(_inverse_diagonal(factor)).reshape(count, width)
        return smooth * self.acceleration, deviation * self.acceleration


def _differences(
    values: Float[np.ndarray, "T D"],
    covariance: Float[np.ndarray, "T D D"],
    known: Bool[np.ndarray, " T"],
    stretches: Sequence[slice],
    weights: Float[np.ndarray, " K"],
) -> tuple[Float[np.ndarray, "M D"], Float[np.ndarray, "M D D"]]:
    """Weighted sums of consecutive known frames, and their covariances if they were nothing but noise; of a long film
    only some."""
    reach = len(weights)
    starts = np.concatenate([np.arange(run.start, run.stop - reach + 1) for run in stretches] or [np.zeros(0, int)])
    windows = starts.astype(int)[:, None] + np.arange(reach)
    windows = windows[known[windows].all(1)]
    windows = windows[:: 1 + len(windows) // MOST_LEARNT]
    return np.einsum("k,mkd->md", weights, values[windows]), np.einsum("k,mkij->mij", weights**2, covariance[windows])


def _inverse_diagonal(factor: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " n"]:
    """The diagonal of a matrix' inverse from its banded Cholesky factor (lower form), by Takahashi's recursion: an
    element of the inverse within the band needs only those within the band below and to the right of it."""
    reach, count = len(factor) - 1, factor.shape[1]
    below = factor[1:] / factor[0]
    window = np.zeros((reach, reach))  # of the inverse, from row and column j + 1 on
    diagonal = np.empty(count)
    for j in range(count - 1, -1, -1):
        column = -window @ below[:, j]
        diagonal[j] = 1 / factor[0, j] ** 2 - below[:, j] @ column
        window[1:, 1:] = window[:-1, :-1].copy()
        window[0, 0] = diagonal[j]
        window[0, 1:] = window[1:, 0] = column[:-1]
    return diagonal
