"""Which of a data folder's pictures become which frames of the dataset folder.

A dataset folder has a frame every 1/25 s from the first to the last one. Where the data folder leaves frames out, as it
does where the face was lost, the frame's own picture is taken if it is there, else the one before stands in for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder

LEAST_LISTED = 0.5
"""Part of the frames from the first to the last one that must be listed in the transforms."""


@dataclass
class Layout:
    """T frames in their order."""

    start: int
    """The frame of the sound with which they begin."""
    num_train: int
    listed: Bool[np.ndarray, " T"]
    """Whether the transforms have the frame."""
    pictured: Bool[np.ndarray, " T"]
    """Whether its own picture is there."""
    numbers: Int[np.ndarray, " T"]
    """Of its picture, or of the one that stands in for it."""
    masked: Int[np.ndarray, " T"]
    """Of the picture whose masks it has: its own where it is listed, else those of the listed one before."""

    @classmethod
    def of(cls, folder: ADNeRFFolder) -> Layout:
        """Lays a folder's frames out.

        Raises:
            UserError: if more frames are left out than are there.
        """
        rows = folder.time_ids - folder.time_ids[0]
        count = int(rows[-1]) + 1
        if len(rows) < max(2, LEAST_LISTED * count):
            raise UserError(
                f"{folder.transforms[0]}: lists {len(rows)} of the {count} frames from the first to the last one; the "
                "numbers must be those of frames at 25 frames/s"
            )
        listed = np.zeros(count, bool)
        listed[rows] = True
        before = folder.image_ids[np.cumsum(listed) - 1]
        between = np.interp(np.arange(count), rows, folder.image_ids)  # whole where numbers are left out in step
        own = np.where(between == np.round(between), between, -1).astype(int)
        pictured = np.array([number in folder.pictures for number in own])
        return cls(
            start=int(folder.time_ids[0]),
            num_train=int(rows[folder.num_train]) if folder.num_train < len(rows) else count,
            listed=listed,
            pictured=pictured,
            numbers=np.where(pictured, own, before),
            masked=before,
        )

    def __len__(self) -> int:
        return len(self.listed)

    @property
    def rows(self) -> Int[np.ndarray, " N"]:
        """The frames that are listed."""
        return np.flatnonzero(self.listed)
