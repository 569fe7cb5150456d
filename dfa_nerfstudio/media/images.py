"""Reading and writing the images of a dataset folder: JPEG or PNG files, RGB in memory."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from dfa_nerfstudio.errors import UserError

JPEG_OPTIONS = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
"""Quality of a master copy, without chroma subsampling."""


def write_image(path: Path, image: UInt8[np.ndarray, ...]) -> None:
    """Writes an RGB image [H, W, 3] or a grey one [H, W] in the format of the file's suffix.

    Raises:
        OSError: if the file cannot be written, for example on a full disk.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(path.suffix, image, JPEG_OPTIONS if path.suffix == ".jpg" else ())
    path.write_bytes(encoded.tobytes())


def read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """Reads an image as RGB; raises the errors of `read_bgr`."""
    return cv2.cvtColor(read_bgr(path), cv2.COLOR_BGR2RGB)


def read_mask(path: Path) -> UInt8[np.ndarray, "H W"]:
    """Reads an image as grey values; raises the errors of `read_bgr`."""
    return read_bgr(path, cv2.IMREAD_GRAYSCALE)


def read_bgr(path: Path, flags: int = cv2.IMREAD_COLOR) -> UInt8[np.ndarray, "H W *C"]:
    """Reads an image with channels in OpenCV's order: blue, green, red, and alpha if `flags` keep it.

    Raises:
        UserError: if it cannot be read, or does not have 8 bits per channel.
    """
    try:
        image = cv2.imread(str(path), flags)
    except cv2.error:  # of more pixels than OpenCV reads
        image = None
    if image is None or image.dtype != np.uint8:
        raise UserError(f"{path}: no readable image of 8 bits per channel; make it again")
    return image


def resize_square(image: UInt8[np.ndarray, "S S 3"], side: int) -> UInt8[np.ndarray, "side side 3"]:
    """A square image at another size: area averaging to make it smaller, bicubic interpolation to make it larger."""
    if side == len(image):
        return np.ascontiguousarray(image)
    interpolation = cv2.INTER_AREA if side < len(image) else cv2.INTER_CUBIC
    return cv2.resize(image, (side, side), interpolation=interpolation)
