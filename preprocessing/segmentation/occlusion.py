"""Finds frames in which something covers the mouth or the eyes: a hand, a microphone, paper, hair.

Small images of both regions, upright and scaled by the eyes, are compared with the person's own. A region is covered
where its image shows what this person's never shows (a microphone), or where the pattern of lips or eyes is missing in
it (a hand, which has the colour of the face). Pressed lips and closed lids hide the pattern too, but not what is above
them.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from scipy.ndimage import binary_dilation, binary_opening

from dfa_nerfstudio.face.topology import OUTER_EYE_CORNERS
from dfa_nerfstudio.media.frame_rows import TemporaryFiles
from dfa_nerfstudio.preprocessing.segmentation.region_appearance import (
    EYES,
    HEIGHT,
    MOUTH,
    NUM_FRAMES,
    WIDTH,
    Region,
    RegionAppearance,
)

MIN_RUN, MARGIN = 3, 1
"""Fewest frames in a row that count as covered, and frames before and after them that are partly covered."""


class FacePatches:
    """Small aligned images of mouth and eyes of T frames, in a file: 4 KB per frame."""

    def __init__(self, num_frames: int, files: TemporaryFiles) -> None:
        """
        Args:
            num_frames: number of frames that will be added, T.
            files: receives the file.
        """
        self._patches = files.rows((2, HEIGHT, WIDTH, 3), np.uint8)
        self.found = np.zeros(num_frames, bool)
        """Frames with a face."""

    def add(self, image: UInt8[np.ndarray, "S S 3"], landmarks: Float32[np.ndarray, "478 3"] | None) -> None:
        """Adds the next frame.

        Args:
            image: the frame.
            landmarks: in image sides; None where the face is lost.
        """
        self.found[len(self._patches)] = landmarks is not None
        nothing = np.zeros(1, np.uint8)
        self._patches.append(nothing if landmarks is None else _aligned(image, landmarks[:, :2] * len(image)))

    def covered(self, train_mask: Bool[np.ndarray, " T"]) -> tuple[Bool[np.ndarray, " T"], Bool[np.ndarray, " T"]]:
        """Returns the frames in which the mouth is covered, and those in which an eye or both are covered.

        Args:
            train_mask: training frames; the person's appearance is learnt from them alone.
        """
        numbers = np.flatnonzero(self.found & train_mask)
        sample = self._patches[numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), NUM_FRAMES)).astype(int)]]
        mouth, eyes = (self._covered(place, region, sample[:, place]) for place, region in enumerate((MOUTH, EYES)))
        return mouth, eyes

    def _covered(self, place: int, region: Region, sample: UInt8[np.ndarray, "N h w 3"]) -> Bool[np.ndarray, " T"]:
        if not len(sample):
            return np.zeros(len(self.found), bool)
        appearance = RegionAppearance.fit(sample, region)
        score = self._patches.map(lambda patches: appearance.occlusion_score(patches[:, place]))
        covered = binary_opening(self.found & (score > 1), np.ones(MIN_RUN))
        return binary_dilation(covered, np.ones(2 * MARGIN + 1))


def _aligned(image: UInt8[np.ndarray, "S S 3"], points: Float[np.ndarray, "478 2"]) -> UInt8[np.ndarray, "R h w 3"]:
    """Images of both regions in Lab, turned upright and scaled by the eyes."""
    first, second = points[list(OUTER_EYE_CORNERS)]
    right_axis = second - first
    right_axis = right_axis if right_axis[0] > 0 else -right_axis  # whichever eye is listed first
    down_axis = np.array([-right_axis[1], right_axis[0]])
    lab = []
    for region in (MOUTH, EYES):
        (left, top, right, bottom), middle = region.box, points[region.landmarks].mean(0)
        corners = [middle + x * right_axis + y * down_axis for x, y in ((left, top), (right, top), (left, bottom))]
        target = np.array([[0, 0], [WIDTH, 0], [0, HEIGHT]], np.float32)
        matrix = cv2.getAffineTransform(np.array(corners, np.float32), target)
        patch = cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        lab.append(cv2.cvtColor(patch, cv2.COLOR_RGB2LAB))
    return np.stack(lab)
