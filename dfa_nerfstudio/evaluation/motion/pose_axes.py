"""Head poses as six curves: three angles and three position coordinates."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

AXES = ("yaw", "pitch", "roll", "x", "y", "z")
ANGLES, POSITIONS = slice(0, 3), slice(3, 6)

PoseAxes = Float[np.ndarray, "T 6"]
"""Yaw, pitch and roll in degrees (about the camera's y, x and z, in that order), then the head's position in camera
space in units of the outer eye corner distance."""


def pose_axes(head_to_camera: Float[np.ndarray, "T 4 4"]) -> PoseAxes:
    """Angles and positions of a track's poses; angles are continuous over time."""
    angles = Rotation.from_matrix(head_to_camera[:, :3, :3]).as_euler("YXZ")
    return np.concatenate([np.degrees(np.unwrap(angles, axis=0)), head_to_camera[:, :3, 3]], 1)
