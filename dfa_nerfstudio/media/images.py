"""Pictures as they lie in a dataset folder: JPEG or PNG, RGB in memory."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
"""A master copy's quality, full resolution in colour."""


def write_image(path: Path, image: UInt8[np.ndarray, ...]) -> None:
    """Writes an RGB [H, W, 3] or grey [H, W] image.

    Raises:
        OSError: if it cannot be written, a full disk included.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(path.suffix, image, JPEG if path.suffix == ".jpg" else ())
    path.write_bytes(encoded.tobytes())


def read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """An RGB image."""
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_mask(path: Path) -> UInt8[np.ndarray, "H W"]:
    """A grey image."""
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def resized(image: UInt8[np.ndarray, "S S 3"], side: int) -> UInt8[np.ndarray, "side side 3"]:
    """A square image at another size, smoothed before it is made smaller."""
    if side == len(image):
        return np.ascontiguousarray(image)
    way = cv2.INTER_AREA if side < len(image) else cv2.INTER_CUBIC
    return cv2.resize(image, (side, side), interpolation=way)
