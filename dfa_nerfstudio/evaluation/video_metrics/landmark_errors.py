"""LMD, F-LMD, upper- and lower-face error; `landmark_distance` defines them."""

from __future__ import annotations

import numpy as np

from dfa_nerfstudio.evaluation import landmark_distance
from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, Scores, video_metric

_PERCENT = "% of eye distance"
_NORMALIZED = "the same in units of the outer eye corner distance"


@video_metric(
    MetricInfo("lmd", "LMD", "px", "lower", "20 lip landmarks, centroids aligned"),
    MetricInfo("lmd_normalized", "LMD", _PERCENT, "lower", _NORMALIZED, chart="Landmarks"),
    MetricInfo("face_lmd", "F-LMD", "px", "lower", "all 68 landmarks"),
    MetricInfo("face_lmd_normalized", "F-LMD", _PERCENT, "lower", _NORMALIZED),
    MetricInfo("upper_face", "Upper-face error", _PERCENT, "lower", "brows and eyes in head space", chart="Landmarks"),
    MetricInfo("lower_face", "Lower-face error", _PERCENT, "lower", "jaw and lips in head space", chart="Landmarks"),
    position=200,
)
def landmark_errors(context: EvaluationContext) -> Scores:
    """Means over the frames in which both faces are found."""
    faces, truth = context.faces, context.truth_faces
    unit = landmark_distance.eye_distance(truth.image_landmarks)
    upper, lower = landmark_distance.face_part_errors(faces.front_landmarks, truth.front_landmarks)
    lips = landmark_distance.lmd(faces.image_landmarks, truth.image_landmarks)
    face = landmark_distance.face_lmd(faces.image_landmarks, truth.image_landmarks)
    curves = {
        "lmd": lips,
        "lmd_normalized": 100 * lips / unit,
        "face_lmd": face,
        "face_lmd_normalized": 100 * face / unit,
        "upper_face": upper,
        "lower_face": lower,
    }
    shown = context.face_frames
    return Scores(
        {name: float(values[shown].mean()) for name, values in curves.items()},
        curves={name: np.where(shown, values, np.nan) for name, values in curves.items()},
    )
