"""Images of the report page: frames with landmarks, mask outlines and mattes, as data URIs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dfa_nerfstudio.data.dataset_folder import image_path, mask_path, torso_mask_path
from dfa_nerfstudio.face.topology import BROW_CONTOURS, EYE_CONTOURS, JAW_CONTOUR, LIP_CONTOURS
from dfa_nerfstudio.media.images import read_image, read_mask
from dfa_nerfstudio.reporting.inline_image import jpeg_data_uri

IMAGE_SIDE = 320
"""Side of an image on the page, pixels."""
SUBPIXEL_BITS = 4
"""Fractional bits of the coordinates that OpenCV draws lines with."""

IRISES = ((468, 469, 470, 471, 472), (473, 474, 475, 476, 477))
"""Landmarks of each iris: its centre, then four on its rim."""

COLOURS = {
    "jaw": (255, 214, 10),
    "brows": (191, 144, 255),
    "eyes": (64, 196, 255),
    "iris": (255, 255, 255),
    "lips": (255, 92, 138),
    "person": (57, 255, 136),
    "torso": (255, 149, 0),
}
"""RGB colour of each drawn part."""


def draw_landmarks(folder: Path, number: int, landmarks: Float[np.ndarray, "478 3"]) -> str:
    """Draws landmarks and mask outlines on a frame.

    Args:
        folder: the dataset folder.
        number: number of the frame.
        landmarks: in pixels of the image.

    Returns:
        a data URI.
    """
    image = read_image(image_path(folder, number))
    scale = IMAGE_SIDE / len(image)
    canvas = _resize(image)
    for name, path in (("torso", torso_mask_path(folder, number)), ("person", mask_path(folder, number))):
        mask = cv2.resize(read_mask(path), (IMAGE_SIDE, IMAGE_SIDE), interpolation=cv2.INTER_LINEAR)
        outline, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        inside = [np.array([p for p in line[:, 0] if p.min() > 1 and p.max() < IMAGE_SIDE - 2]) for line in outline]
        for points in inside:
            _draw_dashes(canvas, points, COLOURS[name])
    points = ((landmarks[:, :2] * scale) * 2**SUBPIXEL_BITS).round().astype(np.int32)
    for name, parts, closed in (
        ("jaw", (JAW_CONTOUR,), False),
        ("brows", BROW_CONTOURS, True),
        ("eyes", EYE_CONTOURS, True),
        ("lips", LIP_CONTOURS, True),
    ):
        for part in parts:
            cv2.polylines(canvas, [points[part]], closed, COLOURS[name], 1, cv2.LINE_AA, SUBPIXEL_BITS)
    for centre, *rim in IRISES:
        radius = np.linalg.norm(points[rim] - points[centre], axis=-1).mean()
        cv2.circle(canvas, points[centre].tolist(), round(radius), COLOURS["iris"], 1, cv2.LINE_AA, SUBPIXEL_BITS)
    return jpeg_data_uri(canvas)


def draw_matte(folder: Path, number: int, *, torso: bool) -> str:
    """Composites a frame, cut out by its person mask or torso mask, over a checkerboard; returns a data URI."""
    image = _resize(read_image(image_path(folder, number))).astype(np.float32)
    path = torso_mask_path(folder, number) if torso else mask_path(folder, number)
    alpha = cv2.resize(read_mask(path), (IMAGE_SIDE, IMAGE_SIDE), interpolation=cv2.INTER_LINEAR)
    alpha = alpha[..., None] / np.float32(255)
    row, column = np.mgrid[:IMAGE_SIDE, :IMAGE_SIDE] // 16
    checkerboard = np.where((row + column) % 2, 205, 235)[..., None]
    return jpeg_data_uri((alpha * image + (1 - alpha) * checkerboard).round().astype(np.uint8))


def image_data_uri(path: Path) -> str:
    """Returns an image file, resized for the page, as a data URI."""
    return jpeg_data_uri(_resize(read_image(path)))


def _resize(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "S S 3"]:
    interpolation = cv2.INTER_AREA if len(image) > IMAGE_SIDE else cv2.INTER_CUBIC
    return cv2.resize(image, (IMAGE_SIDE, IMAGE_SIDE), interpolation=interpolation)


def _draw_dashes(canvas: UInt8[np.ndarray, "S S 3"], points: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draws a dashed outline, because a solid one would hide the edge that it is compared to."""
    for point in points[np.arange(len(points)) % 6 < 3]:
        canvas[point[1], point[0]] = colour
