"""Protocols: which part of each frame the image metrics score.

Published values mix the three protocols, which differ by up to 9 dB on the same clip.

- *full*: the whole synthesised frame.
- *head*: the true torso, neck and background are pasted into the predicted frame, as AD-NeRF and its successors do when
  they score heads alone. The remaining error is the head's, averaged over all pixels of the frame.
- *face*: the square around the face landmarks.

The regions are computed from the truth, so that all methods are scored on the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dfa_nerfstudio.face.face_box import face_box
from dfa_nerfstudio.preprocessing.segmentation.person_segmenter import PersonSegmenter
from dfa_nerfstudio.preprocessing.segmentation.torso_mask import head_region

Protocol = Literal["full", "head", "face"]
PROTOCOLS: tuple[Protocol, ...] = ("full", "head", "face")
_SEGMENTATION_SIDE = 256
"""Side, in pixels, at which head regions are segmented."""

Image = UInt8[np.ndarray, "H W 3"]
Crop = Callable[[Image], Image]
"""From a whole frame to the image that is scored."""


def crops(protocol: Protocol, truth: Iterable[Image], landmarks: Float[np.ndarray, "T 478 2"] | None) -> Iterator[Crop]:
    """The protocol's crop for each frame, to be applied to the predicted and the true frame.

    Args:
        protocol: which part is scored.
        truth: the true frames.
        landmarks: those of the true frames in pixels, interpolated where no face is found; *full* needs none.
    """
    segmenter = PersonSegmenter() if protocol == "head" else None
    for number, frame in enumerate(truth):
        if protocol == "full":
            yield lambda image: image
            continue
        assert landmarks is not None
        if segmenter is None:
            left, top, right, bottom = face_box(landmarks[number], frame.shape[1], frame.shape[0])
            yield lambda image, box=(slice(top, bottom), slice(left, right)): image[box]
        else:
            alpha = _head_alpha(segmenter, frame, landmarks[number])
            yield lambda image, frame=frame, alpha=alpha: _composite(image, frame, alpha)


def _head_alpha(segmenter: PersonSegmenter, frame: Image, landmarks: Float[np.ndarray, "478 2"]) -> np.ndarray:
    """Opacity of the head in each pixel, 0 to 1; computed on a square with the frame's larger side."""
    height, width = frame.shape[:2]
    side = max(width, height)
    square = cv2.copyMakeBorder(frame, 0, side - height, 0, side - width, cv2.BORDER_REPLICATE)
    small = cv2.resize(square, (_SEGMENTATION_SIDE, _SEGMENTATION_SIDE), interpolation=cv2.INTER_AREA)
    region = head_region(landmarks / side, _SEGMENTATION_SIDE)
    alpha = cv2.multiply(segmenter.segment(small, _SEGMENTATION_SIDE), region, scale=1 / 255)
    return cv2.resize(alpha, (side, side), interpolation=cv2.INTER_LINEAR)[:height, :width, None] / np.float32(255)


def _composite(image: Image, truth: Image, alpha: Float[np.ndarray, "H W 1"]) -> Image:
    return (alpha * image + (1 - alpha) * truth).round().astype(np.uint8)
