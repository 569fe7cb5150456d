"""LSE-C and LSE-D of both videos; `sync.syncnet` defines them."""

from __future__ import annotations

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, Scores, video_metric
from dfa_nerfstudio.evaluation.sync.syncnet import syncnet_score


@video_metric(
    MetricInfo("lse_c", "LSE-C (SyncNet)", "", "higher", "confidence"),
    MetricInfo("lse_d", "LSE-D (SyncNet)", "", "lower", "distance"),
    MetricInfo("syncnet_offset", "Offset (SyncNet)", "frames", "as the truth", "positive: the audio lags the video", 0),
    position=320,
)
def syncnet(context: EvaluationContext) -> Scores:
    """SyncNet's scores of both videos.

    Raises:
        UserError: without SyncNet's weights, or if the truth shows too few faces.
    """
    if context.scorers.syncnet is None:
        raise UserError("LSE-C and LSE-D need SyncNet's weights (`syncnet_weights`): left out")
    scores = Scores({})
    for video in context.talking_videos():
        score = syncnet_score(context.scorers.syncnet, video.frames, video.faces.image_landmarks, video.audio)
        if score is not None:
            (scores.truth if video.is_truth else scores.values).update(
                lse_c=score.lse_c, lse_d=score.lse_d, syncnet_offset=float(score.offset)
            )
            scores.offset_curves[f"{video.name}, SyncNet"] = score.curve
    return scores
