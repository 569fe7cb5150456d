"""Head pose of every frame, one rigid head shape and one focal length, fitted to landmarks that no expression moves.

Units: image coordinates in sides of the square image from its centre, x right and y up; focal length in image sides;
head space and camera space as in `data/dataset_folder.py`. A point X in camera space (z < 0 before the camera) is seen
at f X_xy / -X_z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

Points = Float[np.ndarray, "N 3"]
Observed = Float[np.ndarray, "T N 2"]
Information = Float[np.ndarray, "T N 2 2"]
"""Inverse covariances of sightings, in image sides^-2."""

HUBER = 2.0
"""Standard deviations from which on a sighting counts less."""


@dataclass
class Poses:
    """Rigid motions from head space to camera space."""

    rotation: Float[np.ndarray, "T 3 3"]
    translation: Float[np.ndarray, "T 3"]

    def __len__(self) -> int:
        return len(self.translation)

    def __getitem__(self, frames: slice | np.ndarray) -> Poses:
        return Poses(self.rotation[frames], self.translation[frames])

    def to_camera(self, points: Points | Float[np.ndarray, "T N 3"]) -> Float[np.ndarray, "T N 3"]:
        """Where points of head space, the same or others in every frame, lie in camera space."""
        return points @ self.rotation.transpose(0, 2, 1) + self.translation[:, None]

    def matrices(self) -> Float[np.ndarray, "T 4 4"]:
        """`head_to_camera`."""
        result = np.tile(np.eye(4), (len(self), 1, 1))
        result[:, :3, :3], result[:, :3, 3] = self.rotation, self.translation
        return result


def join(parts: list[Poses]) -> Poses:
    """Stretches one after the other."""
    return Poses(
        np.concatenate([part.rotation for part in parts]), np.concatenate([part.translation for part in parts])
    )


def project(camera_points: Float[np.ndarray, "T N 3"], focal: float) -> Observed:
    """Perspective projection."""
    return focal * camera_points[..., :2] / -camera_points[..., 2:]


def distances(residual: Observed, information: Information) -> Float[np.ndarray, "T N"]:
    """Lengths of residuals in standard deviations."""
    return np.sqrt(np.maximum(np.einsum("tni,tnij,tnj->tn", residual, information, residual), 0))


def huber_weights(distance: Float[np.ndarray, "T N"]) -> Float[np.ndarray, "T N"]:
    """1 up to `HUBER`, falling off with the inverse beyond."""
    return np.minimum(1, HUBER / np.maximum(distance, 1e-12))


def robust_cost(residual: Observed, information: Information) -> Float[np.ndarray, "T N"]:
    """Huber's: the square of the distance up to `HUBER`, linear beyond."""
    distance = distances(residual, information)
    return np.where(distance < HUBER, distance**2, 2 * HUBER * distance - HUBER**2)


def moved(poses: Poses, step: Float[np.ndarray, "T 6"]) -> Poses:
    """Poses after a small turn (applied after the pose's rotation) and a shift each."""
    turn = Rotation.from_rotvec(step[:, :3]).as_matrix()
    return Poses(turn @ poses.rotation, poses.translation + step[:, 3:])


def pose_jacobian(
    camera: Float[np.ndarray, "T N 3"], focal: float, poses: Poses
) -> tuple[Float[np.ndarray, "T N 2 6"], Float[np.ndarray, "T N 2 3"]]:
    """How the image moves with a step of `moved`, and with the points in camera space.

    Args:
        camera: points in camera space.
        focal: focal length.
        poses: of the frames.
    """
    a, b, c = np.moveaxis(camera - poses.translation[:, None], -1, 0)  # turned, not yet shifted
    depth = -camera[..., 2]
    u, v = camera[..., 0] / depth, camera[..., 1] / depth
    one, zero = np.ones_like(u), np.zeros_like(u)
    scale = (focal / depth)[..., None, None]
    of_camera = np.stack([np.stack([one, zero, u], -1), np.stack([zero, one, v], -1)], -2) * scale
    of_turn = np.stack([np.stack([u * b, c - u * a, -b], -1), np.stack([v * b - c, -v * a, a], -1)], -2) * scale
    return np.concatenate([of_turn, of_camera], -1), of_camera


def linearised(
    points: Points, observed: Observed, information: Information, focal: float, poses: Poses
) -> tuple[Observed, Float[np.ndarray, "T 6 6"], Float[np.ndarray, "T 6"]]:
    """The robust reprojection error about `poses`, to first order in a step of `moved`.

    Returns:
        the residuals in image sides, the normal matrices J' W J, and the moments J' W residual.
    """
    camera = poses.to_camera(points)
    residual = observed - project(camera, focal)
    jacobian, _ = pose_jacobian(camera, focal, poses)
    weight = huber_weights(distances(residual, information))[..., None, None] * information
    weighted = weight @ jacobian  # [T, N, 2, 6]
    normal = np.einsum("tnki,tnkj->tij", weighted, jacobian, optimize=True)
    return residual, normal, np.einsum("tnki,tnk->ti", weighted, residual)


def solve_poses(
    points: Points, observed: Observed, information: Information, focal: float, initial: Poses, iterations: int = 8
) -> Poses:
    """Gauss-Newton on the robust reprojection error, for all frames at once.

    Args:
        points: in head space.
        observed: where they are seen, in image sides.
        information: inverse covariance of each sighting.
        focal: focal length.
        initial: where to start from.
        iterations: number of steps; the error falls quadratically near the end.
    """
    poses = initial
    for _ in range(iterations):
        _, normal, moment = linearised(points, observed, information, focal, poses)
        normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(6)
        poses = moved(poses, np.linalg.solve(normal, moment[..., None])[..., 0])
    return poses


def back_project(observed: Observed, shape: Points, focal: float, poses: Poses) -> Float[np.ndarray, "T N 3"]:
    """Lifts what is seen to the depth of `shape` under each pose, and takes the pose out: points in head space."""
    depth = -poses.to_camera(shape)[..., 2:]
    camera = np.concatenate([observed / focal * depth, -depth], -1)
    return (camera - poses.translation[:, None]) @ poses.rotation


def as_vectors(poses: Poses) -> Float[np.ndarray, "T 6"]:
    """Rotation vectors in radians, then translations."""
    return np.concatenate([Rotation.from_matrix(poses.rotation).as_rotvec(), poses.translation], -1)


def from_vectors(vectors: Float[np.ndarray, "T 6"]) -> Poses:
    """The inverse of `as_vectors`."""
    return Poses(Rotation.from_rotvec(vectors[:, :3]).as_matrix(), vectors[:, 3:])
