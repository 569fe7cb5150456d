"""Other audio features in the place of f_a (the paper's Table 5): raw MFCC, or what the user brings in a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME

MFCC_ROWS = 16
"""Rows of MFCC around a frame, 160 ms."""
COEFFICIENTS = 13
"""Without their deltas."""
MFCC_KIND = FeatureKind("mfcc", 1, f"{MFCC_ROWS}x{COEFFICIENTS}")
FILE_FEATURE, FILE_VERSION = "file", 1
MOST_LACKING = 5
"""Frames by which a file may be shorter or longer than the film: extractors round their windows differently."""


def mfcc_features(
    mfcc: Float32[np.ndarray, "T*4 D"], statistics: MfccStatistics | None = None
) -> Float[Tensor, "T 16*13"]:
    """The normalised static MFCC around the start of each frame; the recording's ends are repeated.

    Args:
        mfcc: four rows a frame, statics first.
        statistics: of the recording that they are a part of; None measures `mfcc` itself.
    """
    rows = torch.from_numpy((statistics or MfccStatistics.of(mfcc)).normalise(mfcc)[:, :COEFFICIENTS])
    half = MFCC_ROWS // 2
    padded = torch.cat([rows[:1].expand(half, -1), rows, rows[-1:].expand(half, -1)])
    return padded.unfold(0, MFCC_ROWS, MFCC_PER_FRAME)[: len(mfcc) // MFCC_PER_FRAME].transpose(1, 2).flatten(1)


def file_features(path: Path, frames: int) -> tuple[Float[Tensor, "T A"], FeatureKind]:
    """A feature for each frame from a file, such as the AD-NeRF family's DeepSpeech, wav2vec or HuBERT features.

    Args:
        path: `.npy` [N, ...] with one row for each frame at 25 frames/s; the rest is flattened.
        frames: T; a file up to `MOST_LACKING` rows shorter is filled up with its last row, a longer one cut.

    Raises:
        UserError: if it is missing, no such array, holds numbers that are not finite, or is of another length.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError):
        raise UserError(f"{path}: not a readable .npy file; save the features with numpy.save") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu" or values.ndim < 1 or not values.size:
        raise UserError(f"{path}: holds no array of numbers; a row for each frame is needed")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0])
        raise UserError(f"{path}: row {row} holds numbers that are not finite; make the features again")
    if abs(len(values) - frames) > MOST_LACKING:
        rate = FRAME_RATE * len(values) / frames
        raise UserError(
            f"{path}: {len(values)} rows for {frames} frames ({rate:.1f} a second, if it is the same sound); one row a "
            f"frame is needed, {FRAME_RATE:.0f} a second"
        )
    rows = torch.from_numpy(values.reshape(len(values), -1).astype(np.float32))
    rows = torch.cat([rows, rows[-1:].expand(MOST_LACKING, -1)])[:frames]
    return rows, FeatureKind(FILE_FEATURE, FILE_VERSION, "x".join(map(str, values.shape[1:])) or "1")


def with_audio_features(
    track: AttributeTrack,
    features: Path | str,
    mfcc: Float32[np.ndarray, "T*4 D"],
    statistics: MfccStatistics | None = None,
) -> AttributeTrack:
    """A track with another feature in f_a's place.

    Args:
        track: T frames.
        features: `mfcc`, or the path of a file.
        mfcc: of the track's sound.
        statistics: see `mfcc_features`.

    Raises:
        UserError: for a file that is of no use.
    """
    if str(features) == "mfcc":
        return replace(track, audio=mfcc_features(mfcc, statistics), audio_kind=MFCC_KIND)
    audio, kind = file_features(Path(features), len(track))
    return replace(track, audio=audio, audio_kind=kind)
