"""Landmarks in the images: the data folder's own, or mediapipe's if it has none."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.interpolate import RBFInterpolator

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.head_pose import Poses
from dfa_nerfstudio.face.reference_face import reference_landmarks
from dfa_nerfstudio.face.topology import LANDMARKS_68
from dfa_nerfstudio.media.images import read_bgr
from dfa_nerfstudio.preprocessing.adnerf.frame_mapping import FrameMapping
from dfa_nerfstudio.preprocessing.adnerf.head_space_fit import fill_rows
from dfa_nerfstudio.preprocessing.adnerf.image_import import CropSpec
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder, read_landmarks
from dfa_nerfstudio.preprocessing.progress_reporter import ProgressReporter


def find_landmarks(
    folder: ADNeRFFolder, mapping: FrameMapping, crop: CropSpec, progress: ProgressReporter
) -> tuple[Float[np.ndarray, "T 478 2"], Bool[np.ndarray, " T"]]:
    """Finds the landmarks of all frames; missing ones are interpolated.

    Returns:
        landmarks in image sides from the image's centre, x right and y up; and which frames have both a pose and
        landmarks of their own.
    """
    files = folder.numbered("ori_imgs", ".lms")
    found = mapping.has_image & np.isin(mapping.image_numbers, list(files))
    if found.any():
        rows = np.flatnonzero(found)
        with progress.stage("landmarks", len(rows)) as advance:
            points = np.empty((len(rows), 68, 2))
            for index, row in enumerate(rows):
                points[index] = read_landmarks(files[int(mapping.image_numbers[row])])
                advance(1)
        landmarks = densify_landmarks((points - np.array(folder.size) / 2) / min(folder.size) * [1, -1])
    else:
        progress.report.warnings.append(f"{folder.path / 'ori_imgs'}: no .lms files; landmarks are found by mediapipe")
        rows, landmarks = _track_landmarks(folder, mapping, crop, progress)
        found = np.isin(np.arange(len(mapping)), rows)
    if not len(rows):
        raise UserError(f"{folder.path}: no face found in any image; add landmarks as ori_imgs/N.lms")
    return fill_rows(landmarks, rows, len(mapping)), found & mapping.listed


def _track_landmarks(
    folder: ADNeRFFolder, mapping: FrameMapping, crop: CropSpec, progress: ProgressReporter
) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, "N 478 2"]]:
    """Tracks landmarks by mediapipe; returns the frames in which it finds the face, and their landmarks."""
    from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker

    tracker, faces = LandmarkTracker.create(None), []
    with progress.stage("landmarks", len(mapping)) as advance:
        for number in mapping.image_numbers:
            path = folder.images[int(number)]
            faces.append(tracker.track(np.ascontiguousarray(crop.square(read_bgr(path), path)[:, :, ::-1])))
            advance(1)
    rows = np.flatnonzero(np.array([face is not None for face in faces]) & mapping.has_image)
    landmarks = np.array([faces[row].landmarks for row in rows]).reshape(-1, 478, 3).astype(np.float64)
    return rows, (landmarks[..., :2] - 0.5) * [1, -1]


def to_mediapipe_landmarks(
    observed: Float[np.ndarray, "T 478 2"], front: Float[np.ndarray, "T 478 3"], focal: float, poses: Poses
) -> Float[np.ndarray, "T 478 3"]:
    """Converts landmarks to mediapipe's convention: in image sides from the image's corner, x right, y down, z away
    from the viewer, weak perspective."""
    depth = -poses.translation[:, None, 2:]
    rotated = front @ poses.rotation.transpose(0, 2, 1)  # [T, 478, 3]
    return np.concatenate([observed * [1, -1] + 0.5, -rotated[..., 2:] * focal / depth], -1)


def densify_landmarks(landmarks: Float[np.ndarray, "T 68 D"]) -> Float[np.ndarray, "T 478 D"]:
    """Interpolates mediapipe's 478 landmarks from the 68, which are a subset of them, by a thin-plate spline on the
    reference face. It is linear in the landmarks."""
    face = reference_landmarks()[:, :2]
    weights = RBFInterpolator(face[LANDMARKS_68], np.eye(len(LANDMARKS_68)), kernel="thin_plate_spline")(face)
    return np.einsum("nk,tkd->tnd", weights, landmarks)
