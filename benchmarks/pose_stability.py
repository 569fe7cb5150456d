"""Baseline head poses by solvePnP, and measures of the stability of head poses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float

from benchmarks.record import Row
from dfa_nerfstudio.attributes.segments import shot_segments
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, TRACK, DatasetFolder
from dfa_nerfstudio.face.head_pose import Poses, project_points
from dfa_nerfstudio.face.head_shape import procrustes_mean, to_opengl_axes
from dfa_nerfstudio.face.topology import RIGID
from dfa_nerfstudio.metrics.jitter import jitter
from dfa_nerfstudio.preprocessing.head.face_surface import FaceSurface, unwrap_to_surface

NOSE = (0.22, -0.35, 0.15)
"""Half width, bottom and top of the nose region, which moves least on the skull, in head units."""
FRAME_STRIDE = 5
"""Stride of the frames in which the nose drift is measured."""


def neutral(folder: DatasetFolder) -> Float[np.ndarray, "478 3"]:
    """Returns the person's mean face in head space."""
    clip = folder.attributes
    return (clip.mean_shape + clip.identity_basis @ clip.identity).astype(np.float64)


def mean_landmarks(folder: DatasetFolder) -> Float[np.ndarray, "478 3"]:
    """Returns the baseline head shape: the Procrustes mean of the tracker's landmarks in the training frames."""
    landmarks = folder.attributes.landmarks[: folder.num_train][folder.attributes.face_found[: folder.num_train]]
    return procrustes_mean(to_opengl_axes(landmarks.astype(np.float64) / folder.size[0]))


def solve_pnp(folder: DatasetFolder, head: Float[np.ndarray, "478 3"] | None = None, focal: float = 0.0) -> Poses:
    """Estimates head poses by `cv2.solvePnP` on the rigid landmarks of each frame.

    Args:
        folder: dataset folder with tracked landmarks.
        head: landmarks in head space; by default the folder's mean face.
        focal: focal length in pixels; 0 for the folder's.
    """
    focal = focal or folder.meta["fl_x"]
    camera = np.array([[focal, 0, folder.meta["cx"]], [0, focal, folder.meta["cy"]], [0, 0, 1]])
    shape = (neutral(folder) if head is None else head)[RIGID]
    to_opengl = np.diag([1.0, -1.0, -1.0])
    rotations, translations = [], []
    for landmarks in np.ascontiguousarray(folder.attributes.landmarks[:, RIGID, :2], np.float64):
        # The default, iterative solver puts the head behind the camera in some frames; SQPNP does not.
        _, turn, shift = cv2.solvePnP(shape, landmarks, camera, np.zeros(4), flags=cv2.SOLVEPNP_SQPNP)
        turn, shift = cv2.solvePnPRefineLM(shape, landmarks, camera, np.zeros(4), turn, shift)
        rotations.append(to_opengl @ cv2.Rodrigues(turn)[0])
        translations.append(to_opengl @ shift[:, 0])
    return Poses(np.stack(rotations), np.stack(translations))


def own_poses(folder: DatasetFolder) -> Poses:
    """Returns the head poses of a dataset folder."""
    pose = folder.attributes.head_to_camera.astype(np.float64)
    return Poses(pose[:, :3, :3], pose[:, :3, 3])


def measure_stability(folder: DatasetFolder, poses: Poses) -> Row:
    """Measures jitter, reprojection error of landmarks, and nose drift, in pixels.

    The landmark error alone is misleading, because the tracker lags behind a turning head. A renderer needs each point
    of the skin to stay at one point of head space. To measure this, frames are unwrapped to a flat face with the poses,
    and dense optical flow (DIS, independent of the pose estimation) gives the distance of the nose from its mean
    position.
    """
    focal, shape = folder.meta["fl_x"] / folder.size[0], neutral(folder)
    projected = project_points(poses.to_camera(shape[RIGID]), focal) * folder.size[0]
    landmarks = to_opengl_axes(folder.attributes.landmarks.astype(np.float64) / folder.size[0]) * folder.size[0]
    valid = folder.attributes.shot >= 0
    drift = _nose_drift(folder, poses, focal, shape)
    return {
        "jitter_px": jitter(projected, shot_segments(torch.from_numpy(folder.attributes.shot))),
        "landmark_error_px": float(np.linalg.norm(projected - landmarks[:, RIGID, :2], axis=-1)[valid].mean()),
        "nose_drift_px": drift,
    }


def _nose_drift(folder: DatasetFolder, poses: Poses, focal: float, shape: Float[np.ndarray, "478 3"]) -> float:
    frames = np.flatnonzero(folder.attributes.shot >= 0)[::FRAME_STRIDE]
    pixels = float(np.mean(focal / -poses.translation[:, 2])) * folder.size[0]  # per head unit
    surface = FaceSurface.from_landmarks(shape, pixels)
    flat = np.stack(
        [
            unwrapped
            for number, image in zip(frames, _read_grey(folder, frames), strict=True)
            for unwrapped in unwrap_to_surface([image], surface, poses[[number]], focal)
        ]
    )
    mean = flat.mean(0).round().astype(np.uint8)
    half, bottom, top = NOSE
    left, right = surface.to_texels(np.array([[-half, top], [half, bottom]])).round().astype(int)
    part = np.s_[left[1] : right[1], left[0] : right[0]]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    moved = [flow.calc(mean, image.round().astype(np.uint8), None)[part].mean((0, 1)) for image in flat]
    return float(np.linalg.norm(moved - np.mean(moved, axis=0), axis=-1).mean())


def _read_grey(folder: DatasetFolder, frames: np.ndarray) -> Iterator[np.ndarray]:
    for number in frames:
        yield cv2.imread(str(folder.path / folder.meta["frames"][number]["file_path"]), cv2.IMREAD_GRAYSCALE)


def with_other_motion(
    folder: DatasetFolder, output: Path, poses: Poses | None, torso: bool, focal: float = 0.0
) -> DatasetFolder:
    """Copies a dataset folder and its track with other head poses, or without torso motion.

    Args:
        folder: dataset folder with its track.
        output: folder of the copy; it is overwritten.
        poses: head poses; None keeps the folder's.
        torso: whether the torso motion is kept; otherwise it is zero.
        focal: focal length in pixels; 0 keeps the folder's.
    """
    focal = focal or folder.meta["fl_x"]
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(folder.path, output)
    matrices = (own_poses(folder) if poses is None else poses).matrices()
    clip = folder.attributes
    motion = clip.torso_motion * (float(torso) * np.array([folder.meta["fl_x"] / focal] * 2 + [1, 1], np.float32))
    replace(clip, head_to_camera=matrices.astype(np.float32), torso_motion=motion).save(output / ATTRIBUTES)
    track = AttributeTrack.load(folder.path / TRACK)
    track.head_to_camera, track.torso_motion = torch.from_numpy(matrices).float(), torch.from_numpy(motion)
    track.save(output / TRACK)
    DatasetFolder.write_transforms(
        output,
        focal_length=focal,
        size=folder.size,
        num_train=folder.num_train,
        head_to_camera=matrices,
    )
    return DatasetFolder.open(output)
