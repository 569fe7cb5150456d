"""Rows that need no renderer, motion models and lip models: trained in parallel processes, each once, and kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from joblib import cpu_count
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, DatasetFolder, find_dataset_folders
from dfa_nerfstudio.evaluation.ablation.row_batches import compute_rows
from dfa_nerfstudio.evaluation.ablation.stored_row import Settings, StoredRow, file_digest, row_folder
from dfa_nerfstudio.evaluation.evaluation_context import PretrainedScorers
from dfa_nerfstudio.evaluation.systems.lip_rows import LIP_ROWS, SYNC_EXPERT
from dfa_nerfstudio.evaluation.systems.lip_scores import lip_scores, predict_lips
from dfa_nerfstudio.evaluation.systems.motion_rows import MOTION_ROWS
from dfa_nerfstudio.evaluation.systems.motion_scores import generate_tracks, generation_scores, prediction_scores
from dfa_nerfstudio.evaluation.systems.person_data import PersonData, SpeechInputs
from dfa_nerfstudio.evaluation.systems.train_row import train_row
from dfa_nerfstudio.media.torch_file import save_torch

Kind = Literal["motion", "lips"]
LIPS_FILE, EXPERT_FILE = "lips.pt", "sync_expert.pt"


@dataclass(frozen=True)
class AudioRow:
    """A motion or lip model with a seed."""

    kind: Kind
    name: str
    seed: int


@dataclass
class AudioRows:
    """Trains, scores and stores motion and lip models of one person."""

    data: Path
    """The dataset folder."""
    output: Path
    """Folder of the rows."""
    speech_files: tuple[Path, ...] = ()
    """Other speech."""
    reference_clips: tuple[Path, ...] = ()
    """Dataset folders of other people, or folders of them."""
    sync_encoders: Path | None = None
    """Encoders of the sync score; the package's own if None."""

    def prepare(self, rows: Sequence[AudioRow]) -> None:
        """Computes those of the rows that are not stored, as many at a time as there are CPU cores.

        Raises:
            UserError: if one fails.
        """
        missing = [row for row in dict.fromkeys(rows) if self._stored(row).read() is None]
        if any(row.name == SYNC_EXPERT for row in missing):
            self.person.train_sync_expert()
        if missing:  # here, so that no process reads it again
            self.person.read()
            _ = self.speech, self.encoders
        compute_rows("motion and lip models", list(map(self._stored, missing)), self.output, cpu_count())

    def values(self, row: AudioRow) -> dict[str, float]:
        """Scores of a row by column key, with the training time."""
        return self._stored(row).values()

    def _stored(self, row: AudioRow) -> StoredRow:
        compute = self._motion if row.kind == "motion" else self._lips
        return StoredRow(self.folder(row), self.settings(row), partial(compute, row))

    def settings(self, row: AudioRow) -> Settings:
        """Everything that the values of a row depend on."""
        return {
            "row": f"{row.kind} {row.name} {row.seed}",
            "models": file_digest(self.data / MODELS_FILE_NAME),
            "reference_clips": [
                file_digest(folder / ATTRIBUTES)
                for root in self.reference_clips
                for folder in find_dataset_folders(root)
            ],
            "speech": [file_digest(path) for path in self.speech_files],
            "sync_encoders": None if self.sync_encoders is None else file_digest(self.sync_encoders),
        }

    def lip_shapes(self, name: str, seed: int) -> dict[str, Float[Tensor, "T K"]]:
        """Predicted f_m of a lip model; see `predict_lips`."""
        row = AudioRow("lips", name, seed)
        self.values(row)
        return torch.load(self.folder(row) / LIPS_FILE, weights_only=True)

    def motion_tracks(self, name: str, seed: int) -> dict[str, AttributeTrack]:
        """Track that a motion model generates for each speech file by its name."""
        row = AudioRow("motion", name, seed)
        self.values(row)
        return {path.name: AttributeTrack.load(self._track_file(row, path)) for path in self.speech_files}

    @property
    def has_expert(self) -> bool:
        """Whether the sync expert was trained on other people."""
        return (self.output / EXPERT_FILE).is_file()

    def folder(self, row: AudioRow) -> Path:
        """Folder of a row."""
        return self.output / row.kind / row_folder(row.name) / f"seed_{row.seed}"

    @cached_property
    def person(self) -> PersonData:
        """The person's data."""
        folder = DatasetFolder.open(self.data)
        return PersonData.open(folder, self.reference_clips, self.output / EXPERT_FILE)

    @cached_property
    def speech(self) -> list[SpeechInputs]:
        """What is read of the speech files."""
        return [self.person.read_speech(path) for path in self.speech_files]

    @cached_property
    def encoders(self) -> SpeechModels:
        """Encoders of the sync score."""
        return PretrainedScorers.load(None, self.sync_encoders, None).encoders

    def _motion(self, row: AudioRow) -> dict[str, float]:
        start = time.monotonic()
        model = train_row(MOTION_ROWS, row.name, self.person, row.seed)
        minutes = (time.monotonic() - start) / 60
        generated = generate_tracks(model, self.person, self.speech)
        for path, tracks in zip(self.speech_files, generated, strict=True):
            tracks[0].save(self._track_file(row, path))
        scores = prediction_scores(model, self.person) | generation_scores(model, self.person, generated)
        return scores | {"minutes": minutes}

    def _lips(self, row: AudioRow) -> dict[str, float]:
        start = time.monotonic()
        model = train_row(LIP_ROWS, row.name, self.person, row.seed)
        minutes = (time.monotonic() - start) / 60
        shapes = predict_lips(model, self.person, self.speech)
        save_torch(shapes, self.folder(row) / LIPS_FILE)
        return lip_scores(shapes, self.person, self.speech, self.encoders) | {"minutes": minutes}

    def _track_file(self, row: AudioRow, speech: Path) -> Path:
        return self.folder(row) / f"{speech.name}.npz"
