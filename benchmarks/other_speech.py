"""Measures lips and audio of videos that models render for speech of other people, in three languages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from benchmarks.record import Row, record_header, write_record
from dfa_nerfstudio.evaluation.aperture import Aperture
from dfa_nerfstudio.evaluation.evaluate import PretrainedScorers
from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext, track_landmarks
from dfa_nerfstudio.evaluation.landmark_track import LandmarkTrack
from dfa_nerfstudio.evaluation.reference_head import FaceTrack
from dfa_nerfstudio.evaluation.sync.av_sync import AVSyncScore, av_sync_score
from dfa_nerfstudio.evaluation.video_pairs import held_out_pair
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE

SPEECH = {
    "English": ("english_60s.flac", "english_librispeech_9s.wav", "english_lsp_00083_11s_float32.wav"),
    "German": ("german_thorsten_1386.wav",),
    "Mandarin": ("mandarin_aishell_4s.wav",),
}
"""Files in speech/ by language."""
LATE_S = 5
"""Seconds by which the audio of the baseline is late."""


@dataclass
class OtherSpeechBenchmark:
    """Sync and mouth motion of models in other people's speech, beside the held-out end of their clip."""

    load_config: tuple[Path, ...]
    """config.yml of trained models."""
    shared: Path = Path("../shared")
    """Folder of the test material, with speech/."""

    def run(self) -> None:
        """Renders all files with every model; rewrites the record after each model."""
        head, rows = record_header("cpu"), []
        clips = "_".join(dict.fromkeys(config.parents[2].name for config in self.load_config))
        for config in self.load_config:
            rows += self._rows(config)
            write_record(f"other_speech_{clips}_cpu", head, {"lips and audio": rows})

    def _rows(self, config: Path) -> list[Row]:
        paths = {language: [self.shared / "speech" / name for name in names] for language, names in SPEECH.items()}
        pair = held_out_pair(config, [path for group in paths.values() for path in group])
        context = EvaluationContext(pair, PretrainedScorers.load(None, None, None))
        assert pair.true_audio is not None and pair.audio is not None
        film = Lips.of(context, context.truth_landmarks, pair.true_audio)
        truth, true_spread = film.score(context), np.nanstd(film.aperture)

        def row(title: str, videos: list[Lips], own_offset: int | None = None) -> Row:
            head: Row = {"clip": pair.name, "model": config.parent.name, "speech": title}
            scores = [score for video in videos if (score := video.score(context)) is not None]
            if not scores:
                return {**head, "speech": f"{title}: too short"}
            pooled = AVSyncScore.join(scores)
            offset = pooled.offset if own_offset is None else own_offset
            aperture = np.concatenate([video.aperture for video in videos])
            return {
                **head,
                "seconds": len(aperture) / FRAME_RATE,
                "sync": pooled.score_at(offset),
                "sync_error": pooled.standard_error_at(offset),
                "share_of_source": pooled.score_at(offset) / truth.score_at(truth.offset) if truth else float("nan"),
                "offset": pooled.offset,
                "mouth_amplitude_ratio": float(np.nanstd(aperture) / true_spread),
            }

        own = Lips.of(context, context.landmarks, pair.audio)
        rows = [
            row("held-out end, source video", [film]),
            row("held-out end, rendered", [own], truth and truth.offset),
        ]
        for language, group in paths.items():
            names = {path.name for path in group}
            clips = [clip for clip in pair.cross_driven if clip.name in names]
            videos = [Lips.of(context, track_landmarks(clip.frames, clip.name), clip.audio) for clip in clips]
            rows.append(row(language, videos))
            if language == "English":
                late = [replace(video, audio=np.roll(video.audio, LATE_S * SAMPLE_RATE)) for video in videos]
                rows.append(row(f"{language}, audio {LATE_S} s late", late))
        return rows


@dataclass
class Lips:
    """Tracked faces of one video, and the audio that they are scored with."""

    faces: FaceTrack
    aperture: Float[np.ndarray, " T"]
    """Aperture of the mouth."""
    audio: Float32[np.ndarray, " S"]
    """Samples at 16 kHz."""

    @classmethod
    def of(cls, context: EvaluationContext, track: LandmarkTrack, audio: Float32[np.ndarray, " S"]) -> Lips:
        """Measures a tracked video."""
        faces = context.reference_head.face_track(track)
        assert faces is not None
        return cls(faces, Aperture.from_track(track).mouth, audio)

    def score(self, context: EvaluationContext) -> AVSyncScore | None:
        """Agreement of lips and audio; None if the video is too short."""
        expression = self.faces.front_landmarks - context.reference_head.neutral
        return av_sync_score(context.scorers.encoders, expression, self.faces.found, self.audio)
