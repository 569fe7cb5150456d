"""Face landmarks that the tracker finds in the frames of a video.

Only videos that the same tracker saw can be compared, because the tracker has a face prior: in blurred frames it finds
an average face.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker
from dfa_nerfstudio.face.topology import NUM_MESH_LANDMARKS

_MIN_SIDE = 256
"""Shorter side, in pixels, to which smaller frames are enlarged before tracking."""


@dataclass
class LandmarkTrack:
    """Landmarks in T frames of one size."""

    landmarks: Float[np.ndarray, "T 478 3"]
    """Pixels, x right, y down, z away from the camera; NaN where no face is found."""
    size: tuple[int, int]
    """Width and height of the frames in pixels."""

    @classmethod
    def from_frames(cls, frames: Iterable[UInt8[np.ndarray, "H W 3"]]) -> LandmarkTrack:
        """Tracks one face in consecutive frames of one size."""
        tracker = LandmarkTracker.create(None, single_face=True)
        landmarks, width, height = [], 0, 0
        for frame in frames:
            height, width = frame.shape[:2]
            scale = max(1.0, _MIN_SIDE / min(height, width))
            enlarged = (round(width * scale), round(height * scale))
            face = tracker.track(cv2.resize(frame, enlarged, interpolation=cv2.INTER_CUBIC))
            landmarks.append(
                np.full((NUM_MESH_LANDMARKS, 3), np.nan) if face is None else face.landmarks * [width, height, width]
            )
        return cls(np.array(landmarks).reshape(-1, NUM_MESH_LANDMARKS, 3), (width, height))

    def __len__(self) -> int:
        return len(self.landmarks)

    @property
    def found(self) -> Bool[np.ndarray, " T"]:
        """Whether each frame shows a face."""
        return np.isfinite(self.landmarks).all((1, 2))
