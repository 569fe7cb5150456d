"""Extracts the visual fields of `ClipAttributes`: models are learnt on training frames and applied to all frames."""

from __future__ import annotations

from typing import cast

import numpy as np
from jaxtyping import Float, Int

from dfa_nerfstudio.face.blink_appearance import BlinkAppearance
from dfa_nerfstudio.face.eye_aperture import EyeCalibration, LidObservations, find_blinks
from dfa_nerfstudio.face.head_pose import Poses, back_project
from dfa_nerfstudio.face.head_shape import to_opengl_axes
from dfa_nerfstudio.face.mouth_aperture import mouth_opening
from dfa_nerfstudio.face.topology import LANDMARKS_68
from dfa_nerfstudio.media.chunks import chunk_slices
from dfa_nerfstudio.media.frame_rows import TemporaryFiles
from dfa_nerfstudio.preprocessing.frame_passes import TrackedFace
from dfa_nerfstudio.preprocessing.head_torso_tracking import track_head_and_torso
from dfa_nerfstudio.preprocessing.morphable.morphable_basis import MorphableBasis
from dfa_nerfstudio.preprocessing.morphable.morphable_model import learn_morphable_model
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.progress_reporter import ProgressReporter
from dfa_nerfstudio.preprocessing.video.cropped_video import CroppedVideo

MAX_MODEL_FRAMES = 2500
"""Maximum number of frames that the morphable model is learnt from, evenly spaced."""


def extract_attributes(
    tracked_face: TrackedFace,
    cropped: CroppedVideo,
    files: TemporaryFiles,
    config: ProcessConfig,
    progress: ProgressReporter,
) -> tuple[dict[str, np.ndarray], Poses]:
    """Extracts all fields of `ClipAttributes` except those of the audio.

    They belong to 0, 1/25 s, 2/25 s, ..., except `landmarks` and `face_found`, which belong to the images.

    Args:
        tracked_face: results of the face tracking pass. Its landmarks are scaled to pixels in place.
        cropped: the frames.
        files: receives what is known of each frame.
        config: options.
        progress: progress and report.

    Returns:
        the fields, and the head pose of each image.
    """
    timeline, times = tracked_face.timeline, tracked_face.times
    landmarks, train_mask = tracked_face.landmarks, timeline.train_mask & tracked_face.face_found
    motion = track_head_and_torso(cropped, tracked_face, files, config.smoothing, progress)
    head, poses = motion.head, motion.image_poses
    with progress.stage("expression and eyes"):

        def front_view(rows: slice | Int[np.ndarray, " T"]) -> Float[np.ndarray, "T 478 3"]:
            observed = to_opengl_axes(landmarks[rows])[..., :2]
            return back_project(observed, head.shape, head.focal, poses[rows]).astype(np.float32)

        rows = np.flatnonzero(train_mask)[:: 1 + train_mask.sum() // MAX_MODEL_FRAMES]
        train_faces = np.concatenate([front_view(rows[chunk]) for chunk in chunk_slices(len(rows))])
        model = (
            learn_morphable_model(train_faces, config.num_expressions)
            if config.morphable_model is None
            else MorphableBasis.load(config.morphable_model).fit(train_faces)
        )
        del train_faces
        front_landmarks = np.empty((len(landmarks), len(LANDMARKS_68), 3), np.float32)
        parts = []
        for chunk in chunk_slices(len(landmarks)):
            face, pose = front_view(chunk), poses[chunk]
            front_landmarks[chunk] = face[:, LANDMARKS_68]
            lids = LidObservations.from_landmarks(face, pose)
            parts.append((model.project(face), mouth_opening(face, pose), lids.ratio, lids.view))
        expression, mouth, ratio, view = (np.concatenate(part) for part in zip(*parts, strict=True))
        lids = LidObservations(ratio, view)
        eyes = EyeCalibration.fit(lids, tracked_face.face_found, timeline)
        eye_opening = eyes.opening(lids, timeline)
        appearance = BlinkAppearance.fit(motion.eye_patches, ratio, tracked_face.face_found, timeline)
        if appearance is not None:
            closure = appearance.closure(motion.eye_patches, timeline)
            eye_opening = np.minimum(eye_opening, 1 - closure[:, None])
        segments = timeline.segments()
        front_landmarks, expression, mouth, eye_opening = (
            times.to_frames(values, segments) for values in (front_landmarks, expression, mouth, eye_opening)
        )
        eye_opening = eye_opening.clip(0, 1)  # a cubic spline overshoots
        blinks = find_blinks(eye_opening, tracked_face.face_found, timeline)
    for chunk in chunk_slices(len(landmarks)):
        landmarks[chunk] = landmarks[chunk] * config.size
    observed = eyes.blinks_observed or appearance is not None
    progress.report.record_blinks(len(blinks), int(timeline.valid.sum()), observed)
    return {
        "shot": timeline.shot,
        "face_found": tracked_face.face_found,
        "landmarks": cast(np.ndarray, landmarks),  # it is read by rows, as an array is
        "front_landmarks": front_landmarks,
        "head_to_camera": motion.poses.matrices(),
        **vars(motion.torso),
        "eye_opening": eye_opening,
        "blinks": blinks,
        "mouth_opening": mouth.clip(0),
        "expression": expression,
        "blendshapes": times.to_frames(tracked_face.blendshapes, segments).clip(0, 1),
        "mean_shape": model.mean,
        "identity_basis": model.identity_basis,
        "identity": model.identity,
        "expression_basis": model.expression_basis,
    }, poses
