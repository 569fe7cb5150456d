"""What of a picture is scored. Published figures mix the three, which differ by up to 9 dB on the same clip.

- *full*: the whole frame, as it was synthesised.
- *head*: the true torso, neck and background are pasted into the picture, as AD-NeRF's family does when it scores heads
  alone; what is left of the error is the head's, but it is spread over all pixels of the frame.
- *face*: the square around the face's landmarks, whatever the frame.

The regions are the truth's own, so that all methods are scored by the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dfa_nerfstudio.preprocessing.segmentation.person_segmenter import PersonSegmenter
from dfa_nerfstudio.preprocessing.segmentation.torso_mask import head_region

Protocol = Literal["full", "head", "face"]
PROTOCOLS: tuple[Protocol, ...] = ("full", "head", "face")
MARGIN = 0.1
"""Of the face's larger side, to each side of it."""
_SIDE = 256
"""Pixels at which head regions are looked for."""

Picture = UInt8[np.ndarray, "H W 3"]
Cut = Callable[[Picture], Picture]
"""From a whole picture to what is scored of it."""


def cuts(protocol: Protocol, truth: Iterable[Picture], landmarks: Float[np.ndarray, "T 478 2"] | None) -> Iterator[Cut]:
    """For each frame, what the protocol makes of a picture; of the truth it makes the truth's own part.

    Args:
        protocol: by name.
        truth: the true frames.
        landmarks: theirs in pixels, interpolated where no face is seen; only *full* does without.
    """
    segmenter = PersonSegmenter() if protocol == "head" else None
    for number, frame in enumerate(truth):
        if protocol == "full":
            yield lambda picture: picture
            continue
        assert landmarks is not None
        if segmenter is None:
            left, top, right, bottom = face_box(landmarks[number], frame.shape[1], frame.shape[0])
            yield lambda picture, box=(slice(top, bottom), slice(left, right)): picture[box]
        else:
            alpha = _head_alpha(segmenter, frame, landmarks[number])
            yield lambda picture, frame=frame, alpha=alpha: _pasted(picture, frame, alpha)


def face_box(landmarks: Float[np.ndarray, "478 2"], width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (exclusive) of the square around a face, cut at the picture's edges."""
    low, high = landmarks.min(0), landmarks.max(0)
    reach = (0.5 + MARGIN) * (high - low).max()
    x, y = (low + high) / 2
    edges = np.array([x - reach, y - reach, x + reach, y + reach]).round().astype(int)
    left, top, right, bottom = edges.clip(0, [width, height, width, height])
    return int(left), int(top), int(max(right, left + 1)), int(max(bottom, top + 1))


def _head_alpha(segmenter: PersonSegmenter, frame: Picture, landmarks: Float[np.ndarray, "478 2"]) -> np.ndarray:
    """How much of each pixel is the head, 0 to 1; computed on a square of the picture's larger side."""
    height, width = frame.shape[:2]
    side = max(width, height)
    square = cv2.copyMakeBorder(frame, 0, side - height, 0, side - width, cv2.BORDER_REPLICATE)
    small = cv2.resize(square, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    alpha = cv2.multiply(segmenter.alpha(small, _SIDE), head_region(landmarks / side, _SIDE), scale=1 / 255)
    return cv2.resize(alpha, (side, side), interpolation=cv2.INTER_LINEAR)[:height, :width, None] / np.float32(255)


def _pasted(picture: Picture, truth: Picture, alpha: Float[np.ndarray, "H W 1"]) -> Picture:
    return (alpha * picture + (1 - alpha) * truth).round().astype(np.uint8)
