"""The person that an inspection page shows: dataset folder, attribute models and the inspected frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME, AttributeModels
from dfa_nerfstudio.attributes.recordings import MIN_SECONDS, Recording
from dfa_nerfstudio.data.dataset_folder import ClipAttributes, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME


@dataclass
class InspectionSubject:
    """A dataset folder with its trained attribute models."""

    path: Path
    models: AttributeModels
    clip: ClipAttributes
    num_train: int
    """Number of training frames, which come first."""

    @classmethod
    def open(cls, path: Path) -> InspectionSubject:
        """Opens a dataset folder on which `dfa-attributes` has run.

        Raises:
            UserError: if the folder or its models are missing or damaged, or do not belong together.
        """
        folder = DatasetFolder.open(path)
        models = AttributeModels.load(path / MODELS_FILE_NAME)
        subject = cls(path, models, folder.attributes, folder.num_train)
        check_num_coefficients(models, subject.clip, path)
        if subject.seconds(subject.training) < MIN_SECONDS:
            raise UserError(f"{path}: the training part shows the face for less than {MIN_SECONDS:.0f} s")
        return subject

    @property
    def training(self) -> slice:
        """The training part."""
        return slice(0, self.num_train)

    @property
    def held_out(self) -> slice:
        """The held-out part, which may be empty."""
        return slice(self.num_train, len(self.clip))

    @property
    def has_held_out(self) -> bool:
        """Whether the held-out part is long enough to be inspected."""
        return self.seconds(self.held_out) >= MIN_SECONDS

    @property
    def inspected(self) -> slice:
        """The inspected part: the held-out one or, if it is too short, the training part."""
        return self.held_out if self.has_held_out else self.training

    def seconds(self, part: slice) -> float:
        """Seconds for which a part shows the face."""
        return len(self.valid_indices(part)) / FRAME_RATE

    def valid_indices(self, part: slice) -> Int[Tensor, " N"]:
        """Indices of the frames of a part that show the face."""
        return torch.from_numpy(self.clip.valid_indices(part.start, part.stop))

    @cached_property
    def landmarks(self) -> Float[Tensor, "T 68 3"]:
        """Landmarks of all frames in head space."""
        return torch.from_numpy(self.clip.front_landmarks)

    @cached_property
    def recording(self) -> Recording:
        """All frames, with the audio corrected for its delay."""
        return Recording.from_clip(self.clip, slice(None), self.path.name).shift_audio(int(self.models.offset))

    def audio_features(self, part: slice) -> Float[Tensor, "N A"]:
        """f_a of a part, computed from the audio of that part alone."""
        return self.models.clip_audio(self.clip.mfcc[part.start * MFCC_PER_FRAME : part.stop * MFCC_PER_FRAME])


def check_num_coefficients(models: AttributeModels, clip: ClipAttributes, path: Path) -> None:
    """Checks that a clip has the MFCC that the models were trained on.

    Raises:
        UserError: if the number of MFCC differs.
    """
    expected, given = models.sizes["num_coefficients"], clip.mfcc.shape[1]
    if expected != given:
        raise UserError(f"{path}: has {given} MFCC, but the models expect {expected}; run dfa-process on it again")


def open_reference_clips(models: AttributeModels, folders: list[Path]) -> tuple[list[Recording], list[str]]:
    """Reads all frames of other people's dataset folders; returns a note for each clip that is too short.

    Raises:
        UserError: if a folder cannot be read, or its audio is silent throughout.
    """
    recordings, notes = [], []
    for path in folders:
        clip = DatasetFolder.open(path).attributes
        check_num_coefficients(models, clip, path)
        recording = Recording.from_clip(clip, slice(None), path.name, str(path))
        seconds = int(recording.valid_frames.sum()) / FRAME_RATE
        if seconds < MIN_SECONDS:
            notes.append(f"{path} is left out: it shows the face for only {seconds:.1f} s")
        else:
            recordings.append(recording)
    return recordings, notes
