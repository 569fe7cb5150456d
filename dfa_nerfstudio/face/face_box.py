"""The square around a face."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

MARGIN = 0.1
"""Margin of the face square on each side, relative to the face's larger side."""


def face_box(landmarks: Float[np.ndarray, "478 2"], width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (exclusive) of the square around a face, clipped to the frame."""
    low, high = landmarks.min(0), landmarks.max(0)
    reach = (0.5 + MARGIN) * (high - low).max()
    x, y = (low + high) / 2
    edges = np.array([x - reach, y - reach, x + reach, y + reach]).round().astype(int)
    left, top, right, bottom = edges.clip(0, [width, height, width, height])
    return int(left), int(top), int(max(right, left + 1)), int(max(bottom, top + 1))
