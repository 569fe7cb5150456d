"""Soft person masks from a segmentation network, stabilized along the optical flow and refined at image edges."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from mediapipe.python.solutions import selfie_segmentation

from dfa_nerfstudio.face.log_suppression import suppress_native_stderr

NETWORK_SIZE = 256
"""Side of the network's input, pixels."""
TEMPORAL_WEIGHT = 0.8
"""Weight of the previous frame's mask where both frames agree: it averages about nine frames."""
COLOUR_TOLERANCE = 12.0
"""Colour difference to the warped previous frame, in levels of 255, at which that weight has dropped to 1 / e."""
GUIDE_RADIUS, GUIDE_NOISE = 2, 1e-4
"""Parameters of the guided filter: window radius in pixels of the network's input, and the variance of colour that
counts as noise instead of an edge."""


class PersonSegmenter:
    """mediapipe's selfie segmentation with a memory of one frame.

    The previous mask is warped by optical flow and weighted by how well the warped previous frame agrees with the new
    one. Therefore the mask neither lags behind motion nor persists across a cut.
    """

    def __init__(self) -> None:
        with suppress_native_stderr():
            self._network = selfie_segmentation.SelfieSegmentation(model_selection=0)
            self._network.process(np.zeros((NETWORK_SIZE, NETWORK_SIZE, 3), np.uint8))
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        pixels = np.arange(NETWORK_SIZE, dtype=np.float32)
        self._grid = np.stack(np.meshgrid(pixels, pixels), -1)  # [256 256 2], x first
        self._previous: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def reset(self) -> None:
        """Forgets the previous frame."""
        self._previous = None

    def segment(self, image: UInt8[np.ndarray, "S S 3"], size: int) -> UInt8[np.ndarray, "size size"]:
        """Returns the person mask of the next frame, 0 to 255.

        Args:
            image: RGB.
            size: side of the mask, pixels.
        """
        small = cv2.resize(image, (NETWORK_SIZE, NETWORK_SIZE), interpolation=cv2.INTER_AREA)
        result: Any = self._network.process(small)  # a named tuple whose fields mediapipe does not declare
        alpha = self._smooth_temporally(small, result.segmentation_mask)
        interpolation = cv2.INTER_AREA if size < len(image) else cv2.INTER_LINEAR
        refined = guided_filter(small, alpha, cv2.resize(image, (size, size), interpolation=interpolation))
        return cv2.convertScaleAbs(np.maximum(refined, 0), alpha=255)

    def _smooth_temporally(
        self, small: UInt8[np.ndarray, "n n 3"], alpha: Float32[np.ndarray, "n n"]
    ) -> Float32[np.ndarray, "n n"]:
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        if self._previous is not None:
            previous_grey, previous_small, previous_alpha = self._previous
            positions = self._grid + self._flow.calc(grey, previous_grey, None)  # type: ignore[call-overload]
            warped, warped_alpha = (
                cv2.remap(part, positions, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
                for part in (previous_small, previous_alpha)
            )
            red, green, blue = cv2.split(cv2.absdiff(warped, small))
            difference = cv2.blur(cv2.max(cv2.max(red, green), blue).astype(np.float32), (5, 5))
            weight = TEMPORAL_WEIGHT * np.exp(-((difference / COLOUR_TOLERANCE) ** 2))
            alpha = alpha + weight * (warped_alpha - alpha)
        self._previous = grey, small, alpha
        return alpha


def guided_filter(
    guide: UInt8[np.ndarray, "n n 3"], alpha: Float32[np.ndarray, "n n"], image: UInt8[np.ndarray, "S S 3"]
) -> Float32[np.ndarray, "S S"]:
    """Upsamples a mask along the edges of an image, by the fast guided filter.

    In a window around every pixel, the mask is fitted by a linear function of colour at low resolution; the function is
    then applied to the large image (He, Sun and Tang, 2013, Eqs. 19 to 21, for a colour guide).

    Args:
        guide: `image` at the size of `alpha`.
        alpha: the mask, in [0, 1].
        image: the image whose edges the mask follows.
    """
    window = (2 * GUIDE_RADIUS + 1,) * 2
    colours = cv2.split(guide.astype(np.float32) * np.float32(1 / 255))
    means = [cv2.blur(colour, window) for colour in colours]
    alpha_mean = cv2.blur(alpha, window)
    with_alpha = [cv2.blur(c * alpha, window) - m * alpha_mean for c, m in zip(colours, means, strict=True)]
    (rr, rg, rb), (gg, gb), (bb,) = (
        [cv2.blur(colours[i] * colours[j], window) - means[i] * means[j] for j in range(i, 3)] for i in range(3)
    )
    rr, gg, bb = rr + GUIDE_NOISE, gg + GUIDE_NOISE, bb + GUIDE_NOISE
    # inverse of the 3x3 colour covariance by its cofactors, for all pixels at once
    inverse = [
        [gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb],
        [gb * rb - rg * bb, rr * bb - rb * rb, rb * rg - rr * gb],
        [rg * gb - gg * rb, rb * rg - rr * gb, rr * gg - rg * rg],
    ]
    determinant = rr * inverse[0][0] + rg * inverse[0][1] + rb * inverse[0][2]
    slopes = [sum(row[i] * with_alpha[i] for i in range(3)) / determinant for row in inverse]
    offset = alpha_mean - sum(slope * m for slope, m in zip(slopes, means, strict=True))
    height, width = image.shape[:2]
    *slopes, offset = (cv2.resize(cv2.blur(part, window), (width, height)) for part in (*slopes, offset))
    for slope, colour in zip(slopes, cv2.split(image), strict=True):
        offset += cv2.multiply(slope, colour, scale=1 / 255, dtype=cv2.CV_32F)
    return offset
