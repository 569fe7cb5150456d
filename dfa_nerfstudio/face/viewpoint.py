"""The direction from which the camera sees a part of the face."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.face.head_pose import Poses


def view_tangents(poses: Poses, points: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 2"]:
    """Tangents of the direction from a point on the head to the camera: to the head's right, and upwards.

    Both are 0 when the head faces the camera.

    Args:
        poses: head poses of T frames.
        points: one point per frame, in head space.
    """
    camera = -np.einsum("tij,ti->tj", poses.rotation, poses.translation)  # [T, 3], in head space
    to_camera = camera - points
    return to_camera[:, :2] / np.maximum(to_camera[:, 2:], 0.2 * np.linalg.norm(to_camera, axis=-1, keepdims=True))
