"""Writes the landmarks and the matte of the demo's portrait. It was run once and lies here because it needs mediapipe.

    python tests/demo/make_portrait.py

It writes `dfa_nerfstudio/face/reference_face.npz` with `landmarks`: mediapipe's 478 refined FaceMesh landmarks in
pixels of `skimage.data.astronaut()` (z in the same unit, smaller is nearer), detected in a threefold enlargement.
It writes `dfa_nerfstudio/demo/portrait.npz` with `matte`: the person's alpha in 8 bits, from mediapipe's selfie
segmentation, sharpened to the image's edges by a guided filter.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import mediapipe
import numpy as np
import skimage.data

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.face.reference_face import REFERENCE_FACE

HEAD = (slice(0, 320), slice(64, 384))
"""Rows and columns of the head in the portrait."""
ENLARGEMENT = 3
OUTPUT = Path(__file__).parents[2] / "dfa_nerfstudio/demo/portrait.npz"


def guided_filter(guide: np.ndarray, mask: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Filters `mask` [H W] by a colour `guide` [H W 3], both in [0, 1] (guided filter of He et al.)."""
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, size)

    centre = mean(guide)
    products = guide[..., :, None] * guide[..., None, :]  # [H W 3 3]
    covariance = (
        mean(products.reshape(*mask.shape, 9)).reshape(products.shape) - centre[..., :, None] * centre[..., None, :]
    )
    cross = mean(guide * mask[..., None]) - centre * mean(mask)[..., None]
    slope = np.linalg.solve(covariance + epsilon * np.eye(3), cross[..., None])[..., 0]
    offset = mean(mask) - (slope * centre).sum(-1)
    return (mean(slope) * guide).sum(-1) + mean(offset)


def main() -> None:
    """Writes `reference_face.npz` and `portrait.npz`."""
    solutions = mediapipe.solutions
    image = skimage.data.astronaut()
    head = cv2.resize(image[HEAD], None, fx=ENLARGEMENT, fy=ENLARGEMENT, interpolation=cv2.INTER_CUBIC)
    with solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as mesh:
        found = mesh.process(head).multi_face_landmarks[0].landmark
    scale = np.array([head.shape[1], head.shape[0], head.shape[1]]) / ENLARGEMENT
    landmarks = np.array([(point.x, point.y, point.z) for point in found]) * scale + (HEAD[1].start, HEAD[0].start, 0)
    with solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as segmentation:
        mask = segmentation.process(image).segmentation_mask.astype(np.float64)
    matte = guided_filter(image / 255, np.clip((mask - 0.5) * 4 + 0.5, 0, 1), 4, 1e-4)
    matte = np.clip((matte - 0.1) / 0.8, 0, 1)
    with atomic_write(REFERENCE_FACE) as partial:
        np.savez_compressed(partial, landmarks=landmarks.astype(np.float32))
    with atomic_write(OUTPUT) as partial:
        np.savez_compressed(partial, matte=np.uint8(np.round(matte * 255)))


if __name__ == "__main__":
    main()
