"""Transforms poses from a data folder's own head space to the head space of `dataset_folder`.

The folder's transforms give cameras in a head space with its own unit, origin and axes. Landmarks in all images are
triangulated to a mean face in that space, and the mean face defines our head space. All poses are transformed by one
similarity for the whole clip; they are not estimated again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation, Slerp

from dfa_nerfstudio.face.head_pose import Poses, project_points
from dfa_nerfstudio.face.head_shape import HeadSpace
from dfa_nerfstudio.face.topology import RIGID

DEPTH_PRIOR_WEIGHT = 1e-4
"""Weight with which each point is attracted, along the line of sight, to the plane through the folder's origin. If the
head hardly turns, depth cannot be observed and has little effect."""
NUM_SAMPLES = 400
"""Number of frames that the mean face is fitted to, evenly spaced."""
NUM_ITERATIONS = 4
"""Number of reweighting iterations, which make the mean face robust to outliers."""


@dataclass
class HeadSpaceFit:
    """Head poses of T frames and the mean face, in our head space."""

    poses: Poses
    """Head pose of every frame."""
    shape: Float[np.ndarray, "N 3"]
    """Mean face."""
    error: float
    """Mean distance between rigid landmarks and their reprojection, in outer eye corner distances."""
    scale: float
    """Mean outer eye corner distance in the images, in image sides."""


def fit_head_space(
    observed: Float[np.ndarray, "T 478 2"],
    focal: float,
    cameras: Float[np.ndarray, "T 4 4"],
    train_mask: Bool[np.ndarray, " T"],
) -> HeadSpaceFit:
    """Fits the mean face and transforms the poses to our head space.

    Args:
        observed: landmarks in image sides from the image's centre, x right and y up.
        focal: focal length in image sides.
        cameras: transforms from camera space to the folder's head space, OpenGL axes.
        train_mask: frames that the mean face is fitted to.
    """
    u, _, vh = np.linalg.svd(cameras[:, :3, :3].transpose(0, 2, 1))
    rotation = u @ vh  # the nearest rotation, because transforms may be written with few digits
    poses = Poses(rotation, -np.einsum("tij,tj->ti", rotation, cameras[:, :3, 3]))
    frames = np.flatnonzero(train_mask)
    frames = frames[np.unique(np.linspace(0, len(frames) - 1, NUM_SAMPLES).round().astype(int))]
    shape = triangulate(observed[frames], focal, poses[frames])
    space = HeadSpace.from_landmarks(shape)
    poses, shape = space.transform_poses(poses), space.transform_points(shape)

    in_camera = poses[frames].to_camera(shape[RIGID])
    scale = float(np.mean(focal / -in_camera[..., 2]))
    error = np.linalg.norm(project_points(in_camera, focal) - observed[frames][:, RIGID], axis=-1)
    return HeadSpaceFit(poses, shape, float(error.mean()) / scale, scale)


def triangulate(observed: Float[np.ndarray, "T N 2"], focal: float, poses: Poses) -> Float[np.ndarray, "N 3"]:
    """Triangulates N points by iteratively reweighted least squares of their distances to the frames' lines of sight.

    Args:
        observed: points in image sides from the image's centre, x right and y up.
        focal: focal length in image sides.
        poses: head poses of the frames.
    """
    rotation = poses.rotation
    origin = -np.einsum("tji,tj->ti", rotation, poses.translation)  # [T, 3], camera positions in head space
    sight = np.concatenate([observed / focal, -np.ones((*observed.shape[:2], 1))], -1) @ rotation
    sight /= np.linalg.norm(sight, axis=-1, keepdims=True)
    across = np.eye(3) - sight[..., :, None] * sight[..., None, :]  # [T, N, 3, 3], projection onto the plane across it
    forward = Rotation.from_matrix(rotation).mean().as_matrix()[2]
    weight = np.ones(observed.shape[:2])
    points = np.zeros((observed.shape[1], 3))
    for _ in range(NUM_ITERATIONS):
        share = weight / weight.sum(0)
        normal = np.einsum("tn,tnij->nij", share, across) + DEPTH_PRIOR_WEIGHT * np.outer(forward, forward)
        points = np.linalg.solve(normal, np.einsum("tn,tnij,tj->ni", share, across, origin)[..., None])[..., 0]
        distance = np.linalg.norm(np.einsum("tnij,tnj->tni", across, points - origin[:, None]), axis=-1)
        weight = np.minimum(1, 2 * np.median(distance, axis=0) / np.maximum(distance, 1e-12))
    return points


def fill_rows(values: Float[np.ndarray, "N ..."], rows: Int[np.ndarray, " N"], count: int) -> np.ndarray:
    """Interpolates values of frames `rows` linearly to all `count` frames; constant outside the first and the last."""
    flat = values.reshape(len(values), -1)
    filled = np.stack([np.interp(np.arange(count), rows, column) for column in flat.T], axis=1)
    return filled.reshape(count, *values.shape[1:])


def fill_poses(
    cameras: Float[np.ndarray, "N 4 4"], rows: Int[np.ndarray, " N"], count: int
) -> Float[np.ndarray, "T 4 4"]:
    """Interpolates cameras of frames `rows`, which include the first and the last, to all `count` frames."""
    filled = fill_rows(cameras, rows, count)
    filled[:, :3, :3] = Slerp(rows, Rotation.from_matrix(cameras[:, :3, :3]))(np.arange(count)).as_matrix()
    return filled
