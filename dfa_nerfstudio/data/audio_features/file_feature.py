"""Audio features that another program computed, from a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.data.audio_features.registry import AudioSource, register_audio_feature
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.npz import MAX_MAGNITUDE, load_npy
from dfa_nerfstudio.media.rates import FRAME_RATE

MAX_MISSING_ROWS = 5
"""Number of frames by which a feature file may be shorter or longer than the video: extractors round their windows
differently."""


@register_audio_feature
class FileFeature:
    """A row for each frame from a file, such as the AD-NeRF family's DeepSpeech, wav2vec or HuBERT features."""

    NAME: ClassVar[str] = "file"
    NEEDS_FILE: ClassVar[bool] = True

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: `.npy` [N, ...] with one row for each frame at 25 frames/s; further dimensions are flattened.

        Raises:
            UserError: if it is missing, no such array, or holds numbers that are not finite.
        """
        self.path = path
        values = _read_array(path)
        self.rows = torch.from_numpy(values.reshape(len(values), -1).astype(np.float32))
        self.kind = FeatureKind(self.NAME, 1, "x".join(map(str, values.shape[1:])) or "1")

    def stream(self, source: AudioSource) -> Iterator[Float[Tensor, "1 A"]]:
        """The rows; a file up to `MAX_MISSING_ROWS` rows too short is padded with its last row, a longer one is cut.

        Raises:
            UserError: if the file is of another length than the audio.
        """
        num_frames = len(self.rows) if source.num_frames is None else source.num_frames
        if abs(len(self.rows) - num_frames) > MAX_MISSING_ROWS:
            rate = FRAME_RATE * len(self.rows) / num_frames
            raise UserError(
                f"{self.path}: {len(self.rows)} rows for {num_frames} frames ({rate:.1f} a second, if it is the same "
                f"audio); one row a frame is needed, {FRAME_RATE:.0f} a second"
            )
        padded = torch.cat([self.rows, self.rows[-1:].expand(MAX_MISSING_ROWS, -1)])
        yield from padded[:num_frames].split(1)


def _read_array(path: Path) -> np.ndarray:
    values = load_npy(path)
    if values.dtype.kind not in "fiu" or values.ndim < 1 or not values.size:
        raise UserError(f"{path}: holds no array of numbers; a row for each frame is needed")
    valid = ((values >= -MAX_MAGNITUDE) & (values <= MAX_MAGNITUDE)).reshape(len(values), -1).all(1)
    if not valid.all():
        raise UserError(
            f"{path}: row {valid.argmin()} holds numbers that are not finite, or above {MAX_MAGNITUDE:.0f}; make the "
            "features again"
        )
    return values
