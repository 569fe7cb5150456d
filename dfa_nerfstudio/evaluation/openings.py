"""How far mouth and eyes open in pictures, as a landmark tracker sees it.

Only comparisons of pictures seen by the same tracker mean anything: it knows what faces look like, and where a picture
is vague, it sees what is usual.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dfa_nerfstudio.preprocessing.face.eyes import lid_ratio
from dfa_nerfstudio.preprocessing.face.landmarks import LandmarkTracker
from dfa_nerfstudio.preprocessing.face.topology import INNER_LIPS, OUTER_EYE_CORNERS

_SIDE = 256
"""Pixels to which smaller pictures are enlarged."""


@dataclass
class Openings:
    """Of T frames; NaN where no face is seen."""

    mouth: Float[np.ndarray, " T"]
    """Mean distance of the inner lips, in distances of the outer eye corners."""
    eyes: Float[np.ndarray, " T"]
    """Distance of the lids over the width of the eye, of both eyes."""

    @classmethod
    def of(cls, pictures: Iterable[UInt8[np.ndarray, "H W 3"]]) -> Openings:
        """Frames that follow each other, of one size."""
        tracker = LandmarkTracker.create(None, alone=True)
        mouth, eyes = [], []
        for picture in pictures:
            scale = max(1.0, _SIDE / min(picture.shape[:2]))
            height, width = (round(side * scale) for side in picture.shape[:2])
            face = tracker.find(cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC))
            points = np.full((478, 3), np.nan) if face is None else face.landmarks * [width, height, width]
            lips = points[INNER_LIPS, :2]
            unit = np.linalg.norm(np.subtract(*points[list(OUTER_EYE_CORNERS)]))
            mouth.append(np.linalg.norm(lips[:, 0] - lips[:, 1], axis=-1).mean() / unit)
            eyes.append(lid_ratio(points[None])[0].mean())
        return cls(np.array(mouth), np.array(eyes))


def agreement(seen: Float[np.ndarray, " T"], true: Float[np.ndarray, " T"]) -> tuple[float, float]:
    """How far an opening moves, as a multiple of how far the true one moves (standard deviations), and the correlation
    of the two; over frames in which both are seen. NaN for what cannot be told: something that never moves follows
    nothing.

    Example:
        >>> agreement(np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 3.0, 1.0, 3.0]))
        (0.5, 1.0)
    """
    both = np.isfinite(seen) & np.isfinite(true)
    seen, true = seen[both], true[both]
    if not len(seen) or not true.std():
        return float("nan"), float("nan")
    return float(seen.std() / true.std()), float(np.corrcoef(seen, true)[0, 1]) if seen.std() else float("nan")
