"""Are sound and lips in step: agreement over time offsets."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.segments import stretches

MAX_OFFSET = 15
"""Frames within which the best offset is looked for."""
TOLERANCE = 1
"""Frames by which the best offset may be off."""
APART = 5
"""Frames between a window and those that tell its recording's offset: their lips and sound do not overlap."""


def frame_curves(
    audio: Float[Tensor, "T A"], mouth: Float[Tensor, "T A"], max_offset: int = MAX_OFFSET
) -> Float[Tensor, "F O"]:
    """Cosine of sound and mouth for every offset, in the F = T - 2 max_offset frames that have sound at all of them.

    So the ends favour no offset.

    Args:
        audio: L2-normalised embeddings of the sound.
        mouth: L2-normalised embeddings of the mouth.
        max_offset: in frames; column `max_offset + o` of the O = 2 max_offset + 1 compares a mouth with the sound `o`
            frames later.
    """
    inner = slice(max_offset, max(len(mouth) - max_offset, max_offset))
    return torch.stack([(mouth * audio.roll(-o, 0)).sum(-1)[inner] for o in range(-max_offset, max_offset + 1)], -1)


def offset_curves(
    audio: Float[Tensor, "T A"], mouth: Float[Tensor, "T A"], *, window: int, max_offset: int = MAX_OFFSET
) -> Float[Tensor, "N O"]:
    """Mean cosine of sound and mouth in each window of `window` frames (stride 1), for every offset.

    Returns:
        N windows by O offsets (see `frame_curves`); no window where the stretch is too short.
    """
    curves = frame_curves(audio, mouth, max_offset)
    return curves.unfold(0, window, 1).mean(-1) if len(curves) >= window else curves[:0]


def in_sync(curves: Float[Tensor, "N O"], true: int | Int[Tensor, " N"] = 0) -> Float[Tensor, " N"]:
    """1 for each window whose best offset is the true one, to within `TOLERANCE` frames, else 0."""
    best = curves.argmax(-1) - curves.shape[-1] // 2
    return ((best - true).abs() <= TOLERANCE).float()


def offsets_by_the_rest(curves: Float[Tensor, "F O"], window: int) -> Int[Tensor, " N"]:
    """The recording's offset as the frames outside each window tell it (0 where there are none).

    Args:
        curves: of all frames, by `frame_curves`.
        window: in frames, stride 1.
    """
    count = len(curves) - window + 1
    total = torch.cat([curves[:0].new_zeros(1, curves.shape[1]), curves.cumsum(0)])
    starts = torch.arange(max(count, 0))
    first, last = (starts - APART).clamp(min=0), (starts + window + APART).clamp(max=len(curves))
    rest = total[-1] - (total[last] - total[first])  # [N, O]
    middle = curves.shape[1] // 2
    alone = (last - first) >= len(curves)
    return torch.where(alone, 0, rest.argmax(-1) - middle)


def sync_accuracy(
    audio: Float[Tensor, "T A"],
    mouth: Float[Tensor, "T A"],
    *,
    window: int,
    max_offset: int = MAX_OFFSET,
    shot: Int[Tensor, " T"] | None = None,
) -> float:
    """Share of windows whose best offset lies within +-`TOLERANCE` frames; NaN where no window fits.

    A window lies within one shot, where `shot` is given (see `ClipAttributes.shot`).

    Chance is (2 tolerance + 1) / (2 max_offset + 1), about a tenth.
    """
    parts = [slice(None)] if shot is None else stretches(shot)
    curves = torch.cat([offset_curves(audio[p], mouth[p], window=window, max_offset=max_offset) for p in parts])
    return float(in_sync(curves).mean())
