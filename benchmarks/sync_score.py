"""Our own sync score: encoders that have learnt from GRID alone, on people whom they have never seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.corpus import LEFT_OUT, is_grid, link_clip
from benchmarks.record import Row, header, timed, write_record
from dfa_nerfstudio.attributes.pretrained_models import GeneralModels
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.landmark_track import Sightings
from dfa_nerfstudio.evaluation.reference_head import ReferenceHead
from dfa_nerfstudio.evaluation.sync.av_sync import own_sync
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.video_reader import Video, to_rgb

SHIFT = 5
"""Frames by which the sound is moved, either way."""
SOUNDS = ("sound_late", "sound_early", "sound_of_another")
LEAST = 3.0
"""Seconds of half a clip, with the face seen in as many frames, that are scored."""


@dataclass
class Sync:
    """Trains the encoders of the package anew and asks whether they tell the truth from what is not.

    Clips have offsets of their own, of up to four frames. Each half is scored at the offset that the other half shows,
    and at none.
    """

    shared: Path = Path("../shared")
    """Where the test material lies."""
    encoders: Path | None = None
    """Encoders that are there already."""
    output: Path = Path("outputs/bench")
    """Working folder."""

    def run(self) -> None:
        """Measures everything."""
        head = header("cpu")
        encoders = GeneralModels.load(self.encoders or self._trained())
        clips = [
            path
            for path in sorted((self.shared / "clips").rglob("*.mp4"))
            if path.parent.name not in LEFT_OUT and not is_grid(path)
        ]
        seen = {path.stem: _lips(path) for path in clips}
        halves = {name: _halves(lips) for name, lips in seen.items() if lips is not None}
        names = [name for name, parts in halves.items() if parts]
        rows = [
            self._row(encoders, halves, name, names[(number + 1) % len(names)], half)
            for number, name in enumerate(names)
            for half in (0, 1)
        ]
        summary: Row = {"clips": len(names), "cases": 3 * len(rows)}
        for place in ("at_own_offset", "at_zero"):
            cases = [row[place] > row[f"{sound}_{place}"] for row in rows for sound in SOUNDS]
            summary[f"truth_higher_{place}"] = float(np.mean(cases))
        for column in ("at_own_offset", *(f"{sound}_at_own_offset" for sound in SOUNDS)):
            summary[f"mean_{column}"] = float(np.mean([row[column] for row in rows]))
        write_record("sync_cpu", head, {"people never seen": [summary], "mean cosine, by half of a clip": rows})

    def _trained(self) -> Path:
        """Trains on GRID: the six minutes of one speaker, and a sentence each of others."""
        films, data, encoders = (self.output / name for name in ("grid", "grid_data", "sync_encoders.pt"))
        for path in (self.shared / "clips").rglob("*.mp4"):
            if is_grid(path):
                link_clip(path, films / ("s1" if path.parent.name == "grid_s1" else path.stem) / path.name)
        timed(["dfa-process", films, "--output", data, "--size", 64, "--held-out", 0, "--camera", "still", "--jobs", 2])
        timed(["dfa-attributes", "pretrain", data, "--output", encoders])
        return encoders

    def _row(self, encoders: SpeechModels, halves: dict[str, list[_Lips]], name: str, other: str, half: int) -> Row:
        expression, found, sound = halves[name][half]
        own = own_sync(encoders, *halves[name][1 - half])
        assert own is not None
        gap = np.zeros(round(SHIFT / FRAME_RATE * SAMPLE_RATE), np.float32)
        sounds = {
            "": sound,
            "sound_late_": np.concatenate([gap, sound]),
            "sound_early_": sound[len(gap) :],
            "sound_of_another_": np.resize(halves[other][half][2], len(sound)),
        }
        row: Row = {
            "clip": name,
            "half": half,
            "seconds": len(expression) / FRAME_RATE,
            "offset_of_other_half": own.offset,
        }
        for title, heard in sounds.items():
            agreed = own_sync(encoders, expression, found, heard)
            assert agreed is not None
            row |= {f"{title}at_own_offset": agreed.at(own.offset), f"{title}at_zero": agreed.at(0)}
        return row


_Lips = tuple[np.ndarray, np.ndarray, np.ndarray]


def _lips(path: Path) -> _Lips | None:
    """Landmarks less the resting face, where they are seen, and the sound; none for a clip that is too short."""
    seen = Sightings.of(map(to_rgb, Video(path).frames()))
    try:
        head = ReferenceHead(seen, str(path))
    except UserError:
        return None
    faces = head.faces(seen)
    return None if faces is None else (faces.front - head.neutral, faces.found, read_audio(path))


def _halves(lips: _Lips) -> list[_Lips]:
    """Both halves of a clip; none where one is too short."""
    expression, found, sound = lips
    middle = len(expression) // 2
    cut = round(middle / FRAME_RATE * SAMPLE_RATE)
    halves = [(expression[:middle], found[:middle], sound[:cut]), (expression[middle:], found[middle:], sound[cut:])]
    return halves if all(half[1].sum() >= LEAST * FRAME_RATE for half in halves) else []
