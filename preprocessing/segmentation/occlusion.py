"""Finds frames in which something covers the mouth: a hand, a microphone, paper, hair.

A covered mouth looks unlike this person's mouth ever does. Small images of it, aligned by the rigid part of the face,
are compared with a low-rank model of the person's own, which is fitted to the frames that it describes best.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from scipy.ndimage import binary_dilation, binary_opening

from dfa_nerfstudio.face.topology import OUTER_EYE_CORNERS, RIGID

WIDTH, HEIGHT = 24, 16
"""Size of the image of a region, pixels."""
NUM_FRAMES, RANK, NUM_ROUNDS = 400, 8, 4
"""Number of training frames that a model is fitted to at most, its rank, and the rounds of its fit."""
KEPT_SHARE = 0.6
"""Share of these frames, those that it describes best, that the model is fitted to; the others may be covered."""
MIN_RUN, MARGIN = 3, 2
"""Fewest frames in a row that count as covered, and frames before and after them that are partly covered."""


REGIONS = ((-0.6, 0.2, 0.6, 1.0), (-0.8, -0.7, 0.8, 0.0))
"""Left, top, right and bottom of the regions of mouth and eyes, in eye distances from the middle of the rigid
landmarks."""
THRESHOLD = 6.0
"""Error of the mouth's model, relative to the median error of the kept frames, above which it may be covered. Ten clips
(10 minutes) with nothing before the mouth reach 2.5 to 7.8, the largest values where the head is turned far."""
MIN_RATIO = 2.5
"""Smallest ratio of that error to the eyes', because a head that is turned far changes both."""


@dataclass
class FacePatches:
    """Small aligned images of mouth and eyes in all frames so far; 2 KB per frame."""

    _patches: list[UInt8[np.ndarray, "R h w 3"] | None] = field(default_factory=list)

    def add(self, image: UInt8[np.ndarray, "S S 3"], landmarks: Float32[np.ndarray, "478 3"] | None) -> None:
        """Adds the next frame.

        Args:
            image: the frame.
            landmarks: in image sides; None where the face is lost.
        """
        self._patches.append(None if landmarks is None else _aligned(image, landmarks[:, :2] * len(image)))

    def mouth_covered(self, train_mask: Bool[np.ndarray, " T"]) -> Bool[np.ndarray, " T"]:
        """Returns the frames in which the mouth is covered.

        Args:
            train_mask: training frames; the person's appearance is learnt from them alone.
        """
        seen = np.array([patch is not None for patch in self._patches])
        if not (seen & train_mask).any():
            return np.zeros(len(seen), bool)
        patches = np.stack([patch for patch in self._patches if patch is not None])
        mouth, eyes = np.zeros((2, len(seen)))
        for error, region in ((mouth, 0), (eyes, 1)):
            error[seen] = _model_error(patches[:, region], train_mask[seen])
        covered = binary_opening((mouth > THRESHOLD) & (mouth > MIN_RATIO * eyes), np.ones(MIN_RUN))
        return np.asarray(binary_dilation(covered, np.ones(2 * MARGIN + 1)), bool)


def _aligned(image: UInt8[np.ndarray, "S S 3"], points: Float[np.ndarray, "478 2"]) -> UInt8[np.ndarray, "R h w 3"]:
    """Images of all regions, turned upright and scaled by the eyes."""
    first, second = points[list(OUTER_EYE_CORNERS)]
    right_axis = second - first
    right_axis = right_axis if right_axis[0] > 0 else -right_axis  # whichever eye is listed first
    down_axis = np.array([-right_axis[1], right_axis[0]])
    middle = points[RIGID].mean(0)
    lab = []
    for left, top, right, bottom in REGIONS:
        corners = [middle + x * right_axis + y * down_axis for x, y in ((left, top), (right, top), (left, bottom))]
        target = np.array([[0, 0], [WIDTH, 0], [0, HEIGHT]], np.float32)
        matrix = cv2.getAffineTransform(np.array(corners, np.float32), target)
        patch = cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        lab.append(cv2.cvtColor(patch, cv2.COLOR_RGB2LAB))
    return np.stack(lab)


def _model_error(patches: UInt8[np.ndarray, "N h w 3"], train: Bool[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """Mean absolute error of each patch, relative to the median of the patches that the model is fitted to."""
    flat = patches.reshape(len(patches), -1).astype(np.float32)
    numbers = np.flatnonzero(train)
    sample = flat[numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), NUM_FRAMES)).astype(int)]]
    error = np.abs(sample - np.median(sample, axis=0)).mean(1)
    for _ in range(NUM_ROUNDS):
        kept = np.argsort(error)[: max(round(KEPT_SHARE * len(sample)), 2)]
        mean = sample[kept].mean(0)
        basis = np.linalg.svd(sample[kept] - mean, full_matrices=False)[2][:RANK]
        error = _residual(sample - mean, basis)
    usual = max(float(np.median(error[kept])), 1.0)  # 1: at least the rounding of the grey levels
    return _residual(flat - mean, basis) / usual


def _residual(centred: Float32[np.ndarray, "N D"], basis: Float32[np.ndarray, "K D"]) -> Float[np.ndarray, " N"]:
    return np.abs(centred - (centred @ basis.T) @ basis).mean(1)
