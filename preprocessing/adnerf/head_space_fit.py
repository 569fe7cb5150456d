"""From a data folder's own head space, and landmarks in its pictures, to our head space.

The transforms say where the camera stands in a head space of their own: some unit, some origin, some axes. Landmarks
seen from all those cameras are intersected to a mean face there, and that face tells what our head space is (see
`dataset_folder`). Poses move by one similarity for the whole clip; nothing of them is measured again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation, Slerp

from dfa_nerfstudio.face.head_pose import Poses, project
from dfa_nerfstudio.face.head_shape import HeadSpace
from dfa_nerfstudio.face.topology import RIGID

DEPTH_PRIOR_WEIGHT = 1e-4
"""How much each point is drawn, along the line of sight, to the plane through the folder's origin: where the head
hardly turns, depth cannot be seen, and matters as little."""
SAMPLES = 400
"""Frames that the mean face is learnt from, evenly spaced."""
ROUNDS = 4
"""Of reweighting, which makes the mean face robust."""


@dataclass
class PosedFace:
    """Head poses of T frames and the mean face that they hold, in our head space."""

    poses: Poses
    shape: Float[np.ndarray, "N 3"]
    error: float
    """Mean distance between the rigid landmarks as seen and as reprojected, in outer eye corner distances."""
    scale: float
    """Outer eye corner distance in image sides, on average."""


def pose_face(
    observed: Float[np.ndarray, "T 478 2"],
    focal: float,
    cameras: Float[np.ndarray, "T 4 4"],
    learn: Bool[np.ndarray, " T"],
) -> PosedFace:
    """Learns the mean face and brings the poses to our head space.

    Args:
        observed: landmarks in image sides from the picture's centre, x right and y up.
        focal: in image sides.
        cameras: camera to the folder's head space, OpenGL axes.
        learn: the frames to learn from.
    """
    u, _, vh = np.linalg.svd(cameras[:, :3, :3].transpose(0, 2, 1))
    rotation = u @ vh  # the nearest one: transforms may be written with few digits
    poses = Poses(rotation, -np.einsum("tij,tj->ti", rotation, cameras[:, :3, 3]))
    frames = np.flatnonzero(learn)
    frames = frames[np.unique(np.linspace(0, len(frames) - 1, SAMPLES).round().astype(int))]
    shape = intersect(observed[frames], focal, poses[frames])
    space = HeadSpace.of(shape)
    poses, shape = space.poses(poses), space.points(shape)

    seen = poses[frames].to_camera(shape[RIGID])
    scale = float(np.mean(focal / -seen[..., 2]))
    error = np.linalg.norm(project(seen, focal) - observed[frames][:, RIGID], axis=-1)
    return PosedFace(poses, shape, float(error.mean()) / scale, scale)


def intersect(observed: Float[np.ndarray, "T N 2"], focal: float, poses: Poses) -> Float[np.ndarray, "N 3"]:
    """The points nearest to the lines of sight of all frames, robustly (a triangulation by least squares).

    Args:
        observed: in image sides from the picture's centre, x right and y up.
        focal: in image sides.
        poses: of the frames.
    """
    rotation = poses.rotation
    origin = -np.einsum("tji,tj->ti", rotation, poses.translation)  # [T, 3]: the camera in head space
    sight = np.concatenate([observed / focal, -np.ones((*observed.shape[:2], 1))], -1) @ rotation
    sight /= np.linalg.norm(sight, axis=-1, keepdims=True)
    across = np.eye(3) - sight[..., :, None] * sight[..., None, :]  # [T, N, 3, 3]: takes the part along it away
    forward = Rotation.from_matrix(rotation).mean().as_matrix()[2]
    weight = np.ones(observed.shape[:2])
    points = np.zeros((observed.shape[1], 3))
    for _ in range(ROUNDS):
        share = weight / weight.sum(0)
        normal = np.einsum("tn,tnij->nij", share, across) + DEPTH_PRIOR_WEIGHT * np.outer(forward, forward)
        points = np.linalg.solve(normal, np.einsum("tn,tnij,tj->ni", share, across, origin)[..., None])[..., 0]
        distance = np.linalg.norm(np.einsum("tnij,tnj->tni", across, points - origin[:, None]), axis=-1)
        weight = np.minimum(1, 2 * np.median(distance, axis=0) / np.maximum(distance, 1e-12))
    return points


def fill_rows(values: Float[np.ndarray, "N ..."], rows: Int[np.ndarray, " N"], count: int) -> np.ndarray:
    """Values of `count` frames from those of frames `rows`, linearly between them, held before and after."""
    flat = values.reshape(len(values), -1)
    filled = np.stack([np.interp(np.arange(count), rows, column) for column in flat.T], axis=1)
    return filled.reshape(count, *values.shape[1:])


def fill_poses(
    cameras: Float[np.ndarray, "N 4 4"], rows: Int[np.ndarray, " N"], count: int
) -> Float[np.ndarray, "T 4 4"]:
    """Cameras of all `count` frames from those of frames `rows`, at least two, the first and the last among them."""
    filled = fill_rows(cameras, rows, count)
    filled[:, :3, :3] = Slerp(rows, Rotation.from_matrix(cameras[:, :3, :3]))(np.arange(count)).as_matrix()
    return filled
