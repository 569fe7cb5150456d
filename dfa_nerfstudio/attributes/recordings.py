"""Training data of the attribute models: faces without identity, head motion and audio of recordings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from dfa_nerfstudio.data.audio_features import audio_feature_from_option, clip_audio_feature
from dfa_nerfstudio.data.dataset_folder import ClipAttributes, DatasetFolder, find_dataset_folders
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.topology import LANDMARKS_68
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME

MIN_SECONDS = 2.0
"""Length of the shortest clip that is used in a corpus."""
PER_FRAME_FIELDS = ("expression", "eye_opening", "mouth_opening", "pose", "torso", "shot", "speech", "voice")
"""Fields of `Recording` with one row per frame."""
PADDING_ROWS = 64
"""MFCC rows by which each recording is extended at both ends when recordings are concatenated."""


def neutral_face(clip: ClipAttributes) -> Float[Tensor, "68 3"]:
    """The person's face without expression in head space: S-bar + B_id F_id of Eq. 1 at the 68 landmarks."""
    face = torch.from_numpy(clip.mean_shape + clip.identity_basis @ clip.identity)
    return face if len(face) == len(LANDMARKS_68) else face[torch.from_numpy(LANDMARKS_68)]


def voiced_frames(voice: Bool[np.ndarray, " T*4"]) -> Bool[Tensor, " T"]:
    """Whether someone speaks in each frame, from rows of 10 ms."""
    return torch.from_numpy(voice).view(-1, MFCC_PER_FRAME).float().mean(1) >= 0.5


@dataclass
class Recording:
    """T frames of one clip, usually its training frames."""

    name: str
    """Unique name, e.g. the path of the dataset folder."""
    group: str
    """Name of the group. Recordings of one group may show one person and are held out together."""
    expression: Float[Tensor, "T 68 3"]
    """Landmarks in head space minus the person's `neutral_face`: B_exp F_exp of Eq. 1 and its residual."""
    neutral: Float[Tensor, "68 3"]
    """The person's face without expression in head space."""
    eye_opening: Float[Tensor, "T 2"]
    """Opening of each eye, 0 closed to 1 open."""
    mouth_opening: Float[Tensor, " T"]
    """Distance of the lips, in distances of the outer eye corners."""
    pose: Float[Tensor, "T 4 4"]
    """Head-to-camera transform."""
    torso: Float[Tensor, "T 4"]
    """Torso motion."""
    mfcc: Float[Tensor, "T*4 D"]
    """MFCC, normalised by the recording's own statistics."""
    shot: Int[Tensor, " T"]
    """Shot number as in `ClipAttributes.shot`; -1 for frames that are not valid."""
    voice: Bool[Tensor, " T"]
    """Whether someone speaks in each frame."""
    speech: Float[Tensor, "T F"]
    """Speech features, from which the lip model predicts; F = 0 where they are not needed."""

    def __len__(self) -> int:
        return len(self.shot)

    @property
    def valid_frames(self) -> Bool[Tensor, " T"]:
        """Whether each frame shows the face."""
        return self.shot >= 0

    def part(self, frames: slice) -> Recording:
        """The frames of a slice."""
        start, stop, _ = frames.indices(len(self))
        fields = {name: getattr(self, name)[start:stop] for name in PER_FRAME_FIELDS}
        return replace(self, **fields, mfcc=self.mfcc[start * MFCC_PER_FRAME : stop * MFCC_PER_FRAME])

    def shift_audio(self, offset: int) -> Recording:
        """A copy with audio that is `offset` MFCC rows earlier, which corrects a delay of as many rows.

        Speech features and voice are shifted by whole frames.
        """
        rows = torch.from_numpy(shifted_rows(len(self.mfcc), offset))
        frames = torch.from_numpy(shifted_rows(len(self), round(offset / MFCC_PER_FRAME)))
        return replace(self, mfcc=self.mfcc[rows], speech=self.speech[frames], voice=self.voice[frames])

    @classmethod
    def from_clip(
        cls,
        clip: ClipAttributes,
        frames: slice,
        name: str = "the clip",
        group: str = "",
        speech: Float[Tensor, "T F"] | None = None,
    ) -> Recording:
        """Takes a slice of a clip; other frames are never read.

        Args:
            clip: the measured attributes.
            frames: the frames to take.
            name: see `Recording.name`.
            group: see `Recording.group`; by default the name.
            speech: speech features of all frames of the clip.

        Raises:
            UserError: if the audio is silent throughout.
        """
        start, stop, _ = frames.indices(len(clip))
        mfcc = clip.mfcc[start * MFCC_PER_FRAME : stop * MFCC_PER_FRAME]
        neutral = neutral_face(clip)
        return cls(
            name=name,
            group=group or name,
            expression=torch.from_numpy(clip.front_landmarks[start:stop]) - neutral,
            neutral=neutral,
            eye_opening=torch.from_numpy(clip.eye_opening[start:stop]),
            mouth_opening=torch.from_numpy(clip.mouth_opening[start:stop]),
            pose=torch.from_numpy(clip.head_to_camera[start:stop]),
            torso=torch.from_numpy(clip.torso_motion[start:stop]),
            mfcc=torch.from_numpy(MfccStatistics.from_mfcc(mfcc, name).normalise(mfcc)),
            shot=torch.from_numpy(clip.shot[start:stop]).long(),
            voice=voiced_frames(clip.voice)[start:stop],
            speech=torch.zeros(stop - start, 0) if speech is None else speech[start:stop],
        )


def shifted_rows(count: int, offset: int) -> Int64[np.ndarray, " R"]:
    """Indices that move `count` MFCC rows `offset` rows earlier; the first or last row is repeated at the end."""
    return (np.arange(count) + offset).clip(0, count - 1)


def sampling_weights(recordings: list[Recording]) -> dict[str, float]:
    """Relative sampling probability of the frames of each recording.

    The total weight of a group is the square root of its length, so that a person with many frames does not dominate
    the others.
    """
    length: dict[str, int] = {}
    for recording in recordings:
        length[recording.group] = length.get(recording.group, 0) + int(recording.valid_frames.sum())
    return {recording.name: max(length[recording.group], 1) ** -0.5 for recording in recordings}


def read_recordings(folders: list[Path], speech: str | None = None) -> tuple[list[Recording], list[str]]:
    """Reads the training frames of dataset folders.

    Args:
        folders: dataset folders, or folders of them, at any depth. A dataset folder that is listed itself, or lies
            directly in a listed folder, is a group of its own; those that lie deeper form one group with their
            neighbours.
        speech: name of the audio feature that is read as `Recording.speech`; none by default.

    Returns:
        The recordings, and one line for each folder that cannot be used.

    Raises:
        UserError: if a folder contains no dataset folder.
    """
    recordings, skipped = [], []
    feature = None if speech is None else audio_feature_from_option(speech)  # once: it may load a model
    for root in folders:
        found = find_dataset_folders(root) if root.is_dir() else []
        if not found:
            raise UserError(f"{root}: contains no dataset folder; make one with: dfa-process VIDEO --output {root}")
        for path in found:
            group = str(root / path.relative_to(root).parts[0]) if path != root else str(root)
            try:
                folder = DatasetFolder.open(path)
                rows = None if feature is None else clip_audio_feature(folder, feature)
                recording = Recording.from_clip(folder.attributes, slice(folder.num_train), str(path), group, rows)
                seconds = int(recording.valid_frames.sum()) / FRAME_RATE
                if seconds < MIN_SECONDS:
                    raise UserError(f"{path}: only {seconds:.1f} s show the face; {MIN_SECONDS:.0f} s are needed")
                recordings.append(recording)
            except UserError as error:
                skipped.append(str(error))
    return recordings, skipped


def concatenated_shots(recordings: list[Recording]) -> list[Int[Tensor, " T"]]:
    """Shot numbers of each recording, counted on from those of the previous recordings; -1 is kept."""
    shots, before = [], 0
    for recording in recordings:
        shots.append(torch.where(recording.valid_frames, recording.shot + before, -1))
        before = int(max(before, shots[-1].max() + 1))
    return shots


@dataclass
class AudioVisualSequence:
    """Recordings concatenated to T frames: the training data of E_a."""

    mfcc: Float[Tensor, "R D"]
    """MFCC rows of each recording, extended at both ends by `PADDING_ROWS` copies of its first and last row."""
    row: Int[Tensor, " T"]
    """Row of `mfcc` at which each frame begins, corrected for the recording's offset."""
    lips: Float[Tensor, "T M"]
    """Standardised f_m."""
    shot: Int[Tensor, " T"]
    """Shot number; the frames of one shot are consecutive. -1 where the face is lost."""
    weight: Float[Tensor, " T"]
    """Relative sampling probability; see `sampling_weights`."""

    @classmethod
    def from_recordings(
        cls, recordings: list[Recording], lips: list[Float[Tensor, "T M"]], offsets: dict[str, int] | None = None
    ) -> AudioVisualSequence:
        """Concatenates recordings.

        Args:
            recordings: one or more recordings.
            lips: f_m of each recording.
            offsets: audio delay in MFCC rows (10 ms) by name of the recording; 0 for names that are missing.
        """
        offsets, weight = offsets or {}, sampling_weights(recordings)
        padded, rows, weights, before = [], [], [], 0
        for recording in recordings:
            mfcc = recording.mfcc
            padded.append(torch.cat([mfcc[:1].expand(PADDING_ROWS, -1), mfcc, mfcc[-1:].expand(PADDING_ROWS, -1)]))
            offset = offsets.get(recording.name, 0)
            row = (torch.arange(len(recording)) * MFCC_PER_FRAME + offset).clamp(0, len(mfcc) - 1)
            rows.append(row + before + PADDING_ROWS)
            before += len(padded[-1])
            weights.append(torch.full((len(recording),), weight[recording.name]))
        shot = torch.cat(concatenated_shots(recordings))
        return cls(torch.cat(padded), torch.cat(rows), torch.cat(lips), shot, torch.cat(weights))
