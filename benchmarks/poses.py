"""Head poses by the plain way, for comparison, and how well poses hold the head still."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float

from benchmarks.record import Row
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, TRACK, DatasetFolder
from dfa_nerfstudio.face.head_pose import Poses, project
from dfa_nerfstudio.face.head_shape import procrustes_mean, upright
from dfa_nerfstudio.face.topology import RIGID
from dfa_nerfstudio.metrics.jitter import jitter
from dfa_nerfstudio.preprocessing.head.face_surface import FaceSurface, flattened

NOSE = (0.22, -0.35, 0.15)
"""Half width, bottom and top of the part of the flat face that moves least on the skull, in head space units."""
EVERY = 5
"""Frames that are looked at to see how still the nose stands."""


def neutral(folder: DatasetFolder) -> Float[np.ndarray, "478 3"]:
    """The person's mean face in head space."""
    clip = folder.attributes
    return (clip.mean_shape + clip.identity_basis @ clip.identity).astype(np.float64)


def mean_landmarks(folder: DatasetFolder) -> Float[np.ndarray, "478 3"]:
    """The head shape that is to be had without ours: the tracker's landmarks of the training frames, laid over each
    other."""
    landmarks = folder.attributes.landmarks[: folder.num_train][folder.attributes.face_found[: folder.num_train]]
    return procrustes_mean(upright(landmarks.astype(np.float64) / folder.size[0]))


def solve_pnp(folder: DatasetFolder, head: Float[np.ndarray, "478 3"] | None = None, focal: float = 0.0) -> Poses:
    """`cv2.solvePnP` on the rigid landmarks of every frame for itself.

    Args:
        folder: whose landmarks are taken.
        head: the landmarks in head space; none for the folder's own.
        focal: in pixels; 0 for the folder's own.
    """
    focal = focal or folder.meta["fl_x"]
    camera = np.array([[focal, 0, folder.meta["cx"]], [0, focal, folder.meta["cy"]], [0, 0, 1]])
    shape = (neutral(folder) if head is None else head)[RIGID]
    to_opengl = np.diag([1.0, -1.0, -1.0])
    rotations, translations = [], []
    for landmarks in np.ascontiguousarray(folder.attributes.landmarks[:, RIGID, :2], np.float64):
        # its default, iterative way puts the head behind the camera in some frames; this one never does
        _, turn, shift = cv2.solvePnP(shape, landmarks, camera, np.zeros(4), flags=cv2.SOLVEPNP_SQPNP)
        turn, shift = cv2.solvePnPRefineLM(shape, landmarks, camera, np.zeros(4), turn, shift)
        rotations.append(to_opengl @ cv2.Rodrigues(turn)[0])
        translations.append(to_opengl @ shift[:, 0])
    return Poses(np.stack(rotations), np.stack(translations))


def own_poses(folder: DatasetFolder) -> Poses:
    """The folder's."""
    pose = folder.attributes.head_to_camera.astype(np.float64)
    return Poses(pose[:, :3, :3], pose[:, :3, 3])


def stretches(folder: DatasetFolder) -> list[slice]:
    """Frames between cuts."""
    shot = folder.attributes.shot
    edges = [0, *(np.flatnonzero(np.diff(shot)) + 1), len(shot)]
    return [slice(start, stop) for start, stop in pairwise(edges) if shot[start] >= 0]


def steadiness(folder: DatasetFolder, poses: Poses) -> Row:
    """Jitter, reprojection error of landmarks, and how far the nose wanders.

    The landmarks' own error is that of a network, which lags behind a head that turns. What counts for a renderer is
    whether one point of the skin stays at one point of head space: frames are laid flat under the poses, and dense
    optical flow (DIS, independent of how the poses were found) says how far the nose lies from its mean place.
    """
    focal, shape = folder.meta["fl_x"] / folder.size[0], neutral(folder)
    seen = project(poses.to_camera(shape[RIGID]), focal) * folder.size[0]
    landmarks = upright(folder.attributes.landmarks.astype(np.float64) / folder.size[0])[:, RIGID, :2] * folder.size[0]
    usable = folder.attributes.shot >= 0
    wander = _nose_wander(folder, poses, focal, shape)
    return {
        "jitter_px": jitter(seen, stretches(folder)),
        "landmark_error_px": float(np.linalg.norm(seen - landmarks, axis=-1)[usable].mean()),
        "nose_wander_px": wander,
    }


def _nose_wander(folder: DatasetFolder, poses: Poses, focal: float, shape: Float[np.ndarray, "478 3"]) -> float:
    frames = np.flatnonzero(folder.attributes.shot >= 0)[::EVERY]
    pixels = float(np.mean(focal / -poses.translation[:, 2])) * folder.size[0]  # per head space unit
    surface = FaceSurface.of(shape, pixels)
    flat = np.stack(
        [
            picture
            for number, image in zip(frames, _grey(folder, frames), strict=True)
            for picture in flattened([image], surface, poses[[number]], focal)
        ]
    )
    mean = flat.mean(0).round().astype(np.uint8)
    half, bottom, top = NOSE
    left, right = surface.texels(np.array([[-half, top], [half, bottom]])).round().astype(int)
    part = np.s_[left[1] : right[1], left[0] : right[0]]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    moved = [flow.calc(mean, picture.round().astype(np.uint8), None)[part].mean((0, 1)) for picture in flat]
    return float(np.linalg.norm(moved - np.mean(moved, axis=0), axis=-1).mean())


def _grey(folder: DatasetFolder, frames: np.ndarray) -> Iterator[np.ndarray]:
    for number in frames:
        yield cv2.imread(str(folder.path / folder.meta["frames"][number]["file_path"]), cv2.IMREAD_GRAYSCALE)


def with_other_motion(
    folder: DatasetFolder, output: Path, poses: Poses | None, torso: bool, focal: float = 0.0
) -> DatasetFolder:
    """A copy of a dataset folder and its track with other head poses, or without torso motion.

    Args:
        folder: with its track.
        output: the copy.
        poses: of the head; None for its own.
        torso: whether the torso's motion is kept.
        focal: in pixels; 0 for its own.
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
