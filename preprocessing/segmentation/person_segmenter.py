"""The person's soft mask: a network's, steadied along the motion of the picture and drawn to the picture's edges."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from mediapipe.python.solutions import selfie_segmentation

from dfa_nerfstudio.face.log_suppression import native_stderr_silenced

NETWORK_SIZE = 256
KEPT = 0.8
"""How much of a pixel's mask comes from the frame before, where the picture agrees: it averages about nine frames."""
SAME_COLOUR = 12.0
"""Colours that differ by this much, of 255, after following the motion, hardly speak for the same thing any more."""
GUIDE_RADIUS, GUIDE_NOISE = 2, 1e-4
"""Of the guided filter: its window in pixels of the network's picture, and the variance of colour that is no edge."""


class PersonSegmenter:
    """mediapipe's selfie segmentation with a memory of one frame.

    The mask of the frame before is carried along by optical flow and counts as far as the picture it brings along
    agrees with the new one. So it neither lags behind what moves nor reaches over a cut.
    """

    def __init__(self) -> None:
        with native_stderr_silenced():
            self._network = selfie_segmentation.SelfieSegmentation(model_selection=0)
            self._network.process(np.zeros((NETWORK_SIZE, NETWORK_SIZE, 3), np.uint8))
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        places = np.arange(NETWORK_SIZE, dtype=np.float32)
        self._grid = np.stack(np.meshgrid(places, places), -1)  # [256 256 2], x first
        self._before: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def forget(self) -> None:
        """The next frame owes nothing to those before."""
        self._before = None

    def alpha(self, image: UInt8[np.ndarray, "S S 3"], size: int) -> UInt8[np.ndarray, "size size"]:
        """How much of each pixel of the next frame is the person, 0 to 255, at `size` pixels."""
        small = cv2.resize(image, (NETWORK_SIZE, NETWORK_SIZE), interpolation=cv2.INTER_AREA)
        result: Any = self._network.process(small)  # a named tuple whose fields mediapipe does not declare
        alpha = self._steadied(small, result.segmentation_mask)
        way = cv2.INTER_AREA if size < len(image) else cv2.INTER_LINEAR
        refined = guided(small, alpha, cv2.resize(image, (size, size), interpolation=way))
        return cv2.convertScaleAbs(np.maximum(refined, 0), alpha=255)

    def _steadied(
        self, small: UInt8[np.ndarray, "n n 3"], alpha: Float32[np.ndarray, "n n"]
    ) -> Float32[np.ndarray, "n n"]:
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        if self._before is not None:
            grey_before, small_before, alpha_before = self._before
            places = self._grid + self._flow.calc(grey, grey_before, None)  # type: ignore[call-overload]
            brought, alpha_brought = (
                cv2.remap(part, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
                for part in (small_before, alpha_before)
            )
            red, green, blue = cv2.split(cv2.absdiff(brought, small))
            difference = cv2.blur(cv2.max(cv2.max(red, green), blue).astype(np.float32), (5, 5))
            alpha = alpha + KEPT * np.exp(-((difference / SAME_COLOUR) ** 2)) * (alpha_brought - alpha)
        self._before = grey, small, alpha
        return alpha


def guided(
    guide: UInt8[np.ndarray, "n n 3"], alpha: Float32[np.ndarray, "n n"], image: UInt8[np.ndarray, "S S 3"]
) -> Float32[np.ndarray, "S S"]:
    """The guided filter (He, Sun and Tang, 2013, Eqs. 19 to 21, for a colour guide) in its fast form.

    Around every pixel the mask is fitted by a linear function of colour, at low resolution; the function is then
    applied to the large image.

    Args:
        guide: `image` at the size of `alpha`.
        alpha: the mask, in [0, 1].
        image: whose edges the mask is to follow.
    """
    window = (2 * GUIDE_RADIUS + 1,) * 2
    colours = cv2.split(guide.astype(np.float32) * np.float32(1 / 255))
    means = [cv2.blur(one, window) for one in colours]
    mean = cv2.blur(alpha, window)
    with_alpha = [cv2.blur(one * alpha, window) - m * mean for one, m in zip(colours, means, strict=True)]
    (rr, rg, rb), (gg, gb), (bb,) = (
        [cv2.blur(colours[i] * colours[j], window) - means[i] * means[j] for j in range(i, 3)] for i in range(3)
    )
    rr, gg, bb = rr + GUIDE_NOISE, gg + GUIDE_NOISE, bb + GUIDE_NOISE
    # the 3x3 covariance of colour inverted by its cofactors, for all pixels at once
    inverse = [
        [gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb],
        [gb * rb - rg * bb, rr * bb - rb * rb, rb * rg - rr * gb],
        [rg * gb - gg * rb, rb * rg - rr * gb, rr * gg - rg * rg],
    ]
    determinant = rr * inverse[0][0] + rg * inverse[0][1] + rb * inverse[0][2]
    slopes = [sum(row[i] * with_alpha[i] for i in range(3)) / determinant for row in inverse]
    offset = mean - sum(slope * m for slope, m in zip(slopes, means, strict=True))
    height, width = image.shape[:2]
    *slopes, offset = (cv2.resize(cv2.blur(part, window), (width, height)) for part in (*slopes, offset))
    for slope, colour in zip(slopes, cv2.split(image), strict=True):
        offset += cv2.multiply(slope, colour, scale=1 / 255, dtype=cv2.CV_32F)
    return offset
