"""Head shape and head poses from landmarks alone, from which the alignment of images starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.face.head_pose import Information, Points, Poses, solve_poses
from dfa_nerfstudio.face.topology import CHIN, FOREHEAD, MIRROR_PAIRS, OUTER_EYE_CORNERS, RIGID

LANDMARK_DEVIATION = 0.01
"""Standard deviation of a landmark's error, as a fraction of the distance between the outer eye corners."""

Landmarks = Float[np.ndarray, "T 478 3"]


def to_opengl_axes(landmarks: Landmarks) -> Landmarks:
    """Converts mediapipe's coordinates (origin top left, y down, z away from the viewer) to coordinates about the
    image's centre with y up and z towards the viewer."""
    return (landmarks - [0.5, 0.5, 0]) * [1, -1, -1]


def landmark_information(shape: Points, observed: Landmarks) -> Information:
    """The inverse covariance of the rigid landmarks in each frame, which depends on the size of the head in the image.

    Args:
        shape: all landmarks in head space.
        observed: landmarks as `to_opengl_axes` returns them.
    """
    scale, _, _ = fit_similarity(shape[RIGID], observed[:, RIGID])
    return np.multiply.outer((LANDMARK_DEVIATION * scale) ** -2.0, np.broadcast_to(np.eye(2), (len(RIGID), 2, 2)))


def landmark_poses(shape: Points, observed: Landmarks, focal: float) -> Poses:
    """The head pose of each frame from its rigid landmarks.

    Args:
        shape: all landmarks in head space.
        observed: landmarks as `to_opengl_axes` returns them.
        focal: focal length in image sides.
    """
    scale, rotation, shift = fit_similarity(shape[RIGID], observed[:, RIGID])
    depth = focal / scale
    initial = Poses(rotation, np.stack([shift[:, 0] / scale, shift[:, 1] / scale, -depth], -1))
    information = landmark_information(shape, observed)
    return solve_poses(shape[RIGID], observed[:, RIGID, :2], information, focal, initial)


def procrustes_mean(faces: Landmarks, iterations: int = 3) -> Points:
    """The mean of faces that are aligned by their rigid points (generalised Procrustes analysis), in head space."""
    mean = faces[0]
    for _ in range(iterations):
        scale, rotation, shift = fit_similarity(mean[RIGID], faces[:, RIGID])
        mean = np.mean((faces - shift[:, None]) @ rotation / scale[:, None, None], axis=0)
        mean = HeadSpace.from_landmarks(mean).transform_points(mean)
    return mean


@dataclass
class HeadSpace:
    """The similarity transform to head space from another space of a rigid head.

    Head space has its origin at the centroid of the rigid landmarks, the outer eye corners one unit apart, x from one
    side of the face to the other and y from the chin to the forehead. The transform does not change any projection.
    """

    origin: Float[np.ndarray, " 3"]
    """Origin of head space in the other space."""
    unit: float
    """Unit of head space in units of the other space."""
    axes: Float[np.ndarray, "3 3"]
    """Rows: directions of head space's x, y and z in the other space."""

    @classmethod
    def from_landmarks(cls, shape: Points) -> HeadSpace:
        """The transform from the space in which all landmarks are given."""
        left, right = OUTER_EYE_CORNERS
        across = (shape[MIRROR_PAIRS[:, 1]] - shape[MIRROR_PAIRS[:, 0]]).sum(0)
        x = across / np.linalg.norm(across)
        up = shape[FOREHEAD] - shape[CHIN]
        up = up - (up @ x) * x
        y = up / np.linalg.norm(up)
        unit = float(np.linalg.norm(shape[right] - shape[left]))
        return cls(shape[RIGID].mean(0), unit, np.stack([x, y, np.cross(x, y)]))

    def transform_points(self, points: Points) -> Points:
        """Points in head space."""
        return (points - self.origin) / self.unit @ self.axes.T

    def transform_poses(self, poses: Poses) -> Poses:
        """Poses under which transformed points have the same projection as the original points under `poses`."""
        translation = (poses.rotation @ self.origin + poses.translation) / self.unit
        return Poses(poses.rotation @ self.axes.T, translation)


def fit_similarity(
    source: Points, targets: Float[np.ndarray, "T N 3"]
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, "T 3 3"], Float[np.ndarray, "T 3"]]:
    """Scale, rotation and translation of the least-squares similarity from `source` to each target (Umeyama 1991)."""
    source_mean, target_means = source.mean(0), targets.mean(1)
    source, targets = source - source_mean, targets - target_means[:, None]
    u, s, vt = np.linalg.svd(targets.transpose(0, 2, 1) @ source)
    sign = np.ones((len(targets), 3))
    sign[:, 2] = np.linalg.det(u @ vt)
    rotation = u * sign[:, None] @ vt
    scale = (s * sign).sum(1) / (source**2).sum()
    return scale, rotation, target_means - scale[:, None] * (rotation @ source_mean)


def align_points(source: Points, target: Points, points: Points) -> Points:
    """`points` transformed by the least-squares similarity from `source` to `target`."""
    scale, rotation, shift = (part[0] for part in fit_similarity(source, target[None]))
    return scale * points @ rotation.T + shift
