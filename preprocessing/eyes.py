"""Eye opening between 0 (closed) and 1 (open), calibrated to the person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.preprocessing.face_topology import EYE_CORNERS, EYELIDS

CLOSED_TO_OPEN = 0.35
"""Where the landmarks put the lids of a closed eye, relative to the open one: for a person who never blinks."""
BLINK_DEPTH = 0.65
"""A dip below this part of the open eye is a blink."""


def lid_ratio(landmarks: Float[np.ndarray, "T 478 3"]) -> Float[np.ndarray, "T 2"]:
    """Distance of the lids over the width of the eye, from landmarks in head space; the eye on the image's left
    first."""
    lids = landmarks[:, EYELIDS]  # [T, 2, pairs, 2, 3]
    corners = landmarks[:, EYE_CORNERS]  # [T, 2, 2, 3]
    height = np.linalg.norm(lids[..., 0, :] - lids[..., 1, :], axis=-1).mean(-1)
    return height / np.linalg.norm(corners[..., 0, :] - corners[..., 1, :], axis=-1)


@dataclass
class EyeCalibration:
    """Lid ratios of the closed and of the open eye."""

    closed: Float[np.ndarray, " 2"]
    open: Float[np.ndarray, " 2"]
    blinks_seen: bool
    """False when the person never blinked in the training part and `closed` is an anatomical guess."""

    @classmethod
    def learn(cls, ratio: Float[np.ndarray, "T 2"]) -> EyeCalibration:
        """Learns both levels from the training frames' lid ratios [T, 2].

        Open is the 90th percentile of what is no blink, closed the 1st percentile of everything.
        """
        usual = np.median(ratio, axis=0)
        awake = ratio > BLINK_DEPTH * usual
        opened = np.array([np.percentile(ratio[awake[:, eye], eye], 90) for eye in range(2)])
        lowest = np.percentile(ratio, 1, axis=0)
        blinks_seen = bool((lowest < BLINK_DEPTH * opened).all())
        return cls(lowest if blinks_seen else CLOSED_TO_OPEN * opened, opened, blinks_seen)

    def opening(self, ratio: Float[np.ndarray, "T 2"]) -> Float[np.ndarray, "T 2"]:
        """0 closed to 1 open."""
        return np.clip((ratio - self.closed) / (self.open - self.closed), 0, 1)
