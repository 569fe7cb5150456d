"""The landmarks in the pictures: the folder's own, or where it has none, mediapipe's."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.interpolate import RBFInterpolator

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.head_pose import Poses
from dfa_nerfstudio.face.reference_face import reference_landmarks
from dfa_nerfstudio.face.topology import LANDMARKS_68
from dfa_nerfstudio.preprocessing.adnerf.frame_mapping import Layout
from dfa_nerfstudio.preprocessing.adnerf.head_space_fit import fill_rows
from dfa_nerfstudio.preprocessing.adnerf.image_import import Framing
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder, read_landmarks, read_picture
from dfa_nerfstudio.preprocessing.progress_reporter import Stages


def find_landmarks(
    folder: ADNeRFFolder, layout: Layout, framing: Framing, stages: Stages
) -> tuple[Float[np.ndarray, "T 478 2"], Bool[np.ndarray, " T"]]:
    """Landmarks in image sides from the picture's centre, x right and y up, the missing ones interpolated; and which
    frames have both a pose and landmarks of their own."""
    files = folder.numbered("ori_imgs", ".lms")
    there = layout.pictured & np.isin(layout.numbers, list(files))
    if there.any():
        rows = np.flatnonzero(there)
        with stages.stage("landmarks", len(rows)) as advance:
            points = np.empty((len(rows), 68, 2))
            for index, row in enumerate(rows):
                points[index] = read_landmarks(files[int(layout.numbers[row])])
                advance(1)
        seen = dense((points - np.array(folder.size) / 2) / min(folder.size) * [1, -1])
    else:
        stages.report.warnings.append(f"{folder.path / 'ori_imgs'}: no .lms; landmarks are found by mediapipe")
        rows, seen = _track_landmarks(folder, layout, framing, stages)
        there = np.isin(np.arange(len(layout)), rows)
    if not len(rows):
        raise UserError(f"{folder.path}: no face found in any picture")
    return fill_rows(seen, rows, len(layout)), there & layout.listed


def _track_landmarks(
    folder: ADNeRFFolder, layout: Layout, framing: Framing, stages: Stages
) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, "N 478 2"]]:
    """The rows in which mediapipe finds the face, and its landmarks."""
    from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker

    tracker, faces = LandmarkTracker.create(None), []
    with stages.stage("landmarks", len(layout)) as advance:
        for number in layout.numbers:
            path = folder.pictures[int(number)]
            faces.append(tracker.find(np.ascontiguousarray(framing.square(read_picture(path), path)[:, :, ::-1])))
            advance(1)
    rows = np.flatnonzero(np.array([face is not None for face in faces]) & layout.pictured)
    marks = np.array([faces[row].landmarks for row in rows]).reshape(-1, 478, 3).astype(np.float64)
    return rows, (marks[..., :2] - 0.5) * [1, -1]


def in_image_sides(
    observed: Float[np.ndarray, "T 478 2"], front: Float[np.ndarray, "T 478 3"], focal: float, poses: Poses
) -> Float[np.ndarray, "T 478 3"]:
    """Landmarks as mediapipe has them: from the picture's corner, x right, y down, z away from the viewer and weakly
    perspective."""
    depth = -poses.translation[:, None, 2:]
    turned = front @ poses.rotation.transpose(0, 2, 1)  # [T, 478, 3]
    return np.concatenate([observed * [1, -1] + 0.5, -turned[..., 2:] * focal / depth], -1)


def dense(landmarks: Float[np.ndarray, "T 68 D"]) -> Float[np.ndarray, "T 478 D"]:
    """mediapipe's 478 landmarks from the 68, which are among them: between them a thin plate bends, as it would on the
    demo subject's face. It is linear in the landmarks."""
    face = reference_landmarks()[:, :2]
    weights = RBFInterpolator(face[LANDMARKS_68], np.eye(len(LANDMARKS_68)), kernel="thin_plate_spline")(face)
    return np.einsum("nk,tkd->tnd", weights, landmarks)
