"""What of the person is not the head: the mask of the evaluation protocol *head*, which pastes the true torso."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dfa_nerfstudio.data.dataset_folder import mask_path, torso_mask_path
from dfa_nerfstudio.face.topology import CHIN, JAW
from dfa_nerfstudio.media.images import read_mask, write_image

FOREHEAD = 10
SOFTNESS = 0.02
"""Standard deviation of the border's blur, in heights of the face."""
DRAWN = 128
"""Side at most at which a border so soft is drawn, in pixels."""


def head_region(landmarks: Float[np.ndarray, "478 3"], size: int) -> UInt8[np.ndarray, "size size"]:
    """What lies above the border between head and torso, 0 to 255, soft at the border.

    The border follows the jaw from one corner to the other and goes on level from there. So face, ears and hair down to
    about the mouth are the head's; the neck, the shoulders, and hair that hangs beside the neck are the torso's, on
    which long hair rests.

    Args:
        landmarks: in image sides, x right, y down.
        size: of the picture in pixels.
    """
    side = min(size, DRAWN)
    jaw = landmarks[JAW, :2] * side
    left, right = min(0.0, jaw[:, 0].min()) - side, max(side, jaw[:, 0].max()) + side  # well outside the picture
    border = np.array([(left, jaw[0, 1]), *jaw, (right, jaw[-1, 1]), (right, -side), (left, -side)])
    region = np.zeros((side, side), np.uint8)
    cv2.fillPoly(region, [np.round((border - 0.5) * 16).astype(np.int32)], (255,), cv2.LINE_AA, shift=4)
    height = np.linalg.norm(landmarks[CHIN, :2] - landmarks[FOREHEAD, :2]) * side
    region = cv2.GaussianBlur(region, (0, 0), max(SOFTNESS * float(height), 0.3))
    return cv2.resize(region, (size, size), interpolation=cv2.INTER_LINEAR)


def write_torso_masks(folder: Path, landmarks: Float[np.ndarray, "T 478 3"]) -> None:
    """Writes the torso mask of every frame from its person mask and landmarks, which are in image sides."""

    def write(number: int) -> None:
        alpha = read_mask(mask_path(folder, number))
        below = 255 - head_region(landmarks[number], len(alpha))
        write_image(torso_mask_path(folder, number), cv2.multiply(alpha, below, scale=1 / 255))

    (folder / "torso_masks").mkdir()
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(write, range(len(landmarks))):
            pass
