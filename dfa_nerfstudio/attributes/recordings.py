"""What the models learn from: faces without identity, how the head moves, and the sound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from dfa_nerfstudio.data.dataset_folder import TRANSFORMS, ClipAttributes, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.topology import LANDMARKS_68
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME

LEAST_SECONDS = 2.0
"""A shorter clip is left out of a corpus."""
OF_FRAMES = ("expression", "eye_opening", "mouth_opening", "pose", "torso", "shot")
"""What a recording holds of each frame."""
MARGIN = 64
"""Rows by which each recording's sound is extended at both ends when recordings are laid end to end."""


def neutral_face(clip: ClipAttributes) -> Float[Tensor, "68 3"]:
    """The person without expression in head space: S-bar + B_id F_id of Eq. 1 at the 68 landmarks."""
    face = torch.from_numpy(clip.mean_shape + clip.identity_basis @ clip.identity)
    return face if len(face) == len(LANDMARKS_68) else face[torch.from_numpy(LANDMARKS_68)]


@dataclass
class Recording:
    """The training frames of one clip, T of them."""

    name: str
    group: str
    """Recordings of one group may show one person: they are held out together."""
    expression: Float[Tensor, "T 68 3"]
    """Landmarks in head space less the person's `neutral_face`: B_exp F_exp of Eq. 1 and what it leaves over."""
    neutral: Float[Tensor, "68 3"]
    eye_opening: Float[Tensor, "T 2"]
    mouth_opening: Float[Tensor, " T"]
    pose: Float[Tensor, "T 4 4"]
    """Head to camera."""
    torso: Float[Tensor, "T 4"]
    """Torso motion."""
    mfcc: Float[Tensor, "T*4 D"]
    """Normalised by the recording's own statistics."""
    shot: Int[Tensor, " T"]
    """As `ClipAttributes.shot`; -1 for frames of no use."""

    def __len__(self) -> int:
        return len(self.shot)

    @property
    def useful(self) -> Bool[Tensor, " T"]:
        """Frames that show the face."""
        return self.shot >= 0

    def part(self, frames: slice) -> Recording:
        """A stretch of it."""
        start, stop, _ = frames.indices(len(self))
        cut = {name: getattr(self, name)[start:stop] for name in OF_FRAMES}
        return replace(self, **cut, mfcc=self.mfcc[start * MFCC_PER_FRAME : stop * MFCC_PER_FRAME])

    def in_step(self, late: int) -> Recording:
        """The same with its sound, which comes `late` rows late, taken back by as many."""
        return replace(self, mfcc=self.mfcc[torch.from_numpy(rows_in_step(len(self.mfcc), late))])

    @classmethod
    def of(cls, clip: ClipAttributes, frames: slice, name: str = "the clip", group: str = "") -> Recording:
        """A stretch of a clip; of other frames nothing is read.

        Raises:
            UserError: for silence throughout.
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
            mfcc=torch.from_numpy(MfccStatistics.of(mfcc, name).normalise(mfcc)),
            shot=torch.from_numpy(clip.shot[start:stop]).long(),
        )


def rows_in_step(count: int, late: int) -> Int64[np.ndarray, " R"]:
    """Which of `count` rows of sound that comes `late` rows late belongs where; the ends are repeated."""
    return (np.arange(count) + late).clip(0, count - 1)


def frame_weights(recordings: list[Recording]) -> dict[str, float]:
    """How often a frame of each recording is drawn: a group counts by the square root of its length, so that the many
    frames of one person do not drown those of others."""
    length: dict[str, int] = {}
    for recording in recordings:
        length[recording.group] = length.get(recording.group, 0) + int(recording.useful.sum())
    return {recording.name: max(length[recording.group], 1) ** -0.5 for recording in recordings}


def read_recordings(folders: list[Path]) -> tuple[list[Recording], list[str]]:
    """The training parts of dataset folders.

    Args:
        folders: dataset folders, or folders of them, at any depth. A dataset folder that is named itself, or lies right
            in a named folder, is a group of its own; those that lie deeper form one group with their neighbours.

    Returns:
        The recordings, and one line for each folder that is of no use.

    Raises:
        UserError: if a folder holds no dataset.
    """
    recordings, skipped = [], []
    for root in folders:
        found = sorted(path.parent for path in root.rglob(TRANSFORMS)) if root.is_dir() else []
        if not found:
            raise UserError(f"{root}: holds no dataset folder; make one with: dfa-process VIDEO --output {root}")
        for path in found:
            group = str(root / path.relative_to(root).parts[0]) if path != root else str(root)
            try:
                folder = DatasetFolder.open(path)
                recording = Recording.of(folder.attributes, slice(folder.num_train), str(path), group)
                seconds = int(recording.useful.sum()) / 25
                if seconds < LEAST_SECONDS:
                    raise UserError(f"{path}: only {seconds:.1f} s that show the face; {LEAST_SECONDS:.0f} are needed")
                recordings.append(recording)
            except UserError as error:
                skipped.append(str(error))
    return recordings, skipped


def shots_in_a_row(recordings: list[Recording]) -> list[Int[Tensor, " T"]]:
    """The shots of each recording, numbered on from those of the recordings before; -1 stays."""
    shots, before = [], 0
    for recording in recordings:
        shots.append(torch.where(recording.useful, recording.shot + before, -1))
        before = int(max(before, shots[-1].max() + 1))
    return shots


@dataclass
class SoundAndLips:
    """Recordings laid end to end, T frames in all: what E_a is trained on."""

    mfcc: Float[Tensor, "R D"]
    """Each recording's rows with `MARGIN` more at both ends, which repeat its first and its last one."""
    row: Int[Tensor, " T"]
    """The row of `mfcc` at which each frame begins, the recording's offset taken back."""
    lips: Float[Tensor, "T M"]
    """f_m, standardised."""
    shot: Int[Tensor, " T"]
    """Frames of one number follow each other; -1 where the face is lost."""
    weight: Float[Tensor, " T"]
    """How often a frame is drawn: see `frame_weights`."""

    @classmethod
    def of(
        cls, recordings: list[Recording], lips: list[Float[Tensor, "T M"]], offsets: dict[str, int] | None = None
    ) -> SoundAndLips:
        """Lays recordings end to end.

        Args:
            recordings: any number.
            lips: f_m of each.
            offsets: by how many rows (10 ms) the sound of a recording comes late; 0 for those it does not name.
        """
        offsets, drawn = offsets or {}, frame_weights(recordings)
        sounds, rows, weights, before = [], [], [], 0
        for recording in recordings:
            mfcc = recording.mfcc
            sounds.append(torch.cat([mfcc[:1].expand(MARGIN, -1), mfcc, mfcc[-1:].expand(MARGIN, -1)]))
            late = offsets.get(recording.name, 0)
            row = (torch.arange(len(recording)) * MFCC_PER_FRAME + late).clamp(0, len(mfcc) - 1)
            rows.append(row + before + MARGIN)
            before += len(sounds[-1])
            weights.append(torch.full((len(recording),), drawn[recording.name]))
        shot = torch.cat(shots_in_a_row(recordings))
        return cls(torch.cat(sounds), torch.cat(rows), torch.cat(lips), shot, torch.cat(weights))
