"""Aperture of the mouth: the gap between the inner lips, in the image, and in head space, corrected for the view."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.face.head_pose import Poses
from dfa_nerfstudio.face.topology import INNER_LIPS, OUTER_EYE_CORNERS
from dfa_nerfstudio.face.viewpoint import view_tangents

JAW_RECESSION = float(np.tan(np.radians(26 + 10)))
"""Backward motion of the lower lip divided by its downward motion. The jaw turns about its condyles. The line from
there to the incisors is inclined by Balkwill's angle, 26 degrees, against the occlusal plane, which is itself inclined
by 10 degrees."""


def mouth_opening(landmarks: Float[np.ndarray, "T 478 3"], poses: Poses) -> Float[np.ndarray, " T"]:
    """The gap between the inner lips at the middle of the mouth, in head space units.

    Landmarks in head space have the depth of the resting mouth, but the lower lip of an open mouth lies deeper. So the
    measured gap g' is smaller than the true gap g when seen from above and larger when seen from below:
    g' = g (1 - recession * tangent of the view).

    Args:
        landmarks: in head space.
        poses: with which the landmarks were brought to head space.
    """
    lips = landmarks[:, INNER_LIPS]  # [T, pairs, 2, 3]
    gap = (lips[:, :, 0, 1] - lips[:, :, 1, 1]).mean(-1)
    from_above = view_tangents(poses, lips.mean((1, 2)))[:, 1]
    return np.maximum(gap, 0) / np.clip(1 - JAW_RECESSION * from_above, 0.5, 2)


def lip_gap(landmarks: Float[np.ndarray, "*B 478 C"]) -> Float[np.ndarray, "*B"]:
    """Mean distance between the inner lips in the image plane, in units of the outer eye corner distance.

    Args:
        landmarks: of the image; the eyes' distance is measured with all C coordinates.
    """
    lips, (left, right) = landmarks[..., INNER_LIPS, :2], OUTER_EYE_CORNERS
    unit = np.linalg.norm(landmarks[..., left, :] - landmarks[..., right, :], axis=-1)
    return np.linalg.norm(lips[..., 0, :] - lips[..., 1, :], axis=-1).mean(-1) / unit
