"""Pictures of the report page: frames with what was found drawn on them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dfa_nerfstudio.data.dataset_folder import image_path, mask_path, torso_mask_path
from dfa_nerfstudio.face.topology import BROWS, EYES, JAW
from dfa_nerfstudio.media.images import read_image, read_mask
from dfa_nerfstudio.reporting.page_template import data_uri

SIDE = 320
"""Pixels of a picture on the page."""
FINE = 4
"""Binary digits after the point in which OpenCV draws lines."""

LIPS = (
    np.array([61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146]),
    np.array([78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95]),
)
IRISES = ((468, 469, 470, 471, 472), (473, 474, 475, 476, 477))
"""Middle and rim of each."""

COLOURS = {
    "jaw": (255, 214, 10),
    "brows": (191, 144, 255),
    "eyes": (64, 196, 255),
    "iris": (255, 255, 255),
    "lips": (255, 92, 138),
    "person": (57, 255, 136),
    "torso": (255, 149, 0),
}
"""RGB of what is drawn."""


def landmarked(folder: Path, number: int, landmarks: Float[np.ndarray, "478 3"]) -> str:
    """A frame with its landmarks and the outline of its masks, as a data URI.

    Args:
        folder: the dataset folder.
        number: of the frame.
        landmarks: in pixels of the image.
    """
    image = read_image(image_path(folder, number))
    scale = SIDE / len(image)
    picture = _resized(image)
    for name, path in (("torso", torso_mask_path(folder, number)), ("person", mask_path(folder, number))):
        mask = cv2.resize(read_mask(path), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        outline, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        inside = [np.array([p for p in line[:, 0] if p.min() > 1 and p.max() < SIDE - 2]) for line in outline]
        for points in inside:
            _dots(picture, points, COLOURS[name])
    points = ((landmarks[:, :2] * scale) * 2**FINE).round().astype(np.int32)
    for name, parts, closed in (
        ("jaw", (JAW,), False),
        ("brows", BROWS, True),
        ("eyes", EYES, True),
        ("lips", LIPS, True),
    ):
        for part in parts:
            cv2.polylines(picture, [points[part]], closed, COLOURS[name], 1, cv2.LINE_AA, FINE)
    for middle, *rim in IRISES:
        radius = np.linalg.norm(points[rim] - points[middle], axis=-1).mean()
        cv2.circle(picture, points[middle].tolist(), round(radius), COLOURS["iris"], 1, cv2.LINE_AA, FINE)
    return data_uri(picture)


def cut_out(folder: Path, number: int, *, torso: bool) -> str:
    """A frame without what the person mask, or the torso mask, leaves out, on a chequered ground; a data URI."""
    image = _resized(read_image(image_path(folder, number))).astype(np.float32)
    path = torso_mask_path(folder, number) if torso else mask_path(folder, number)
    alpha = cv2.resize(read_mask(path), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)[..., None] / np.float32(255)
    row, column = np.mgrid[:SIDE, :SIDE] // 16
    ground = np.where((row + column) % 2, 205, 235)[..., None]
    return data_uri((alpha * image + (1 - alpha) * ground).round().astype(np.uint8))


def picture_of(path: Path) -> str:
    """Any image of the folder as a data URI."""
    return data_uri(_resized(read_image(path)))


def _resized(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "S S 3"]:
    way = cv2.INTER_AREA if len(image) > SIDE else cv2.INTER_CUBIC
    return cv2.resize(image, (SIDE, SIDE), interpolation=way)


def _dots(picture: UInt8[np.ndarray, "S S 3"], points: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Every few pixels a dash, so that the outline hides little of the edge that it is to be judged by."""
    for point in points[np.arange(len(points)) % 6 < 3]:
        picture[point[1], point[0]] = colour
