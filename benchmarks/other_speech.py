"""Measures lips and audio of videos that models render for speech of other people, in three languages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.record import Row, record_header, write_record
from dfa_nerfstudio.evaluation.aperture import Aperture
from dfa_nerfstudio.evaluation.evaluate import PretrainedScorers
from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext, track_landmarks
from dfa_nerfstudio.evaluation.frame_arrays import Frames
from dfa_nerfstudio.evaluation.sync.av_sync import AVSyncScore, av_sync_score
from dfa_nerfstudio.evaluation.video_pairs import held_out_pair
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE

SPEECH = {
    "English": ("english_60s.flac", "english_librispeech_9s.wav", "english_lsp_00083_11s_float32.wav"),
    "German": ("german_thorsten_1386.wav",),
    "Mandarin": ("mandarin_aishell_4s.wav",),
}
"""Files in speech/ by language."""


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
        for config in self.load_config:
            rows += self._rows(config)
            write_record("other_speech_cpu", head, {"lips and audio": rows})

    def _rows(self, config: Path) -> list[Row]:
        paths = {language: [self.shared / "speech" / name for name in names] for language, names in SPEECH.items()}
        pair = held_out_pair(config, [path for group in paths.values() for path in group])
        context = EvaluationContext(pair, PretrainedScorers.load(None, None, None))
        assert pair.true_audio is not None and pair.audio is not None
        model = config.parent.name
        truth = self._score(context, pair.truth, pair.true_audio)
        own_aperture = np.nanstd(Aperture.from_frames(pair.truth).mouth)

        def row(title: str, scores: list[AVSyncScore], frames: list[Frames], offset: int | None = None) -> Row:
            pooled = AVSyncScore.join(scores)
            aperture = np.concatenate([Aperture.from_frames(one).mouth for one in frames])
            return {
                "clip": pair.name,
                "model": model,
                "speech": title,
                "seconds": len(aperture) / FRAME_RATE,
                "sync": pooled.score_at(pooled.offset if offset is None else offset),
                "sync_error": pooled.standard_error_at(pooled.offset if offset is None else offset),
                "share_of_source": pooled.score_at(pooled.offset if offset is None else offset)
                / truth.score_at(truth.offset),
                "offset": pooled.offset,
                "mouth_amplitude_ratio": float(np.nanstd(aperture) / own_aperture),
            }

        rows = [
            row("held-out end, source video", [truth], [pair.truth]),
            row(
                "held-out end, rendered",
                [self._score(context, pair.prediction, pair.audio)],
                [pair.prediction],
                truth.offset,
            ),
        ]
        for language, group in paths.items():
            clips = [clip for clip in pair.cross_driven if clip.name in {path.name for path in group}]
            scores = [self._score(context, clip.frames, clip.audio) for clip in clips]
            rows.append(row(language, scores, [clip.frames for clip in clips]))
            if language == "English":
                late = [replace(clip, audio=np.roll(clip.audio, 5 * SAMPLE_RATE)) for clip in clips]
                wrong = [self._score(context, clip.frames, clip.audio) for clip in late]
                rows.append(row(f"{language}, audio 5 s late", wrong, [clip.frames for clip in clips]))
        return rows

    @staticmethod
    def _score(context: EvaluationContext, frames: Frames, audio: np.ndarray) -> AVSyncScore:
        faces = context.reference_head.face_track(track_landmarks(frames, "a video"))
        assert faces is not None
        expression = faces.front_landmarks - context.reference_head.neutral
        score = av_sync_score(context.scorers.encoders, expression, faces.found, audio)
        assert score is not None
        return score
