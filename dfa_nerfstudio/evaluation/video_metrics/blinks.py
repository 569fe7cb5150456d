"""Rate and duration of blinks in both videos."""

from __future__ import annotations

from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, Scores, video_metric
from dfa_nerfstudio.evaluation.motion.blink_rate import BlinkMetrics
from dfa_nerfstudio.evaluation.reference_head import FaceTrack


@video_metric(
    MetricInfo("blink_rate", "Blinks", "1/s", "as the truth", "detected as in dfa-process"),
    MetricInfo("blink_duration", "Blink duration", "s", "as the truth", "from start to end"),
    position=220,
)
def blinks(context: EvaluationContext) -> Scores:
    """Blink statistics of the prediction and of the truth."""

    def statistics(faces: FaceTrack) -> dict[str, float]:
        found = BlinkMetrics.from_openings(faces.eye_opening)
        return {"blink_rate": found.rate, "blink_duration": found.duration}

    return Scores(statistics(context.faces), truth=statistics(context.truth_faces))
