"""Aperture of mouth and eyes in video frames, from tracked landmarks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from dfa_nerfstudio.evaluation.landmark_track import LandmarkTrack
from dfa_nerfstudio.face.eye_aperture import lid_ratio
from dfa_nerfstudio.face.topology import INNER_LIPS, OUTER_EYE_CORNERS


@dataclass
class Aperture:
    """Aperture of mouth and eyes in T frames; NaN where no face is found."""

    mouth: Float[np.ndarray, " T"]
    """Mean distance between the inner lips, in units of the outer eye corner distance."""
    eyes: Float[np.ndarray, " T"]
    """Lid distance over eye width, mean of both eyes."""

    @classmethod
    def from_frames(cls, frames: Iterable[UInt8[np.ndarray, "H W 3"]]) -> Aperture:
        """Measures consecutive frames of one size."""
        points = LandmarkTrack.from_frames(frames).landmarks
        lips, (left, right) = points[:, INNER_LIPS, :2], OUTER_EYE_CORNERS
        unit = np.linalg.norm(points[:, left] - points[:, right], axis=-1)
        gap = np.linalg.norm(lips[:, :, 0] - lips[:, :, 1], axis=-1).mean(1)
        return cls(gap / unit, lid_ratio(points).mean(1))


def amplitude_and_correlation(
    predicted: Float[np.ndarray, " T"], truth: Float[np.ndarray, " T"]
) -> tuple[float, float]:
    """Ratio of the standard deviations of an aperture and of the true one, and the correlation of the two.

    Only frames in which both are finite count. The ratio is NaN if the truth is constant or no frame counts; the
    correlation is NaN if either is constant.

    Example:
        >>> amplitude_and_correlation(np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 3.0, 1.0, 3.0]))
        (0.5, 1.0)
    """
    both = np.isfinite(predicted) & np.isfinite(truth)
    predicted, truth = predicted[both], truth[both]
    if not len(predicted) or not truth.std():
        return float("nan"), float("nan")
    correlation = float(np.corrcoef(predicted, truth)[0, 1]) if predicted.std() else float("nan")
    return float(predicted.std() / truth.std()), correlation
