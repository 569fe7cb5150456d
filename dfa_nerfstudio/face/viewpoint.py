"""From where a part of the face is seen."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.face.head_pose import Poses


def viewpoint(poses: Poses, places: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 2"]:
    """The direction to the camera as seen from a place on the head: how far it lies to the head's right and above it,
    as tangents; 0, 0 when the head faces the camera.

    Args:
        poses: of T frames.
        places: in head space.
    """
    camera = -np.einsum("tij,ti->tj", poses.rotation, poses.translation)  # [T, 3], in head space
    there = camera - places
    return there[:, :2] / np.maximum(there[:, 2:], 0.2 * np.linalg.norm(there, axis=-1, keepdims=True))
