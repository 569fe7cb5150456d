"""Torso masks: the person without the head. The evaluation protocol *head* pastes the true torso with them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dfa_nerfstudio.data.dataset_folder import mask_path, torso_mask_path
from dfa_nerfstudio.face.topology import CHIN, FOREHEAD, JAW_CONTOUR
from dfa_nerfstudio.media.chunks import chunk_slices
from dfa_nerfstudio.media.frame_rows import FrameRows
from dfa_nerfstudio.media.images import read_mask, write_image

EDGE_BLUR = 0.02
"""Standard deviation of the blur of the border between head and torso, in face heights."""
MAX_DRAWN_SIDE = 128
"""Maximum side at which the border is drawn, pixels; because it is blurred, this is sharp enough."""


def head_region(landmarks: Float[np.ndarray, "478 3"], size: int) -> UInt8[np.ndarray, "size size"]:
    """Returns the region above the border between head and torso, 0 to 255, with a soft edge.

    The border follows the jaw from one corner to the other and continues horizontally from there. Face, ears, and hair
    down to about the mouth belong to the head. The neck, the shoulders, and hair beside the neck belong to the torso,
    because long hair rests on it.

    Args:
        landmarks: in image sides, x right, y down.
        size: side of the mask, pixels.
    """
    side = min(size, MAX_DRAWN_SIDE)
    jaw = landmarks[JAW_CONTOUR, :2] * side
    left, right = min(0.0, jaw[:, 0].min()) - side, max(side, jaw[:, 0].max()) + side  # well outside the image
    border = np.array([(left, jaw[0, 1]), *jaw, (right, jaw[-1, 1]), (right, -side), (left, -side)])
    region = np.zeros((side, side), np.uint8)
    cv2.fillPoly(region, [np.round((border - 0.5) * 16).astype(np.int32)], (255,), cv2.LINE_AA, shift=4)
    face_height = np.linalg.norm(landmarks[CHIN, :2] - landmarks[FOREHEAD, :2]) * side
    region = cv2.GaussianBlur(region, (0, 0), max(EDGE_BLUR * float(face_height), 0.3))
    return cv2.resize(region, (size, size), interpolation=cv2.INTER_LINEAR)


def write_torso_masks(folder: Path, landmarks: Float[np.ndarray, "T 478 3"] | FrameRows) -> None:
    """Writes the torso mask of every frame, computed from its person mask and its landmarks in image sides."""

    def write(number: int) -> None:
        alpha = read_mask(mask_path(folder, number))
        below = 255 - head_region(landmarks[number], len(alpha))
        write_image(torso_mask_path(folder, number), cv2.multiply(alpha, below, scale=1 / 255))

    (folder / "torso_masks").mkdir()
    with ThreadPoolExecutor(2) as pool:
        for chunk in chunk_slices(len(landmarks)):  # a pool keeps 1 KB for each task that it was given
            for _ in pool.map(write, range(chunk.start, chunk.stop)):
                pass
