"""Maps a data folder's images to the frames of the dataset folder.

A dataset folder has a frame every 1/25 s from the first to the last one. For frames that the data folder's transforms
leave out, where the face was lost, the frame's own image is used if it exists, otherwise the image before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder

MIN_LISTED_SHARE = 0.5
"""Minimum share of the frames between the first and the last one that the transforms must list."""


@dataclass
class FrameMapping:
    """The images and masks of T consecutive frames."""

    start: int
    """Frame of the audio at which the first frame lies."""
    num_train: int
    """Number of training frames, which come first."""
    listed: Bool[np.ndarray, " T"]
    """Whether the transforms list the frame."""
    has_image: Bool[np.ndarray, " T"]
    """Whether the frame's own image exists."""
    image_numbers: Int[np.ndarray, " T"]
    """Number of the frame's image, or of the image that replaces it."""
    mask_numbers: Int[np.ndarray, " T"]
    """Number of the image whose masks the frame uses: its own if the frame is listed, otherwise that of the last listed
    frame before it."""

    @classmethod
    def from_folder(cls, folder: ADNeRFFolder) -> FrameMapping:
        """Computes the mapping of a data folder.

        Raises:
            UserError: if the transforms list fewer than half of the frames.
        """
        rows = folder.time_ids - folder.time_ids[0]
        count = int(rows[-1]) + 1
        if len(rows) < max(2, MIN_LISTED_SHARE * count):
            raise UserError(
                f"{folder.transforms[0]}: lists only {len(rows)} of the {count} frames from the first to the last one; "
                f"aud_id must be the number of the frame at {FRAME_RATE:.0f} frames/s"
            )
        listed = np.zeros(count, bool)
        listed[rows] = True
        before = folder.image_ids[np.cumsum(listed) - 1]
        interpolated = np.interp(np.arange(count), rows, folder.image_ids)  # an integer if both numberings skip alike
        own = np.where(interpolated == np.round(interpolated), interpolated, -1).astype(int)
        has_image = np.array([number in folder.images for number in own])
        return cls(
            start=int(folder.time_ids[0]),
            num_train=int(rows[folder.num_train]) if folder.num_train < len(rows) else count,
            listed=listed,
            has_image=has_image,
            image_numbers=np.where(has_image, own, before),
            mask_numbers=before,
        )

    def __len__(self) -> int:
        return len(self.listed)

    @property
    def rows(self) -> Int[np.ndarray, " N"]:
        """Indices of the listed frames."""
        return np.flatnonzero(self.listed)
