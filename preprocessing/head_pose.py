"""Head pose of every frame, one rigid head shape and one focal length, fitted to landmarks that no expression moves.

Units: image coordinates in sides of the square image from its centre, x right and y up; focal length in image sides;
head space and camera space as in `data/dataset_folder.py`. A point X in camera space (z < 0 before the camera) is seen
at f X_xy / -X_z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

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
    rotation, translation = initial.rotation.copy(), initial.translation.copy()
    jacobian = np.zeros((*observed.shape, 6))  # [T, N, 2, 6]: three of rotation, three of translation
    for _ in range(iterations):
        turned = shape @ rotation.transpose(0, 2, 1)  # [T, N, 3]
        x, y, z = np.moveaxis(turned + translation[:, None], -1, 0)  # [T, N] each
        scale = focal / -z
        residual = observed - np.stack([scale * x, scale * y], -1)
        u, v = x / -z, y / -z
        a, b, c = np.moveaxis(turned, -1, 0)
        jacobian[..., 0, :] = np.stack([u * b, c - u * a, -b, np.ones_like(u), np.zeros_like(u), u], -1)
        jacobian[..., 1, :] = np.stack([v * b - c, -v * a, a, np.zeros_like(u), np.ones_like(u), v], -1)
        jacobian *= scale[..., None, None]
        weighted = jacobian * huber_weights(residual, huber)[..., None, None]
        normal = np.einsum("tnki,tnkj->tij", weighted, jacobian)
        normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(6)
        step = np.linalg.solve(normal, np.einsum("tnki,tnk->ti", weighted, residual)[..., None])[..., 0]
        rotation = Rotation.from_rotvec(step[:, :3]).as_matrix() @ rotation
        translation = translation + step[:, 3:]
    return Poses(rotation, translation)


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


def smooth_poses(poses: Poses, window: int, order: int = 2) -> Poses:
    """Savitzky-Golay over time, on rotation vectors about the first frame's and on translations.

    A stretch shorter than the window is smoothed with the longest odd window that fits.
    """
    vectors = Rotation.from_matrix(poses.rotation @ poses.rotation[0].T).as_rotvec()
    rotation = Rotation.from_rotvec(smooth(vectors, window, order)).as_matrix() @ poses.rotation[0]
    return Poses(rotation, smooth(poses.translation, window, order))


def smooth(values: Float[np.ndarray, "T ..."], window: int, order: int = 2) -> Float[np.ndarray, "T ..."]:
    """Savitzky-Golay along the first axis."""
    window = min(window, len(values) - 1 + len(values) % 2)
    return savgol_filter(values, window, order, axis=0) if window > order else values


def jitter(image_points: Observed) -> float:
    """Standard deviation of the second difference over time: what shakes, not what moves."""
    return float(np.diff(image_points, 2, axis=0).std()) if len(image_points) > 2 else 0.0
