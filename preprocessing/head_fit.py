"""The head of one person learnt from a clip: its shape, the camera's focal length, and the pose in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize_scalar
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.preprocessing.face_topology import OUTER_EYE_CORNERS, RIGID
from dfa_nerfstudio.preprocessing.head_pose import (
    Points,
    Poses,
    huber_weights,
    linearised,
    project,
    smooth_poses,
    solve_poses,
    solve_shape,
)

FOCAL_BOUNDS = (0.7, 7.0)
"""In image sides."""
FOCAL_PRIOR, FOCAL_PRIOR_LOG_WIDTH = 2.5, 0.35
"""A head-and-shoulders shot is usually taken with a focal length about 2.5 times the square's side."""
DEPTH_PRIOR_WEIGHT = 0.01
"""How much the tracker's own depth counts against the parallax of the clip (see `solve_shape`)."""
HUBER = 0.02
"""In outer eye corner distances."""
SAMPLES = 200
"""Training frames that the shape is learnt from, evenly spaced."""
ROUNDS = 5
"""Alternations between poses and shape."""
INDEPENDENT_SIGHTINGS = 50
"""What the landmarks of a whole clip are worth, in independent measurements: their errors depend on the pose far more
than on chance, so that more frames do not add as many."""


@dataclass
class HeadFit:
    """What is learnt from training frames and then used on every frame."""

    shape: Points
    """All landmarks' mean places in head space."""
    focal: float
    """In image sides."""
    huber: float
    """In image sides."""
    scale: float
    """Image sides per head space unit, on average."""

    def poses(self, landmarks: Float[np.ndarray, "T 478 3"]) -> Poses:
        """The head pose of each frame."""
        initial = weak_perspective_poses(self.shape, upright(landmarks), self.focal)
        return solve_poses(self.shape[RIGID], upright(landmarks)[:, RIGID, :2], self.focal, initial, self.huber)

    def smooth(
        self,
        landmarks: Float[np.ndarray, "T 478 3"],
        found: Bool[np.ndarray, " T"],
        poses: Poses,
        acceleration: float,
        shared: float,
    ) -> Poses:
        """Smooths the poses of one stretch of frames (see `smooth_track`).

        Args:
            landmarks: of these frames.
            found: False for frames whose landmarks are interpolated, which then count for nothing.
            poses: of these frames, from `poses`.
            acceleration: see `typical_acceleration`, in head space units.
            shared: how many landmarks share an error; 0 for no smoothing.
        """
        if shared <= 0:
            return poses
        seen = upright(landmarks)[:, RIGID, :2]
        residual, normal, _ = linearised(self.shape[RIGID], seen, self.focal, poses, self.huber)
        variance = shared * np.mean(residual**2 * huber_weights(residual, self.huber)[..., None])
        return smooth_poses(poses, normal * found[:, None, None] / variance, acceleration)

    def errors(self, landmarks: Float[np.ndarray, "T 478 3"], poses: Poses) -> Float[np.ndarray, "T R"]:
        """Distance between the rigid points as seen and as reprojected, in image sides."""
        return np.linalg.norm(
            upright(landmarks)[:, RIGID, :2] - project(poses.to_camera(self.shape[RIGID]), self.focal), axis=-1
        )


def upright(landmarks: Float[np.ndarray, "T 478 3"]) -> Float[np.ndarray, "T 478 3"]:
    """mediapipe's coordinates (origin top left, y down, z away) about the image's centre with y up and z towards the
    viewer."""
    return (landmarks - [0.5, 0.5, 0]) * [1, -1, -1]


def fit_head(landmarks: Float[np.ndarray, "T 478 3"]) -> HeadFit:
    """Learns shape and focal length from the training frames' landmarks.

    For a given focal length, poses and rigid shape are solved for in turn. The focal length is the one with the
    smallest robust reprojection error and prior together; a nearly frontal head hardly reveals it.

    Args:
        landmarks: training frames only, in units of the image's side.
    """
    samples = np.unique(np.linspace(0, len(landmarks) - 1, SAMPLES).round().astype(int))
    seen = upright(landmarks[samples])
    prior = procrustes_mean(seen)
    scale = float(np.mean(align(prior[RIGID], seen[:, RIGID])[0]))
    huber = HUBER * scale
    rigid = seen[:, RIGID, :2]

    def alternate(focal: float) -> tuple[Points, Poses]:
        shape = prior[RIGID]
        poses = weak_perspective_poses(prior, seen, focal)
        for _ in range(ROUNDS):
            poses = solve_poses(shape, rigid, focal, poses, huber, iterations=3)
            shape = solve_shape(shape, prior[RIGID], DEPTH_PRIOR_WEIGHT, rigid, focal, poses, huber)
        return shape, poses

    def cost(log_focal: float) -> float:
        shape, poses = alternate(np.exp(log_focal))
        residual = rigid - project(poses.to_camera(shape), np.exp(log_focal))
        misfit = np.mean(huber_weights(residual, huber) * (residual**2).sum(-1))
        departure = (log_focal - np.log(FOCAL_PRIOR)) / FOCAL_PRIOR_LOG_WIDTH
        return INDEPENDENT_SIGHTINGS / 2 * np.log(misfit) + departure**2 / 2

    best = minimize_scalar(cost, bounds=np.log(FOCAL_BOUNDS), method="bounded", options={"xatol": 0.02})
    focal = float(np.exp(best.x))
    _, poses = alternate(focal)
    shape = solve_shape(prior, prior, DEPTH_PRIOR_WEIGHT, seen[..., :2], focal, poses, huber)
    shape, _ = canonical(shape, poses)
    return HeadFit(shape, focal, huber, scale)


def procrustes_mean(faces: Float[np.ndarray, "T 478 3"], rounds: int = 3) -> Points:
    """The mean of faces laid over each other by their rigid points, with the axes of their mean orientation."""
    mean = faces[0]
    for _ in range(rounds):
        scale, rotation, shift = align(mean[RIGID], faces[:, RIGID])
        mean = np.mean((faces - shift[:, None]) @ rotation / scale[:, None, None], axis=0)
        mean, _ = canonical(mean, Poses(rotation, np.zeros((len(faces), 3))))
    return mean


def canonical(shape: Points, poses: Poses) -> tuple[Points, Poses]:
    """The same shape and poses in head space as it is defined: origin in the rigid points' centroid, the outer eye
    corners one unit apart, turned so that the mean pose faces the camera."""
    origin = shape[RIGID].mean(0)
    left, right = OUTER_EYE_CORNERS
    unit = np.linalg.norm(shape[right] - shape[left])
    facing = Rotation.from_matrix(poses.rotation).mean().as_matrix()
    moved = (shape - origin) / unit @ facing.T
    # X = R P + t with P = unit facing^T P' + origin; the scene may be scaled, which no image shows
    translation = (poses.rotation @ origin + poses.translation) / unit
    return moved, Poses(poses.rotation @ facing.T, translation)


def weak_perspective_poses(shape: Points, seen: Float[np.ndarray, "T 478 3"], focal: float) -> Poses:
    """Poses to start from: the similarity that lays the shape over each frame's landmarks, depth included."""
    scale, rotation, shift = align(shape[RIGID], seen[:, RIGID])
    depth = focal / scale
    return Poses(rotation, np.stack([shift[:, 0] / scale, shift[:, 1] / scale, -depth], -1))


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
