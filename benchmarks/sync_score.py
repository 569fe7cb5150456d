"""Tests the package's sync score on unseen people, with encoders trained on GRID alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.corpus import EXCLUDED_FOLDERS, is_grid, link_clip
from benchmarks.record import Row, record_header, run_timed, write_record
from dfa_nerfstudio.attributes.pretrained_models import PretrainedModels
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.landmark_track import LandmarkTrack
from dfa_nerfstudio.evaluation.reference_head import ReferenceHead
from dfa_nerfstudio.evaluation.sync.av_sync import av_sync_score
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.video_reader import Video, to_rgb

AUDIO_SHIFT = 5
"""Shift of the wrong audio to later and earlier, in frames."""
WRONG_AUDIO = ("audio_late", "audio_early", "audio_of_another")
"""Kinds of wrong audio, as prefixes of columns."""
MIN_SECONDS = 3.0
"""Minimum duration with a detected face, in seconds, of a scored half clip."""


@dataclass
class SyncBenchmark:
    """Trains the package's encoders and tests whether they score true audio above wrong audio.

    Clips have audio-video offsets of up to four frames. Each half of a clip is scored at the offset measured on the
    other half, and at offset zero.
    """

    shared: Path = Path("../shared")
    """Folder of the test material, with clips/ and speech/."""
    encoders: Path | None = None
    """Trained encoders; without them they are trained."""
    output: Path = Path("outputs/bench")
    """Working folder."""

    def run(self) -> None:
        """Measures everything."""
        head = record_header("cpu")
        encoders = PretrainedModels.load(self.encoders or self._trained())
        clips = [
            path
            for path in sorted((self.shared / "clips").rglob("*.mp4"))
            if path.parent.name not in EXCLUDED_FOLDERS and not is_grid(path)
        ]
        clip_inputs = {path.stem: _clip_sync_inputs(path) for path in clips}
        halves = {name: _halves(inputs) for name, inputs in clip_inputs.items() if inputs is not None}
        names = [name for name, parts in halves.items() if parts]
        rows = [
            self._row(encoders, halves, name, names[(number + 1) % len(names)], half)
            for number, name in enumerate(names)
            for half in (0, 1)
        ]
        summary: Row = {"clips": len(names), "cases": 3 * len(rows)}
        for place in ("at_own_offset", "at_zero"):
            cases = [row[place] > row[f"{wrong}_{place}"] for row in rows for wrong in WRONG_AUDIO]
            summary[f"truth_higher_{place}"] = float(np.mean(cases))
        for column in ("at_own_offset", *(f"{wrong}_at_own_offset" for wrong in WRONG_AUDIO)):
            summary[f"mean_{column}"] = float(np.mean([row[column] for row in rows]))
        write_record("sync_cpu", head, {"unseen people": [summary], "mean cosine similarity, by half clip": rows})

    def _trained(self) -> Path:
        """Trains encoders on GRID: six minutes of one speaker, and one sentence each of others."""
        videos, data, encoders = (self.output / name for name in ("grid", "grid_data", "sync_encoders.pt"))
        for path in (self.shared / "clips").rglob("*.mp4"):
            if is_grid(path):
                link_clip(path, videos / ("s1" if path.parent.name == "grid_s1" else path.stem) / path.name)
        run_timed(
            ["dfa-process", videos, "--output", data, "--size", 64, "--held-out", 0, "--camera", "static", "--jobs", 2]
        )
        run_timed(["dfa-attributes", "pretrain", data, "--output", encoders])
        return encoders

    def _row(
        self, encoders: SpeechModels, halves: dict[str, list[SyncInputs]], name: str, other: str, half: int
    ) -> Row:
        """Scores one half of the clip `name` with its own audio and with wrong audio (shifted, or from `other`)."""
        expression, found, audio = halves[name][half]
        own = av_sync_score(encoders, *halves[name][1 - half])
        assert own is not None
        gap = np.zeros(round(AUDIO_SHIFT / FRAME_RATE * SAMPLE_RATE), np.float32)
        audio_by_kind = {
            "": audio,
            "audio_late_": np.concatenate([gap, audio]),
            "audio_early_": audio[len(gap) :],
            "audio_of_another_": np.resize(halves[other][half][2], len(audio)),
        }
        row: Row = {
            "clip": name,
            "half": half,
            "seconds": len(expression) / FRAME_RATE,
            "offset_of_other_half": own.offset,
        }
        for title, samples in audio_by_kind.items():
            score = av_sync_score(encoders, expression, found, samples)
            assert score is not None
            row |= {f"{title}at_own_offset": score.score_at(own.offset), f"{title}at_zero": score.score_at(0)}
        return row


SyncInputs = tuple[np.ndarray, np.ndarray, np.ndarray]


def _clip_sync_inputs(path: Path) -> SyncInputs | None:
    """Landmark offsets from the neutral face, validity of frames, and audio; None if the clip is too short."""
    track = LandmarkTrack.from_frames(map(to_rgb, Video(path).frames()))
    try:
        head = ReferenceHead(track, str(path))
    except UserError:
        return None
    faces = head.face_track(track)
    return None if faces is None else (faces.front_landmarks - head.neutral, faces.found, read_audio(path))


def _halves(inputs: SyncInputs) -> list[SyncInputs]:
    """Splits a clip into halves; returns an empty list if one is too short."""
    expression, found, audio = inputs
    middle = len(expression) // 2
    cut = round(middle / FRAME_RATE * SAMPLE_RATE)
    halves = [(expression[:middle], found[:middle], audio[:cut]), (expression[middle:], found[middle:], audio[cut:])]
    return halves if all(half[1].sum() >= MIN_SECONDS * FRAME_RATE for half in halves) else []
