"""Our own sync score: encoders that have learnt from GRID alone, on people whom they have never seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.record import Row, header, timed, write_record
from dfa_nerfstudio.attributes.general_models import GeneralModels
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.data.audio import read_audio
from dfa_nerfstudio.data.dataset_folder import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.faces import ReferenceHead
from dfa_nerfstudio.evaluation.sightings import Sightings
from dfa_nerfstudio.evaluation.sync.own import own_sync
from dfa_nerfstudio.preprocessing.film.video import Video, to_rgb

SHIFT = 5
"""Frames by which the sound is moved, either way."""
LEAST = 3.0
"""Seconds of a clip that is scored."""
LEFT_OUT = "hard"
"""Folder of clips that are no talking heads."""


@dataclass
class Sync:
    """Trains the encoders of the package anew and asks whether they tell the truth from what is not."""

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
            if path.parent.name != LEFT_OUT and not _is_grid(path)
        ]
        seen = {path.stem: _lips(path) for path in clips}
        seen = {name: lips for name, lips in seen.items() if lips is not None}
        names = list(seen)
        rows = [self._row(encoders, seen, name, names[(number + 1) % len(names)]) for number, name in enumerate(names)]
        columns = ("sound_late", "sound_early", "sound_of_another")
        cases = [row["truth"] > row[column] for row in rows for column in columns]
        summary: Row = {"clips": len(rows), "cases": len(cases), "truth_higher": float(np.mean(cases))}
        for column in ("truth", *columns):
            summary[f"mean_{column}"] = float(np.mean([row[column] for row in rows]))
        write_record("sync_cpu", head, {"people never seen": [summary], "mean cosine at zero offset, by clip": rows})

    def _trained(self) -> Path:
        """Trains on GRID: the six minutes of one speaker, and a sentence each of others."""
        films, data, encoders = (self.output / name for name in ("grid", "grid_data", "sync_encoders.pt"))
        for path in (self.shared / "clips").rglob("*.mp4"):
            if _is_grid(path):
                link = films / ("s1" if path.parent.name == "grid_s1" else path.stem) / path.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(path.resolve())
        timed(["dfa-process", films, "--output", data, "--size", 64, "--held-out", 0, "--camera", "still", "--jobs", 2])
        timed(["dfa-attributes", "pretrain", data, "--output", encoders])
        return encoders

    def _row(self, encoders: SpeechModels, seen: dict[str, _Lips], name: str, other: str) -> Row:
        expression, found, sound = seen[name]
        gap = np.zeros(round(SHIFT / FRAME_RATE * SAMPLE_RATE), np.float32)
        sounds = {
            "truth": sound,
            "sound_late": np.concatenate([gap, sound]),
            "sound_early": sound[len(gap) :],
            "sound_of_another": np.resize(seen[other][2], len(sound)),
        }
        row: Row = {"clip": name, "seconds": len(expression) / FRAME_RATE}
        for title, heard in sounds.items():
            agreed = own_sync(encoders, expression, found, heard)
            row[title] = float("nan") if agreed is None else agreed.score
            if title == "truth" and agreed is not None:
                row["offset"] = agreed.offset
        return row


_Lips = tuple[np.ndarray, np.ndarray, np.ndarray]


def _is_grid(path: Path) -> bool:
    return path.parent.name == "grid_s1" or path.stem.startswith("grid_")


def _lips(path: Path) -> _Lips | None:
    """Landmarks less the resting face, where they are seen, and the sound; none for a clip that is too short."""
    seen = Sightings.of(map(to_rgb, Video(path).frames()))
    if len(seen) < LEAST * FRAME_RATE:
        return None
    try:
        head = ReferenceHead(seen, str(path))
    except UserError:
        return None
    faces = head.faces(seen)
    return None if faces is None else (faces.front - head.neutral, faces.found, read_audio(path))
