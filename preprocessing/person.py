"""The person's soft mask, and the scene behind the person."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from mediapipe.python.solutions import selfie_segmentation

from dfa_nerfstudio.preprocessing.quiet import native_stderr_silenced

NETWORK_SIZE = 256


class PersonSegmenter:
    """mediapipe's selfie segmentation, frame by frame."""

    def __init__(self) -> None:
        with native_stderr_silenced():
            self._network = selfie_segmentation.SelfieSegmentation(model_selection=0)
            self._network.process(np.zeros((NETWORK_SIZE, NETWORK_SIZE, 3), np.uint8))

    def alpha(self, image: UInt8[np.ndarray, "S S 3"], size: int) -> UInt8[np.ndarray, "size size"]:
        """How much of each pixel is the person, 0 to 255, at `size` pixels."""
        small = cv2.resize(image, (NETWORK_SIZE, NETWORK_SIZE), interpolation=cv2.INTER_AREA)
        result: Any = self._network.process(small)  # a named tuple whose fields mediapipe does not declare
        alpha = result.segmentation_mask
        way = cv2.INTER_AREA if size < NETWORK_SIZE else cv2.INTER_LINEAR
        return np.round(cv2.resize(alpha, (size, size), interpolation=way).clip(0, 1) * 255).astype(np.uint8)


def uncovered_background(
    images: UInt8[np.ndarray, "N S S 3"], alphas: UInt8[np.ndarray, "N S S"]
) -> tuple[UInt8[np.ndarray, "S S 3"], Bool[np.ndarray, "S S"]]:
    """The scene without the person: per pixel the median of the frames in which it is surely not the person's.

    What the person never uncovers is filled smoothly from around.

    Args:
        images: frames sampled over the training part.
        alphas: their person masks.

    Returns:
        the background, and which of its pixels were seen.
    """
    size = images.shape[1]
    margin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size // 32 * 2 + 1,) * 2)
    free = np.stack([cv2.dilate(alpha, margin) < 13 for alpha in alphas])  # [N, S, S]; 13 is 5 %
    count = free.sum(0)
    enough = count >= max(2, len(images) // 50)
    background = np.zeros((size, size, 3), np.uint8)
    for rows in np.array_split(np.arange(size), max(1, size // 16)):  # by strips, which bounds the memory
        values = np.where(free[:, rows, :, None], images[:, rows], 256).astype(np.uint16)
        values.sort(axis=0)
        middle = np.maximum(count[rows] - 1, 0) // 2
        background[rows] = np.take_along_axis(values, middle[None, :, :, None], axis=0)[0].clip(0, 255)
    return np.where(enough[..., None], background, fill_smoothly(background, enough)), enough


def fill_smoothly(image: UInt8[np.ndarray, "H W 3"], known: Bool[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Pulls the known pixels up a pyramid and pushes them down into the unknown ones; grey where nothing is known."""
    weight = known.astype(np.float32)
    levels: list[tuple[np.ndarray, Float32[np.ndarray, "h w"]]] = [(image * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 1:
        colour, weight = (cv2.pyrDown(part) for part in levels[-1])
        scale = np.minimum(1, 1 / np.maximum(weight, 1e-6)) * (weight > 1e-6)  # a level below counts in full
        levels.append((colour * scale[..., None], weight * scale))
    filled = np.full((*levels[-1][1].shape, 3), 128, np.float32)
    for colour, weight in reversed(levels):
        height, width = weight.shape
        filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, 3)
        filled = colour + (1 - weight[..., None]) * filled
    return np.round(filled).clip(0, 255).astype(np.uint8)
