"""Agreement of lips and audio by the package's own encoders; `sync.av_sync` defines the score."""

from __future__ import annotations

import numpy as np

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext, track_landmarks
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, Scores, video_metric
from dfa_nerfstudio.evaluation.sync.av_sync import AVSyncScore, av_sync_score
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE

DELAY_FRAMES = 5
"""Frames by which the audio is delayed for `sync_shifted`."""
_LAG = "positive: the audio lags the video"


@video_metric(
    MetricInfo("sync", "Sync, own encoders", "cosine", "higher", "mean at the truth's own offset", 3),
    MetricInfo("sync_error", "Standard error of Sync", "cosine", "lower", "each second as one observation", 3),
    MetricInfo("sync_confidence", "Sync confidence, own encoders", "cosine", "higher", "best minus median offset", 3),
    MetricInfo("sync_offset", "Offset, own encoders", "frames", "as the truth", _LAG, 0),
    MetricInfo("sync_shifted", "Sync with audio 5 frames late", "cosine", "lower", "reference for a wrong offset", 3),
    position=300,
)
def sync(context: EvaluationContext) -> Scores:
    """Scores of both videos at the truth's offset; 0 if the truth has no audio."""
    scores, offset = Scores({}), 0
    for video in context.talking_videos():
        delay = np.zeros(round(DELAY_FRAMES * SAMPLE_RATE / FRAME_RATE), np.float32)
        expression = video.faces.front_landmarks - context.reference_head.neutral
        try:
            aligned, shifted = (
                av_sync_score(context.scorers.encoders, expression, video.faces.found, audio)
                for audio in (video.audio, np.concatenate([delay, video.audio]))
            )
            if aligned is None or shifted is None:
                raise UserError("too short to compare all offsets")
        except UserError as error:
            context.note(f"lips and audio of the {video.name}: {error}")
            continue
        offset = aligned.offset if video.is_truth else offset
        (scores.truth if video.is_truth else scores.values).update(
            sync=aligned.score_at(offset),
            sync_error=aligned.standard_error_at(offset),
            sync_confidence=aligned.confidence,
            sync_offset=float(aligned.offset),
            sync_shifted=shifted.score_at(offset),
        )
        scores.offset_curves[video.name] = aligned.curve
    return scores


@video_metric(
    MetricInfo(
        "cross_driven_sync", "Cross-driven Sync", "cosine", "higher", "own encoders, mean at the best offset", 3
    ),
    MetricInfo("cross_driven_sync_error", "Standard error of cross-driven Sync", "cosine", "lower", "as above", 3),
    MetricInfo("cross_driven_sync_offset", "Cross-driven offset", "frames", "as the truth", _LAG, 0),
    position=310,
)
def cross_driven_sync(context: EvaluationContext) -> Scores:
    """Scores of all cross-driven videos pooled, at the best offset because there is no truth that defines one."""
    neutral, found = context.reference_head.neutral, []
    for clip in context.pair.cross_driven:
        faces = context.reference_head.face_track(track_landmarks(clip.frames, clip.name))
        score = None
        if faces is not None:
            expression = faces.front_landmarks - neutral
            score = av_sync_score(context.scorers.encoders, expression, faces.found, clip.audio)
        if score is None:
            context.note(f"{clip.name}: too few frames show a face, or too short to score lips and audio: left out")
        else:
            found.append(score)
    if not found:
        return Scores({})
    pooled = AVSyncScore.join(found)
    values = {
        "cross_driven_sync": pooled.score_at(pooled.offset),
        "cross_driven_sync_error": pooled.standard_error_at(pooled.offset),
        "cross_driven_sync_offset": float(pooled.offset),
    }
    return Scores(values, offset_curves={"cross-driven": pooled.curve})
