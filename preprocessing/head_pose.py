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

from dfa_nerfstudio.preprocessing.smoothing import smooth_track

Points = Float[np.ndarray, "N 3"]
Observed = Float[np.ndarray, "T N 2"]


@dataclass
class Poses:
    """Rigid motions from head space to camera space."""

    rotation: Float[np.ndarray, "T 3 3"]
    translation: Float[np.ndarray, "T 3"]

    def __len__(self) -> int:
        return len(self.translation)

    def __getitem__(self, frames: slice | np.ndarray) -> Poses:
        return Poses(self.rotation[frames], self.translation[frames])

    def to_camera(self, points: Points) -> Float[np.ndarray, "T N 3"]:
        """Where points of head space lie in camera space."""
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


def huber_weights(residual: Float[np.ndarray, "*batch 2"], width: float) -> Float[np.ndarray, "*batch"]:
    """1 for residuals up to `width`, falling off with their inverse beyond."""
    return np.minimum(1, width / np.maximum(np.linalg.norm(residual, axis=-1), 1e-12))


def linearised(
    shape: Points, observed: Observed, focal: float, poses: Poses, huber: float
) -> tuple[Float[np.ndarray, "T N 2"], Float[np.ndarray, "T 6 6"], Float[np.ndarray, "T 6"]]:
    """The robust reprojection error about `poses`, to first order in a turn (applied after the pose's rotation) and a
    shift of each.

    Returns:
        the residuals in image sides, the normal matrices J' W J, and the moments J' W residual.
    """
    turned = shape @ poses.rotation.transpose(0, 2, 1)  # [T, N, 3]
    x, y, z = np.moveaxis(turned + poses.translation[:, None], -1, 0)  # [T, N] each
    u, v = x / -z, y / -z
    residual = observed - focal * np.stack([u, v], -1)
    a, b, c = np.moveaxis(turned, -1, 0)
    one, zero = np.ones_like(u), np.zeros_like(u)
    jacobian = np.stack(
        [np.stack([u * b, c - u * a, -b, one, zero, u], -1), np.stack([v * b - c, -v * a, a, zero, one, v], -1)], -2
    )  # [T, N, 2, 6]: three of rotation, three of translation
    jacobian *= (focal / -z)[..., None, None]
    weighted = jacobian * huber_weights(residual, huber)[..., None, None]
    return residual, np.einsum("tnki,tnkj->tij", weighted, jacobian), np.einsum("tnki,tnk->ti", weighted, residual)


def solve_poses(
    shape: Points, observed: Observed, focal: float, initial: Poses, huber: float, iterations: int = 8
) -> Poses:
    """Gauss-Newton on the robust reprojection error, for all frames at once.

    Args:
        shape: the head, in head space.
        observed: where its points are seen.
        focal: focal length.
        initial: where to start from.
        huber: residual in image sides from which on a point counts less.
        iterations: number of steps; the error falls quadratically near the end.
    """
    poses = initial
    for _ in range(iterations):
        _, normal, moment = linearised(shape, observed, focal, poses, huber)
        normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(6)
        step = np.linalg.solve(normal, moment[..., None])[..., 0]
        turn = Rotation.from_rotvec(step[:, :3]).as_matrix()
        poses = Poses(turn @ poses.rotation, poses.translation + step[:, 3:])
    return poses


def solve_shape(
    shape: Points, prior: Points, depth_weight: float, observed: Observed, focal: float, poses: Poses, huber: float
) -> Points:
    """The points' places in head space by linear least squares over all frames.

    Each sighting (u, v) under pose (R, t) gives two linear equations: f X_x + u X_z = 0 and f X_y + v X_z = 0 with
    X = R P + t, divided by the depth so that they count image distances. Along z, where a head that hardly turns tells
    little, the points are drawn to the prior.

    Args:
        shape: the present estimate; tells how much each sighting counts.
        prior: what z to fall back to.
        depth_weight: how much the prior counts; 1 is as much as seeing every point from the side in every frame.
        observed: where the points are seen.
        focal: focal length.
        poses: of the frames.
        huber: see `solve_poses`.
    """
    camera = poses.to_camera(shape)
    weight = huber_weights(observed - project(camera, focal), huber)  # [T, N]
    scale = 1 / -camera[..., 2]  # [T, N]
    rows = focal * poses.rotation[:, None, :2] + observed[..., None] * poses.rotation[:, None, 2:]  # [T, N, 2, 3]
    right = -(focal * poses.translation[:, None, :2] + observed * poses.translation[:, None, 2:])  # [T, N, 2]
    square = weight * (scale / (focal * scale.mean())) ** 2 / len(poses)
    normal = np.einsum("tn,tnki,tnkj->nij", square, rows, rows)
    moment = np.einsum("tn,tnki,tnk->ni", square, rows, right)
    normal[:, 2, 2] += depth_weight
    moment[:, 2] += depth_weight * prior[:, 2]
    return np.linalg.solve(normal, moment[..., None])[..., 0]


def back_project(observed: Observed, shape: Points, focal: float, poses: Poses) -> Float[np.ndarray, "T N 3"]:
    """Lifts what is seen to the depth of `shape` under each pose, and takes the pose out: points in head space."""
    depth = -poses.to_camera(shape)[..., 2:]
    camera = np.concatenate([observed / focal * depth, -depth], -1)
    return (camera - poses.translation[:, None]) @ poses.rotation


def smooth_poses(poses: Poses, information: Float[np.ndarray, "T 6 6"], acceleration: float) -> Poses:
    """`smooth_track` on rotation vectors, in radians, and translations, in head space units: a head turns by about as
    many radians as it moves by its own size."""
    values = np.concatenate([Rotation.from_matrix(poses.rotation).as_rotvec(), poses.translation], -1)  # [T, 6]
    smoothed = smooth_track(values, information, acceleration)
    return Poses(Rotation.from_rotvec(smoothed[:, :3]).as_matrix(), smoothed[:, 3:])
