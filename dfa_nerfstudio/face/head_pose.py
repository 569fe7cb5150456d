"""Head poses fitted to landmarks that no expression moves, for a known rigid head shape and focal length.

Units: image coordinates in sides of the square image from its centre, x right and y up; focal length in image sides;
head space and camera space as in `data/dataset_folder.py`. A point X in camera space (z < 0 before the camera) is seen
at f X_xy / -X_z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

Points = Float[np.ndarray, "N 3"]
Observed = Float[np.ndarray, "T N 2"]
"""Observed image coordinates of N points in T frames, in image sides."""
Information = Float[np.ndarray, "T N 2 2"]
"""Inverse covariance of each observation, in image sides^-2."""

HUBER_THRESHOLD = 2.0
"""Standard deviations above which an observation is weighted down."""

MAX_RIGID_ERROR = 1e-2
"""Largest error of an element of R R^T, and of the last row, of a matrix that is read as a pose."""
MAX_TRANSLATION = 1e6
"""Largest coordinate of its translation."""


@dataclass
class Poses:
    """Rigid transforms from head space to camera space, one per frame."""

    rotation: Float[np.ndarray, "T 3 3"]
    translation: Float[np.ndarray, "T 3"]

    def __len__(self) -> int:
        return len(self.translation)

    def __getitem__(self, frames: slice | np.ndarray) -> Poses:
        return Poses(self.rotation[frames], self.translation[frames])

    def to_camera(self, points: Points | Float[np.ndarray, "T N 3"]) -> Float[np.ndarray, "T N 3"]:
        """Transforms points from head space to camera space.

        Args:
            points: the same points for every frame, or T sets of points.
        """
        return points @ self.rotation.transpose(0, 2, 1) + self.translation[:, None]

    def matrices(self) -> Float[np.ndarray, "T 4 4"]:
        """The transforms as homogeneous matrices, as in `ClipAttributes.head_to_camera`."""
        result = np.tile(np.eye(4), (len(self), 1, 1))
        result[:, :3, :3], result[:, :3, 3] = self.rotation, self.translation
        return result


def is_rigid(matrices: Float[np.ndarray, "*N 4 4"]) -> Bool[np.ndarray, "*N"]:
    """Whether each matrix is a rotation and a translation, to about two digits: files may be written with few."""
    rotation, translation = matrices[..., :3, :3], matrices[..., :3, 3]
    with np.errstate(invalid="ignore", over="ignore"):  # of numbers that are not finite
        error = np.abs(rotation @ rotation.swapaxes(-1, -2) - np.eye(3)).max((-1, -2))
        error = np.maximum(error, np.abs(matrices[..., 3, :] - [0, 0, 0, 1]).max(-1))
        upright = np.linalg.det(rotation) > 0
    return (error < MAX_RIGID_ERROR) & upright & (np.abs(translation).max(-1) < MAX_TRANSLATION)


def concatenate_poses(parts: list[Poses]) -> Poses:
    """The poses of consecutive runs of frames as one."""
    return Poses(
        np.concatenate([part.rotation for part in parts]), np.concatenate([part.translation for part in parts])
    )


def project_points(camera_points: Float[np.ndarray, "T N 3"], focal: float) -> Observed:
    """Perspective projection of points in camera space."""
    return focal * camera_points[..., :2] / -camera_points[..., 2:]


def mahalanobis_distances(residual: Observed, information: Information) -> Float[np.ndarray, "T N"]:
    """Lengths of residuals in standard deviations."""
    return np.sqrt(np.maximum(np.einsum("tni,tnij,tnj->tn", residual, information, residual), 0))


def huber_weights(distance: Float[np.ndarray, "T N"]) -> Float[np.ndarray, "T N"]:
    """Weights of Huber's cost: 1 up to `HUBER_THRESHOLD`, proportional to the inverse distance above."""
    return np.minimum(1, HUBER_THRESHOLD / np.maximum(distance, 1e-12))


def huber_cost(residual: Observed, information: Information) -> Float[np.ndarray, "T N"]:
    """Huber's cost: the square of the Mahalanobis distance up to `HUBER_THRESHOLD`, linear above."""
    distance = mahalanobis_distances(residual, information)
    linear = 2 * HUBER_THRESHOLD * distance - HUBER_THRESHOLD**2
    return np.where(distance < HUBER_THRESHOLD, distance**2, linear)


def apply_pose_step(poses: Poses, step: Float[np.ndarray, "T 6"]) -> Poses:
    """Poses after a small step each.

    Args:
        poses: of T frames.
        step: rotation vector in radians, applied after the pose's rotation, then translation.
    """
    rotation = Rotation.from_rotvec(step[:, :3]).as_matrix()
    return Poses(rotation @ poses.rotation, poses.translation + step[:, 3:])


def pose_jacobian(
    camera: Float[np.ndarray, "T N 3"], focal: float, poses: Poses
) -> tuple[Float[np.ndarray, "T N 2 6"], Float[np.ndarray, "T N 2 3"]]:
    """Derivatives of the image coordinates with respect to a step of `apply_pose_step`, and to the points in camera
    space.

    Args:
        camera: points in camera space.
        focal: focal length in image sides.
        poses: of the frames.
    """
    a, b, c = np.moveaxis(camera - poses.translation[:, None], -1, 0)  # rotated, before translation
    depth = -camera[..., 2]
    u, v = camera[..., 0] / depth, camera[..., 1] / depth
    one, zero = np.ones_like(u), np.zeros_like(u)
    scale = (focal / depth)[..., None, None]
    by_camera = np.stack([np.stack([one, zero, u], -1), np.stack([zero, one, v], -1)], -2) * scale
    by_rotation = np.stack([np.stack([u * b, c - u * a, -b], -1), np.stack([v * b - c, -v * a, a], -1)], -2) * scale
    return np.concatenate([by_rotation, by_camera], -1), by_camera


def linearize_reprojection(
    points: Points, observed: Observed, information: Information, focal: float, poses: Poses
) -> tuple[Observed, Float[np.ndarray, "T 6 6"], Float[np.ndarray, "T 6"]]:
    """The robust reprojection error about `poses`, to first order in a step of `apply_pose_step`.

    Returns:
        the residuals in image sides, the normal matrices J' W J, and the moments J' W residual.
    """
    camera = poses.to_camera(points)
    residual = observed - project_points(camera, focal)
    jacobian, _ = pose_jacobian(camera, focal, poses)
    weight = huber_weights(mahalanobis_distances(residual, information))[..., None, None] * information
    weighted = weight @ jacobian  # [T, N, 2, 6]
    normal = np.einsum("tnki,tnkj->tij", weighted, jacobian, optimize=True)
    return residual, normal, np.einsum("tnki,tnk->ti", weighted, residual)


def solve_poses(
    points: Points, observed: Observed, information: Information, focal: float, initial: Poses, iterations: int = 8
) -> Poses:
    """Minimises the robust reprojection error of all frames at once by Gauss-Newton steps.

    Args:
        points: in head space.
        observed: image coordinates of the points, in image sides.
        information: inverse covariance of each observation.
        focal: focal length in image sides.
        initial: poses to start from.
        iterations: number of steps; convergence is quadratic near the minimum.
    """
    poses = initial
    for _ in range(iterations):
        _, normal, moment = linearize_reprojection(points, observed, information, focal, poses)
        normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(6)
        poses = apply_pose_step(poses, np.linalg.solve(normal, moment[..., None])[..., 0])
    return poses


def back_project(observed: Observed, shape: Points, focal: float, poses: Poses) -> Float[np.ndarray, "T N 3"]:
    """Lifts observed points to the depth of `shape` under each pose, and brings them to head space.

    Args:
        observed: image coordinates, in image sides.
        shape: the points of the rigid head shape, in head space.
        focal: focal length in image sides.
        poses: of T frames.
    """
    depth = -poses.to_camera(shape)[..., 2:]
    camera = np.concatenate([observed / focal * depth, -depth], -1)
    return (camera - poses.translation[:, None]) @ poses.rotation


def poses_to_vectors(poses: Poses) -> Float[np.ndarray, "T 6"]:
    """Rotation vectors in radians, then translations."""
    return np.concatenate([Rotation.from_matrix(poses.rotation).as_rotvec(), poses.translation], -1)


def vectors_to_poses(vectors: Float[np.ndarray, "T 6"]) -> Poses:
    """The inverse of `poses_to_vectors`."""
    return Poses(Rotation.from_rotvec(vectors[:, :3]).as_matrix(), vectors[:, 3:])
