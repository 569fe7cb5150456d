"""Measures lips and audio of videos that models render for speech of other people, in three languages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from joblib import Parallel, delayed

from benchmarks.record import Row, record_header, write_record
from dfa_nerfstudio.data.dataset_folder import AUDIO, DatasetFolder
from dfa_nerfstudio.evaluation.aperture import Aperture
from dfa_nerfstudio.evaluation.cross_driven import CrossDrivenClip
from dfa_nerfstudio.evaluation.evaluate import PretrainedScorers
from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext, track_landmarks
from dfa_nerfstudio.evaluation.frame_arrays import frames_on_disk
from dfa_nerfstudio.evaluation.landmark_track import LandmarkTrack
from dfa_nerfstudio.evaluation.reference_head import FaceTrack
from dfa_nerfstudio.evaluation.sync.av_sync import AVSyncScore, av_sync_score
from dfa_nerfstudio.evaluation.video_pairs import held_out_pair
from dfa_nerfstudio.media.audio import read_wav
from dfa_nerfstudio.media.images import read_image
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.talk.load_model import load_model

SPEECH = {
    "English": (
        "speech/english_60s.flac",
        "speech/english_librispeech_9s.wav",
        "speech/english_lsp_00083_11s_float32.wav",
    ),
    "German": ("speech/german_thorsten_1386.wav", "clips/german_anchor_20s.mp4"),
    "Mandarin": ("speech/mandarin_aishell_4s.wav",),
}
"""Files of the test material by language; of a video the audio is used."""
LATE_S = 5
"""Seconds by which the audio of the baseline is late."""


@dataclass
class OtherSpeechBenchmark:
    """Sync and mouth motion of models in other people's speech, beside their own clip."""

    load_config: tuple[Path, ...]
    """config.yml of trained models."""
    shared: Path = Path("../shared")
    """Folder of the test material, with speech/ and clips/."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the head motion; each audio file is rendered with each of them."""
    jobs: int = 2
    """Number of models at a time."""

    def run(self) -> None:
        """Renders all files with every model."""
        head = record_header("cpu")
        clips = "_".join(dict.fromkeys(config.parents[2].name for config in self.load_config))
        by_model = Parallel(n_jobs=self.jobs)(delayed(self._rows)(config) for config in self.load_config)
        rows = [row for rows in by_model for row in rows]
        write_record(f"other_speech_{clips}_cpu", head, {"lips and audio": rows})

    def _rows(self, config: Path) -> list[Row]:
        pair, renderer = held_out_pair(config), load_model(config)
        context = EvaluationContext(pair, PretrainedScorers.load(None, None, None))
        assert pair.true_audio is not None and pair.audio is not None
        film = Lips.of(context, context.truth_landmarks, pair.true_audio)
        whole = Lips.of_clip(context, renderer.clip.folder)
        truth, whole_score, true_spread = film.score(context), whole.score(context), np.nanstd(film.aperture)

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
                "share_of_held_out": share(pooled.score_at(offset), truth),
                "share_of_whole": share(pooled.score_at(offset), whole_score),
                "offset": pooled.offset,
                "mouth_amplitude_ratio": float(np.nanstd(aperture) / true_spread),
            }

        own = Lips.of(context, context.landmarks, pair.audio)
        rows = [
            row("whole source video", [whole]),
            row("held-out end, source video", [film]),
            row("held-out end, rendered", [own], truth and truth.offset),
        ]
        for language, names in SPEECH.items():
            videos = list[Lips]()
            for seed in self.seeds:
                for name in names:
                    clip = CrossDrivenClip.render(renderer, self.shared / name, seed)
                    videos.append(Lips.of(context, track_landmarks(clip.frames, clip.name), clip.audio))
                rows.append(row(f"{language}, head motion {seed}", videos[-len(names) :]))
            rows.append(row(language, videos))
            late = [replace(video, audio=np.roll(video.audio, LATE_S * SAMPLE_RATE)) for video in videos]
            rows.append(row(f"{language}, audio {LATE_S} s late", late))
        return rows


def share(score: float, source: AVSyncScore | None) -> float:
    """A score relative to that of the source video; NaN if that is too short for one."""
    return score / source.score_at(source.offset) if source else float("nan")


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

    @classmethod
    def of_clip(cls, context: EvaluationContext, path: Path) -> Lips:
        """Measures all frames of a dataset folder: its held-out end can be too short for a score with a small error."""
        folder = DatasetFolder.open(path)
        frames = frames_on_disk(read_image(path / frame["file_path"]) for frame in folder.meta["frames"])
        return cls.of(context, track_landmarks(frames, path.name), read_wav(path / AUDIO))

    def score(self, context: EvaluationContext) -> AVSyncScore | None:
        """Agreement of lips and audio; None if the video is too short."""
        expression = self.faces.front_landmarks - context.reference_head.neutral
        return av_sync_score(context.scorers.encoders, expression, self.faces.found, self.audio)
