"""Finds frames in which something covers the mouth or the eyes: a hand, a microphone, paper, hair.

Small images of both regions, upright and scaled by the eyes, are compared with the person's own. A region is covered
where its image shows what this person's never shows (a microphone), or where the pattern of lips or eyes is missing in
it (a hand, which has the colour of the face). Pressed lips and closed lids hide the pattern too, but not what is above
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy.ndimage import binary_dilation, binary_opening

from dfa_nerfstudio.face.topology import EYE_CORNERS, LIP_CONTOURS, OUTER_EYE_CORNERS
from dfa_nerfstudio.media.chunks import chunk_slices

WIDTH, HEIGHT = 24, 28
"""Size of the image of a region with what is above it, pixels."""
REGION, ABOVE = slice(12, 28), slice(0, 16)
"""Rows of the region itself, and of what is above it: the nose's base, or brows and forehead."""
NUM_FRAMES, RANK, NUM_ROUNDS = 400, 8, 4
"""Number of training frames that a model is fitted to at most, its rank, and the rounds of its fit."""
KEPT_SHARE = 0.6
"""Share of these frames, those that it describes best, that the model is fitted to; the others may be covered."""
MIN_DEVIATION = 2.5
"""Smallest standard deviation of a pixel that is assumed, grey levels."""
WINDOW, MAX_ERROR = 7, 8.0
"""Side in pixels of the windows in which the model's error is averaged, and the largest mean in standard deviations.
Twelve clips with nothing before the face reach 6.9."""
MAX_SHIFT = 2
"""How far the pattern of lips and eyes may be shifted, pixels: landmarks of a turned head are inaccurate."""
MAX_ABOVE = 0.25
"""How much what is missing above a region adds at most to what is missing in it."""
MIN_RUN, MARGIN = 3, 1
"""Fewest frames in a row that count as covered, and frames before and after them that are partly covered."""


@dataclass(frozen=True)
class Region:
    """A part of the face, and from which scores it counts as covered.

    The thresholds were chosen on twelve clips, with and without drawn occluders; see
    benchmarks/settings.md.
    """

    landmarks: Int[np.ndarray, " N"]
    """Landmarks in whose middle it is, so that it follows a nod."""
    box: tuple[float, float, float, float]
    """Left, top, right and bottom of it and what is above, in eye distances from there."""
    parts: int
    """Number of parts, side by side, whose patterns are compared one by one."""
    weights: tuple[float, float, float]
    """Weights of lightness and the two colours in its pattern."""
    max_missing: float
    """How far the correlations with the usual patterns, 1 for the same image, lie below their medians together."""


MOUTH = Region(LIP_CONTOURS[0], (-0.45, -0.75, 0.45, 0.3), 1, (0.25, 4.0, 4.0), 0.55)
EYES = Region(EYE_CORNERS.ravel(), (-0.6, -0.655, 0.6, 0.22), 2, (1.0, 0.0, 0.0), 0.5)


class FacePatches:
    """Small aligned images of mouth and eyes; 4 KB per frame."""

    def __init__(self, num_frames: int) -> None:
        """
        Args:
            num_frames: number of frames that will be added, T.
        """
        self._patches = np.zeros((2, num_frames, HEIGHT, WIDTH, 3), np.uint8)
        self.found = np.zeros(num_frames, bool)
        """Frames with a face."""
        self._count = 0

    def add(self, image: UInt8[np.ndarray, "S S 3"], landmarks: Float32[np.ndarray, "478 3"] | None) -> None:
        """Adds the next frame.

        Args:
            image: the frame.
            landmarks: in image sides; None where the face is lost.
        """
        if landmarks is not None:
            self._patches[:, self._count] = _aligned(image, landmarks[:, :2] * len(image))
            self.found[self._count] = True
        self._count += 1

    def covered(self, train_mask: Bool[np.ndarray, " T"]) -> tuple[Bool[np.ndarray, " T"], Bool[np.ndarray, " T"]]:
        """Returns the frames in which the mouth is covered, and those in which an eye or both are covered.

        Args:
            train_mask: training frames; the person's appearance is learnt from them alone.
        """
        mouth, eyes = (self._covered(number, region, train_mask) for number, region in enumerate((MOUTH, EYES)))
        return mouth, eyes

    def _covered(self, number: int, region: Region, train_mask: Bool[np.ndarray, " T"]) -> Bool[np.ndarray, " T"]:
        covered = np.zeros(len(self.found), bool)
        if (self.found & train_mask).any():
            patches = self._patches[number, self.found]
            covered[self.found] = occlusion_score(patches, train_mask[self.found], region) > 1
        return binary_dilation(binary_opening(covered, np.ones(MIN_RUN)), np.ones(2 * MARGIN + 1))


def occlusion_score(
    patches: UInt8[np.ndarray, "N h w 3"], train: Bool[np.ndarray, " N"], region: Region
) -> Float[np.ndarray, " N"]:
    """How unlike the person's own each image of a region is; above 1 it is covered.

    Args:
        patches: aligned images, in Lab.
        train: training frames.
        region: the region.
    """
    inside, above = patches[:, REGION], patches[:, ABOVE]
    own = _own_frames(inside, train)
    foreign = _worst_window_error(inside, own)
    missing = _missing(inside, own, region.parts, region.weights)
    missing_above = _missing(above, own, 1, (1.0, 1.0, 1.0))
    return np.maximum(foreign / MAX_ERROR, (missing + np.clip(missing_above, 0, MAX_ABOVE)) / region.max_missing)


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


def _own_frames(patches: UInt8[np.ndarray, "N h w 3"], train: Bool[np.ndarray, " N"]) -> Int[np.ndarray, " M"]:
    """Training frames that show the person, nothing before it: those that a low-rank model of them describes best."""
    numbers = np.flatnonzero(train)
    numbers = numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), NUM_FRAMES)).astype(int)]
    sample = patches[numbers].reshape(len(numbers), -1).astype(np.float32)
    error = np.abs(sample - np.median(sample, axis=0)).mean(1)
    for _ in range(NUM_ROUNDS):
        kept = np.argsort(error)[: max(round(KEPT_SHARE * len(sample)), 2)]
        mean, basis = _principal_components(sample[kept])
        error = np.abs(_residual(sample - mean, basis)).mean(1)
    return numbers[np.argsort(error)[: len(kept)]]


def _worst_window_error(images: UInt8[np.ndarray, "N h w 3"], own: Int[np.ndarray, " M"]) -> Float[np.ndarray, " N"]:
    """Error of a low-rank model of the person's own images, in standard deviations: the mean of the worst window."""
    kept = images[own].reshape(len(own), -1).astype(np.float32)
    mean, basis = _principal_components(kept)
    deviation = np.maximum(np.sqrt((_residual(kept - mean, basis) ** 2).mean(0)), MIN_DEVIATION)
    border = WINDOW // 2
    worst = []
    for rows in chunk_slices(len(images)):
        residual = _residual(images[rows].reshape(-1, len(mean)) - mean, basis)
        relative = (np.abs(residual) / deviation).reshape(-1, *images.shape[1:]).mean(-1)
        worst += [cv2.blur(one, (WINDOW, WINDOW))[border:-border, border:-border].max() for one in relative]
    return np.array(worst)


def _principal_components(
    samples: Float32[np.ndarray, "M D"],
) -> tuple[Float32[np.ndarray, " D"], Float32[np.ndarray, "K D"]]:
    """Mean of the samples, and the directions in which they vary most."""
    mean = samples.mean(0)
    centred = samples - mean
    rank = min(RANK, len(samples) - 1)
    vectors = np.linalg.eigh(centred @ centred.T)[1][:, -rank:]  # there are fewer samples than pixels
    basis = vectors.T @ centred
    return mean, basis / np.maximum(np.linalg.norm(basis, axis=1, keepdims=True), 1e-6)


def _residual(centred: Float32[np.ndarray, "N D"], basis: Float32[np.ndarray, "K D"]) -> Float32[np.ndarray, "N D"]:
    return centred - (centred @ basis.T) @ basis


def _missing(
    images: UInt8[np.ndarray, "N h w 3"],
    own: Int[np.ndarray, " M"],
    parts: int,
    weights: tuple[float, float, float],
) -> Float[np.ndarray, " N"]:
    """How far the correlation of each image with the mean of the person's own lies below their median.

    Args:
        images: the images, in Lab.
        own: numbers of the person's own.
        parts: number of parts, side by side; the result is their mean.
        weights: weights of the channels.
    """
    scale = np.sqrt(weights, dtype=np.float32)
    result = np.zeros(len(images))
    for columns in np.split(np.arange(WIDTH), parts):
        template = (images[own][:, :, columns].mean(0, np.float32) * scale)[MAX_SHIFT:-MAX_SHIFT, MAX_SHIFT:-MAX_SHIFT]
        found = [cv2.matchTemplate(one[:, columns] * scale, template, cv2.TM_CCOEFF_NORMED) for one in images]
        correlation = np.nan_to_num(found).max((1, 2))  # an image of one colour has no correlation
        result += (np.median(correlation[own]) - correlation) / parts
    return result
