"""Opacity of the lower face in a portrait, for new lips in an otherwise unchanged video."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32

from dfa_nerfstudio.face.topology import LANDMARKS_68

LOWER_FACE_68 = [*range(2, 15), *range(31, 36), *range(48, 68)]
"""Jaw, nostrils and lips of the 68 landmarks: what speaking moves."""
GROWTH = 0.06
"""Growth of their convex hull, as a fraction of its width, so that the chin's outline lies inside."""
FADE = 0.08
"""Width over which the opacity falls to 0, as a fraction of the hull's width."""


def lower_face_points(landmarks: Float[np.ndarray, "*T 478 D"]) -> Float[np.ndarray, "*T L 2"]:
    """Image coordinates of the landmarks of `LOWER_FACE_68`."""
    return landmarks[..., LANDMARKS_68, :][..., LOWER_FACE_68, :2]


def lower_face_opacity(points: Float[np.ndarray, "L 2"], height: int, width: int) -> Float32[np.ndarray, "H W 1"]:
    """Opacity in [0, 1]: 1 in the grown convex hull of the points, falling to 0 around it.

    Args:
        points: landmarks of the lower face in pixels.
        height: height of the image.
        width: width of the image.
    """
    hull = cv2.convexHull(points.astype(np.float32)).round().astype(np.int32)
    inside = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), hull, (1,))
    size = float(np.ptp(points[:, 0]))
    distance = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)  # pixels to the hull
    ramp = (1 - (distance - GROWTH * size) / max(FADE * size, 1.0)).clip(0, 1)
    return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)[..., None]
