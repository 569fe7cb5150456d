"""Dubbing: new lips in an existing video, the task of Wav2Lip [34], as a protocol of its own.

The source video is played forwards and backwards; each system's lips for other speech are rendered at the source's own
head pose and pasted back. Three things count: lips that fit the new audio, frames that are unchanged elsewhere, and a
border of the pasted portrait that does not show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from dfa_nerfstudio.attributes.motion_config import SOURCE, MotionConfig
from dfa_nerfstudio.attributes.motion_source import generate_track
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.evaluation.aperture import Aperture
from dfa_nerfstudio.evaluation.evaluation_context import track_landmarks
from dfa_nerfstudio.evaluation.frame_arrays import Frames, frames_on_disk
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo
from dfa_nerfstudio.evaluation.reference_head import ReferenceHead
from dfa_nerfstudio.evaluation.sync.av_sync import AVSyncScore, av_sync_score
from dfa_nerfstudio.evaluation.systems.person_data import PersonData, SpeechInputs
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.talk.lower_face_mask import lower_face_opacity, lower_face_points
from dfa_nerfstudio.talk.portrait_compositor import PortraitCompositor
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig, PasteRegion, VideoConfig
from dfa_nerfstudio.talk.video_renderer import TalkingVideoRenderer

DUBBING_COLUMNS = (
    MetricInfo("sync", "Sync", "cosine", "higher", "own encoders, with the new audio, at the best offset", 3),
    MetricInfo("sync_error", "Standard error of Sync", "cosine", "lower", "each second as one observation", 3),
    MetricInfo("amplitude", "Mouth amplitude", "ratio", "as the truth", "relative to the source video's"),
    MetricInfo(
        "outside", "PSNR outside the mouth", "dB", "higher", "whole frame of the source, without the lower face"
    ),
    MetricInfo(
        "seam",
        "Border gradient",
        "ratio",
        "as the truth",
        "image gradient at the border of the new pixels, to the source's",
    ),
)
"""Columns of the dubbing table."""
MAX_PSNR = 60.0
"""PSNR in dB of frames that are the same."""


@dataclass
class DubbedVideo:
    """T frames of a dubbed video, the source's frames at the same times, and the new audio."""

    frames: Frames
    source: Frames
    speech: SpeechInputs
    compositor: PortraitCompositor
    """Place and opacity of the pasted portrait."""

    @classmethod
    def render(
        cls,
        config: Path,
        model: Renderer,
        video: Path,
        track: AttributeTrack,
        speech: SpeechInputs,
        region: PasteRegion = "portrait",
        unchanged: bool = False,
    ) -> DubbedVideo:
        """Renders a track at the source's pose and pastes it into the source.

        Args:
            config: the run's `config.yml`.
            model: its renderer.
            video: the video that was given to dfa-process.
            track: pose and eyes of the source, with new lips.
            speech: the new audio.
            region: what of the source is replaced.
            unchanged: leaves the source's frames as they are, as a baseline.

        Raises:
            UserError: if it is another video.
        """
        options = VideoConfig(paste=video, paste_region=region, fps=FRAME_RATE)
        renderer = TalkingVideoRenderer(config, model, options, MotionConfig(pose=SOURCE), AudioConditioningConfig())
        compositor = renderer.portrait_compositor
        assert compositor is not None
        source = frames_on_disk(compositor.source_frame_at(number / FRAME_RATE) for number in range(len(track)))
        frames = source if unchanged else frames_on_disk(renderer.render_tracks(iter([track])))
        return cls(frames, source, speech, compositor)


def dubbing_scores(videos: Sequence[DubbedVideo], encoders: SpeechModels) -> dict[str, float]:
    """Scores of dubbed videos, pooled over their frames."""
    syncs, amplitude, outside, seams = list[AVSyncScore](), [], [], []
    for video in videos:
        landmarks = track_landmarks(video.frames, "the dubbed video")
        source = track_landmarks(video.source, "the source")
        head = ReferenceHead(source, "the source")
        faces = head.face_track(landmarks)
        mouth, true = Aperture.from_track(landmarks).mouth, Aperture.from_track(source).mouth
        amplitude.append(np.nanstd(mouth) / np.nanstd(true))
        if faces is not None:
            expression = faces.front_landmarks - head.neutral
            score = av_sync_score(encoders, expression, faces.found, video.speech.audio)
            syncs += [] if score is None else [score]
        outside += _outside_errors(video, lower_face_points(source.landmarks))
        seams.append(_seam(video))
    error = float(np.mean(outside))
    scores = {
        "amplitude": float(np.mean(amplitude)),
        "outside": min(-10 * np.log10(error), MAX_PSNR) if error else MAX_PSNR,
        "seam": float(np.mean(seams)),
    }
    if syncs:
        pooled = AVSyncScore.join(syncs)
        scores |= {"sync": pooled.score_at(pooled.offset), "sync_error": pooled.standard_error_at(pooled.offset)}
    return scores


def source_track(person: PersonData, speech: SpeechInputs, lips: Float[Tensor, "T K"]) -> AttributeTrack:
    """Pose and eyes of the source's frames, forwards and backwards, with new lips for the frames of `speech`."""
    models = person.models
    track = generate_track(models, speech.f_a, MotionConfig(pose=SOURCE), person.track)
    return replace(track, mouth=lips, mouth_kind=models.lip_kind)


def _outside_errors(video: DubbedVideo, lower_face: Float[np.ndarray, "T L 2"]) -> Iterator[float]:
    """Mean square difference from the source, values in [0, 1], outside the lower face of each frame that shows one."""
    for dubbed, source, points in zip(video.frames, video.source, lower_face, strict=True):
        if not np.isfinite(points).all():
            continue
        inside = lower_face_opacity(points, *dubbed.shape[:2])[..., 0] > 0
        difference = (dubbed.astype(np.float32) - source)[~inside] / 255
        yield float(np.square(difference).mean())


def _seam(video: DubbedVideo) -> float:
    """Mean image gradient where the new pixels fade into the frame, relative to the source's; NaN if they fill it."""
    compositor, gradients = video.compositor, np.zeros(2)
    left, top, side = compositor.left, compositor.top, compositor.side
    for number, pair in enumerate(zip(video.frames, video.source, strict=True)):
        opacity = compositor.opacity_at(number / FRAME_RATE)[..., 0]
        border = (opacity > 0) & (opacity < 1)
        for which, frame in enumerate(pair):
            gradients[which] += _gradient(frame[top : top + side, left : left + side])[border].sum()
    return float(gradients[0] / gradients[1]) if gradients[1] else float("nan")


def _gradient(image: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
    """Absolute difference of each pixel's brightness from the pixels to the right and below."""
    grey = image.astype(np.float32).mean(-1)
    rows, columns = np.diff(grey, axis=0, append=grey[-1:]), np.diff(grey, axis=1, append=grey[:, -1:])
    return np.abs(rows) + np.abs(columns)
