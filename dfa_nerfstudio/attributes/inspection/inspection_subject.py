"""What a page of inspection is about: a person's models, and the frames that they are looked at on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import FILE_NAME, AttributeModels
from dfa_nerfstudio.attributes.recordings import LEAST_SECONDS, Recording
from dfa_nerfstudio.data.dataset_folder import ClipAttributes, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME


@dataclass
class Subject:
    """A dataset folder with its trained models."""

    path: Path
    models: AttributeModels
    clip: ClipAttributes
    num_train: int

    @classmethod
    def open(cls, path: Path) -> Subject:
        """Opens a dataset folder on which `dfa-attributes` has run.

        Raises:
            UserError: if the folder or its models are missing, damaged, or do not belong together.
        """
        folder = DatasetFolder.open(path)
        models = AttributeModels.load(path / FILE_NAME)
        subject = cls(path, models, folder.attributes, folder.num_train)
        check_coefficients(models, subject.clip, path)
        if subject.seconds(subject.training) < LEAST_SECONDS:
            raise UserError(f"{path}: the training part shows the face for less than {LEAST_SECONDS:.0f} s")
        return subject

    @property
    def training(self) -> slice:
        """The training part."""
        return slice(0, self.num_train)

    @property
    def held_out(self) -> slice:
        """What follows it; it may be empty."""
        return slice(self.num_train, len(self.clip))

    @property
    def is_held_out(self) -> bool:
        """Whether the held-out part is long enough to be looked at."""
        return self.seconds(self.held_out) >= LEAST_SECONDS

    @property
    def shown(self) -> slice:
        """The part that is looked at: the held-out one, or else that of training."""
        return self.held_out if self.is_held_out else self.training

    def seconds(self, part: slice) -> float:
        """For how long a part shows the face."""
        return len(self.rows(part)) / FRAME_RATE

    def rows(self, part: slice) -> Int[Tensor, " N"]:
        """The frames of a part that show the face."""
        return torch.from_numpy(self.clip.valid_frames(part.start, part.stop))

    @cached_property
    def landmarks(self) -> Float[Tensor, "T 68 3"]:
        """Of all frames, in head space."""
        return torch.from_numpy(self.clip.front_landmarks)

    @cached_property
    def recording(self) -> Recording:
        """All frames, the film's offset taken back from the sound."""
        return Recording.of(self.clip, slice(None), self.path.name).in_step(int(self.models.offset))

    def sound(self, part: slice) -> Float[Tensor, "N A"]:
        """f_a of a part as if it were a recording of its own."""
        return self.models.clip_audio(self.clip.mfcc[part.start * MFCC_PER_FRAME : part.stop * MFCC_PER_FRAME])


def check_coefficients(models: AttributeModels, clip: ClipAttributes, path: Path) -> None:
    """Refuses a clip whose sound the models cannot hear.

    Raises:
        UserError: for another number of MFCC than the models were trained on.
    """
    heard, given = models.sizes["num_coefficients"], clip.mfcc.shape[1]
    if heard != given:
        raise UserError(f"{path}: its sound has {given} MFCC, the models hear {heard}; run dfa-process on it again")


def open_others(models: AttributeModels, folders: list[Path]) -> tuple[list[Recording], list[str]]:
    """All frames of other people's dataset folders, and one line for each clip that is too short.

    Raises:
        UserError: if a folder cannot be read, or is silent throughout.
    """
    recordings, skipped = [], []
    for path in folders:
        clip = DatasetFolder.open(path).attributes
        check_coefficients(models, clip, path)
        recording = Recording.of(clip, slice(None), path.name, str(path))
        seconds = int(recording.useful.sum()) / FRAME_RATE
        if seconds < LEAST_SECONDS:
            skipped.append(f"{path} is left out: it shows the face for only {seconds:.1f} s")
        else:
            recordings.append(recording)
    return recordings, skipped
