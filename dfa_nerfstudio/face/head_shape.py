"""Shape and poses of a head from landmarks alone: where the alignment of pictures starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.face.head_pose import Information, Points, Poses, solve_poses
from dfa_nerfstudio.face.topology import CHIN, FOREHEAD, OUTER_EYE_CORNERS, RIGID, SIDES

LANDMARK_DEVIATION = 0.01
"""Of a landmark, in outer eye corner distances."""

Landmarks = Float[np.ndarray, "T 478 3"]


def upright(landmarks: Landmarks) -> Landmarks:
    """mediapipe's coordinates (origin top left, y down, z away) about the image's centre with y up and z towards the
    viewer."""
    return (landmarks - [0.5, 0.5, 0]) * [1, -1, -1]


def landmark_information(shape: Points, seen: Landmarks) -> Information:
    """What the sightings of the rigid landmarks are worth, by the size at which each frame shows the head."""
    scale, _, _ = align(shape[RIGID], seen[:, RIGID])
    return np.multiply.outer((LANDMARK_DEVIATION * scale) ** -2.0, np.broadcast_to(np.eye(2), (len(RIGID), 2, 2)))


def landmark_poses(shape: Points, seen: Landmarks, focal: float) -> Poses:
    """The head pose of each frame from its rigid landmarks.

    Args:
        shape: all landmarks in head space.
        seen: as `upright` gives them.
        focal: in image sides.
    """
    scale, rotation, shift = align(shape[RIGID], seen[:, RIGID])
    depth = focal / scale
    initial = Poses(rotation, np.stack([shift[:, 0] / scale, shift[:, 1] / scale, -depth], -1))
    return solve_poses(shape[RIGID], seen[:, RIGID, :2], landmark_information(shape, seen), focal, initial)


def procrustes_mean(faces: Landmarks, rounds: int = 3) -> Points:
    """The mean of faces laid over each other by their rigid points, in head space."""
    mean = faces[0]
    for _ in range(rounds):
        scale, rotation, shift = align(mean[RIGID], faces[:, RIGID])
        mean = np.mean((faces - shift[:, None]) @ rotation / scale[:, None, None], axis=0)
        mean = HeadSpace.of(mean).points(mean)
    return mean


@dataclass
class HeadSpace:
    """The move of everything into head space as it is defined: origin in the rigid landmarks' centroid, the outer eye
    corners one unit apart, x from one side of the face to the other, y from the chin to the forehead. No image shows
    the difference."""

    origin: Float[np.ndarray, " 3"]
    unit: float
    axes: Float[np.ndarray, "3 3"]
    """Rows: where x, y and z of head space point."""

    @classmethod
    def of(cls, shape: Points) -> HeadSpace:
        """From all landmarks, in any other space."""
        left, right = OUTER_EYE_CORNERS
        across = (shape[SIDES[:, 1]] - shape[SIDES[:, 0]]).sum(0)
        x = across / np.linalg.norm(across)
        up = shape[FOREHEAD] - shape[CHIN]
        up = up - (up @ x) * x
        y = up / np.linalg.norm(up)
        unit = float(np.linalg.norm(shape[right] - shape[left]))
        return cls(shape[RIGID].mean(0), unit, np.stack([x, y, np.cross(x, y)]))

    def points(self, points: Points) -> Points:
        """Points after the move."""
        return (points - self.origin) / self.unit @ self.axes.T

    def poses(self, poses: Poses) -> Poses:
        """Poses that show the moved points where the former ones showed the points."""
        translation = (poses.rotation @ self.origin + poses.translation) / self.unit
        return Poses(poses.rotation @ self.axes.T, translation)


def align(
    source: Points, targets: Float[np.ndarray, "T N 3"]
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, "T 3 3"], Float[np.ndarray, "T 3"]]:
    """Scale, rotation and shift of the similarities that lay `source` over each target (Umeyama's solution)."""
    centre, centres = source.mean(0), targets.mean(1)
    centred, spread = source - centre, targets - centres[:, None]
    u, s, vt = np.linalg.svd(spread.transpose(0, 2, 1) @ centred)
    sign = np.ones((len(targets), 3))
    sign[:, 2] = np.linalg.det(u @ vt)
    rotation = u * sign[:, None] @ vt
    scale = (s * sign).sum(1) / (centred**2).sum()
    return scale, rotation, centres - scale[:, None] * (rotation @ centre)


def laid_over(source: Points, target: Points, points: Points) -> Points:
    """`points` moved by the similarity that lays `source` over `target`."""
    scale, rotation, shift = (part[0] for part in align(source, target[None]))
    return scale * points @ rotation.T + shift
