"""Audio-visual sync: similarity of audio and mouth embeddings over time offsets."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.segments import shot_segments

MAX_OFFSET = 15
"""Largest offset that is searched, in frames in either direction."""
TOLERANCE = 1
"""Error of the best offset, in frames, up to which a window counts as in sync."""
GUARD_FRAMES = 5
"""Frames between a window and those that determine its recording's offset, so that their inputs do not overlap."""


def frame_curves(
    audio: Float[Tensor, "T A"], mouth: Float[Tensor, "T A"], max_offset: int = MAX_OFFSET
) -> Float[Tensor, "F O"]:
    """Computes the cosine of audio and mouth at every offset, for the F = T - 2 max_offset frames that have audio at
    all offsets.

    Only these frames are used, so that the ends of the recording favour no offset.

    Args:
        audio: L2-normalised embeddings of the audio.
        mouth: L2-normalised embeddings of the mouth.
        max_offset: largest offset in frames; column `max_offset + o` of the O = 2 max_offset + 1 compares a mouth with
            the audio `o` frames later.
    """
    inner = slice(max_offset, max(len(mouth) - max_offset, max_offset))
    return torch.stack([(mouth * audio.roll(-o, 0)).sum(-1)[inner] for o in range(-max_offset, max_offset + 1)], -1)


def window_curves(
    audio: Float[Tensor, "T A"], mouth: Float[Tensor, "T A"], *, window: int, max_offset: int = MAX_OFFSET
) -> Float[Tensor, "N O"]:
    """Computes the mean cosine of audio and mouth in each window of `window` frames (stride 1), at every offset.

    Returns:
        N windows by O offsets (see `frame_curves`); N = 0 for too few frames.
    """
    curves = frame_curves(audio, mouth, max_offset)
    return curves.unfold(0, window, 1).mean(-1) if len(curves) >= window else curves[:0]


def is_in_sync(curves: Float[Tensor, "N O"], true_offset: int | Int[Tensor, " N"] = 0) -> Float[Tensor, " N"]:
    """1 for each window whose best offset is the true one to within `TOLERANCE` frames, else 0."""
    best = curves.argmax(-1) - curves.shape[-1] // 2
    return ((best - true_offset).abs() <= TOLERANCE).float()


def leave_window_out_offsets(curves: Float[Tensor, "F O"], window: int) -> Int[Tensor, " N"]:
    """Computes the best offset of the frames outside each window (0 where there are none).

    Args:
        curves: similarity of all frames, by `frame_curves`.
        window: length of the windows in frames; their stride is 1.
    """
    count = len(curves) - window + 1
    total = torch.cat([curves[:0].new_zeros(1, curves.shape[1]), curves.cumsum(0)])
    starts = torch.arange(max(count, 0))
    first, last = (starts - GUARD_FRAMES).clamp(min=0), (starts + window + GUARD_FRAMES).clamp(max=len(curves))
    rest = total[-1] - (total[last] - total[first])  # [N, O]
    middle = curves.shape[1] // 2
    no_rest = (last - first) >= len(curves)
    return torch.where(no_rest, 0, rest.argmax(-1) - middle)


def sync_accuracy(
    audio: Float[Tensor, "T A"],
    mouth: Float[Tensor, "T A"],
    *,
    window: int,
    max_offset: int = MAX_OFFSET,
    shot: Int[Tensor, " T"] | None = None,
) -> float:
    """Computes the share of windows whose best offset lies within +-`TOLERANCE` frames; NaN where no window fits.

    Windows lie within one shot if `shot` is given (see `ClipAttributes.shot`). Chance level is
    (2 `TOLERANCE` + 1) / (2 max_offset + 1), about a tenth.
    """
    parts = [slice(None)] if shot is None else shot_segments(shot)
    curves = torch.cat([window_curves(audio[p], mouth[p], window=window, max_offset=max_offset) for p in parts])
    return float(is_in_sync(curves).mean())
