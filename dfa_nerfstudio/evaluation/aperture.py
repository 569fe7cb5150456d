"""Aperture of mouth and eyes in video frames, from tracked landmarks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from dfa_nerfstudio.evaluation.landmark_track import LandmarkTrack
from dfa_nerfstudio.face.eye_aperture import lid_ratio
from dfa_nerfstudio.face.mouth_aperture import lip_gap


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
        return cls.from_track(LandmarkTrack.from_frames(frames))

    @classmethod
    def from_track(cls, track: LandmarkTrack) -> Aperture:
        """Measures frames whose face is tracked already."""
        return cls(lip_gap(track.landmarks), lid_ratio(track.landmarks).mean(1))
