"""A reference face: mediapipe's 478 landmarks of the public-domain portrait that the demo subject is made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

REFERENCE_FACE = Path(__file__).with_name("reference_face.npz")
"""File with the array `landmarks`."""


def reference_landmarks() -> Float[np.ndarray, "478 3"]:
    """The landmarks in pixels of `skimage.data.astronaut()`: x right, y down, z away from the viewer."""
    with np.load(REFERENCE_FACE) as data:
        return data["landmarks"].astype(np.float64)
