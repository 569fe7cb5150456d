"""Tables of `dfa-eval ablate`: which rows each has, and how they are computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dfa_nerfstudio.evaluation.ablation.audio_rows import AudioRow, AudioRows
from dfa_nerfstudio.evaluation.ablation.image_rows import ImageRows, image_columns
from dfa_nerfstudio.evaluation.ablation.result_table import MINUTES, Column, ResultTable
from dfa_nerfstudio.evaluation.ablation.row_batches import compute_rows
from dfa_nerfstudio.evaluation.ablation.stored_row import StoredRow
from dfa_nerfstudio.evaluation.ablation.system_rows import LIP_IMAGE_ROWS
from dfa_nerfstudio.evaluation.systems.lip_scores import LIP_COLUMNS, true_lip_scores
from dfa_nerfstudio.evaluation.systems.motion_rows import MOTION_ROWS, STILL
from dfa_nerfstudio.evaluation.systems.motion_scores import (
    MOTION_COLUMNS,
    own_motion_targets,
    prediction_scores,
    source_motion_scores,
)
from dfa_nerfstudio.evaluation.systems.train_row import train_row
from dfa_nerfstudio.evaluation.video_pairs import MEAN_IMAGE
from dfa_nerfstudio.media.rates import SAMPLE_RATE

LAST_POSE, SOURCE_VIDEO, SECOND_HALF = "last pose held", "source video", "source video, second half relative to first"
"""Names of baselines."""
SHARED = "Our lips f_m and f_a are those of dfa-attributes, the same for all seeds."
BLINKS = "The VAEs blink by the person's blink statistics, as dfa-talk does; other models predict eye openings."
"""Sentences of protocols."""
RENDERING_PROCESSES = 2
"""Rows rendered at a time on CPU cores: while one row renders on all its cores, another may be scored on one. More
would need more memory, and a GPU is busy with one."""


@dataclass
class RowTable(ABC):
    """One table."""

    title: str
    audio: AudioRows
    images: ImageRows

    @property
    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """Columns, without the training time."""

    @property
    @abstractmethod
    def protocol(self) -> str:
        """What is compared on which data."""

    @abstractmethod
    def values(self, name: str, seed: int) -> dict[str, float]:
        """Values of a row by column key; computed unless they are stored."""

    def audio_rows(self, name: str, seed: int) -> list[AudioRow]:
        """Motion and lip models that a row needs."""
        return []

    def rendered(self, name: str, seed: int) -> list[StoredRow]:
        """What a row has that needs the renderer."""
        return []

    def field(self, name: str) -> str | None:
        """The field that renders a row; None without any."""
        return None

    def prepare(self, names: Sequence[str], seed: int) -> None:
        """Trains the fields of those rows that are not stored, and computes these rows, several at a time.

        Raises:
            UserError: if one fails.
        """
        missing: dict[Path, StoredRow] = {}
        for name in names:
            parts = {part.folder: part for part in self.rendered(name, seed) if part.read() is None}
            if parts and (field := self.field(name)):
                self.images.trainer.train(field, seed)
            missing |= parts
        processes = 1 if torch.cuda.is_available() else RENDERING_PROCESSES
        compute_rows("rendered rows", list(missing.values()), self.images.trainer.output, processes)

    def baselines(self, seed: int) -> dict[str, dict[str, float]]:
        """Rows without a seed. A baseline that needs a field uses the field of `seed`."""
        return {}

    @property
    def truth(self) -> dict[str, float]:
        """See `ResultTable.truth`."""
        return {}

    def image_row(self, name: str) -> str | None:
        """Rendered row whose report and image strips belong to a row; None without any."""
        return None

    def source_values(self, truth: dict[str, float]) -> dict[str, float]:
        """Values of the source video, from those that an evaluation has of the truth."""
        return truth

    def empty(self, seed: int) -> ResultTable:
        """The table with its baselines alone."""
        columns = (*self.columns, Column(MINUTES))
        return ResultTable(self.title, self.protocol, columns, baselines=self.baselines(seed), truth=self.truth)

    @property
    def held_out(self) -> str:
        """The held-out end in words."""
        return f"held-out end of {len(self.audio.person.folder.held_out_frames)} frames"

    @property
    def speech_text(self) -> str:
        """Other speech in words."""
        if not self.audio.speech_files:
            return "no other speech"
        seconds = sum(len(inputs.audio) for inputs in self.audio.speech) / SAMPLE_RATE
        return f"{seconds:.0f} s of other speech"

    @property
    def fields(self) -> str:
        """Training of the fields in words."""
        return f"each field trained for {self.images.trainer.minutes:g} minutes"


class MotionTable(RowTable):
    """Prediction of the held-out end, and motion generated for other speech."""

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(map(Column, MOTION_COLUMNS))

    @property
    def protocol(self) -> str:
        return (
            f"D-Rot and D-Pos: {self.held_out}, two seconds after 16 frames of pose, all windows, percent of the "
            f"person's range. Other columns: motion for {self.speech_text}, three generations of each training. "
            f"{BLINKS}"
        )

    def audio_rows(self, name: str, seed: int) -> list[AudioRow]:
        return [AudioRow("motion", name, seed)]

    def values(self, name: str, seed: int) -> dict[str, float]:
        return self.audio.values(AudioRow("motion", name, seed))

    def baselines(self, seed: int) -> dict[str, dict[str, float]]:
        person = self.audio.person
        last_pose = prediction_scores(train_row(MOTION_ROWS, STILL, person, seed), person)
        return {LAST_POSE: last_pose, SECOND_HALF: source_motion_scores(person)}

    @property
    def truth(self) -> dict[str, float]:
        return own_motion_targets(self.audio.person)


class LipTable(RowTable):
    """Lips of the held-out end and in other speech, without a renderer."""

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(map(Column, LIP_COLUMNS))

    @property
    def protocol(self) -> str:
        expert = "other people" if self.audio.has_expert else "the person"
        return (
            f"Predicted landmarks, no renderer: {self.held_out}, and {self.speech_text}. Sync expert trained on "
            f"{expert}. {SHARED}"
        )

    def audio_rows(self, name: str, seed: int) -> list[AudioRow]:
        return [AudioRow("lips", name, seed)]

    def values(self, name: str, seed: int) -> dict[str, float]:
        return self.audio.values(AudioRow("lips", name, seed))

    def baselines(self, seed: int) -> dict[str, dict[str, float]]:
        return {SOURCE_VIDEO: true_lip_scores(self.audio.person, self.audio.encoders)}


class ImageTable(RowTable):
    """Rendered rows."""

    @property
    def columns(self) -> tuple[Column, ...]:
        return image_columns()

    @property
    def protocol(self) -> str:
        held_out = f"{self.held_out[0].upper()}{self.held_out[1:]}"
        return f"{held_out}, whole frame, true pose, lips from audio; {self.fields}; {self.speech_text}. {SHARED}"

    def audio_rows(self, name: str, seed: int) -> list[AudioRow]:
        return [AudioRow("lips", name, seed)] if name in LIP_IMAGE_ROWS else []

    def values(self, name: str, seed: int) -> dict[str, float]:
        return self.images.values(name, seed)

    def baselines(self, seed: int) -> dict[str, dict[str, float]]:
        return {MEAN_IMAGE: self.images.mean_image_values()}

    def rendered(self, name: str, seed: int) -> list[StoredRow]:
        return [self.images.stored(self.image_row(name), seed)]

    def field(self, name: str) -> str | None:
        return self.images.field_of(self.image_row(name))

    def image_row(self, name: str) -> str:
        return name
