"""D-Rot and D-Pos between the two videos, and the jitter of the head pose in each."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, Scores, video_metric
from dfa_nerfstudio.evaluation.motion.pose_axes import ANGLES, AXES, POSITIONS
from dfa_nerfstudio.evaluation.motion.pose_error import pose_error, pose_range, wrap_angles
from dfa_nerfstudio.evaluation.reference_head import FaceTrack
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.metrics.jitter import jitter


@video_metric(
    MetricInfo("d_rot", "D-Rot", "% of range", "lower", "mean absolute difference of yaw, pitch and roll"),
    MetricInfo("d_pos", "D-Pos", "% of range", "lower", "mean absolute difference of x, y and z"),
    position=230,
)
def pose_errors(context: EvaluationContext) -> Scores:
    """Errors over the frames in which both faces are found, relative to the range of the true pose."""
    truth, shown = context.truth_faces, context.face_frames
    axes = wrap_angles(context.faces.axes, truth.axes)
    d_rot, d_pos = pose_error(axes[shown], truth.axes[shown], pose_range(truth.axes[truth.found]))
    scores = Scores({"d_rot": d_rot, "d_pos": d_pos})
    for axis, name in enumerate(AXES):
        scores.curves |= context.paired_curves(name, axes[:, axis], truth.axes[:, axis])
    return scores


@video_metric(
    MetricInfo(
        "jitter_rotation", "Rotation jitter", "degrees", "as the truth", "standard deviation of second differences", 3
    ),
    MetricInfo("jitter_position", "Position jitter", "% of eye distance", "as the truth", "the same of x and y", 3),
    position=240,
)
def pose_jitter(context: EvaluationContext) -> Scores:
    """Jitter of the prediction and of the truth."""
    return Scores(_jitter(context.faces), truth=_jitter(context.truth_faces))


def _jitter(faces: FaceTrack) -> dict[str, float]:
    segments = Timeline.from_cuts(len(faces.found), len(faces.found)).exclude(~faces.found).segments()

    def jitter_of(values: Float[np.ndarray, "T A"]) -> float:
        return jitter(values, segments)

    return {
        "jitter_rotation": jitter_of(faces.axes[:, ANGLES]),
        "jitter_position": 100 * jitter_of(faces.axes[:, POSITIONS][:, :2]),
    }
