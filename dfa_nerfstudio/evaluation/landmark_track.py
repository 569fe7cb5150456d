"""Where a landmark tracker sees a face in pictures.

Only comparisons of pictures seen by the same tracker mean anything: it knows what faces look like, and where a picture
is vague, it sees what is usual.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker
from dfa_nerfstudio.face.topology import NUM_LANDMARKS

_SIDE = 256
"""Pixels to which smaller pictures are enlarged."""


@dataclass
class Sightings:
    """Of T frames of one size."""

    landmarks: Float[np.ndarray, "T 478 3"]
    """In pixels, x right, y down, z away; NaN where no face is seen."""
    size: tuple[int, int]
    """Width and height of the frames."""

    @classmethod
    def of(cls, pictures: Iterable[UInt8[np.ndarray, "H W 3"]]) -> Sightings:
        """Frames that follow each other, of one size."""
        tracker = LandmarkTracker.create(None, alone=True)
        landmarks, width, height = [], 0, 0
        for picture in pictures:
            height, width = picture.shape[:2]
            scale = max(1.0, _SIDE / min(height, width))
            large = (round(width * scale), round(height * scale))
            face = tracker.find(cv2.resize(picture, large, interpolation=cv2.INTER_CUBIC))
            points = np.full((NUM_LANDMARKS, 3), np.nan) if face is None else face.landmarks * [width, height, width]
            landmarks.append(points)
        return cls(np.array(landmarks).reshape(-1, NUM_LANDMARKS, 3), (width, height))

    def __len__(self) -> int:
        return len(self.landmarks)

    @property
    def found(self) -> Bool[np.ndarray, " T"]:
        return np.isfinite(self.landmarks).all((1, 2))
