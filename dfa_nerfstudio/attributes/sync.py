"""Are sound and lips in step: agreement over time offsets."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.shots import stretches

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


def ridge_correlation(
    train: tuple[Float[Tensor, "N A"], Float[Tensor, "N K"]],
    test: tuple[Float[Tensor, "M A"], Float[Tensor, "M K"]],
    strength: float = 1e-1,
) -> tuple[float, float]:
    """How well a ridge regression fitted on `train` predicts the second from the first on `test`.

    Args:
        strength: of the ridge, relative to the inputs' mean variance.

    Returns:
        Correlation of predicted and true, and R2 (which also counts an offset between the two stretches), means over K.
    """
    mean, level = train[0].mean(0), train[1].mean(0)
    x, y = train[0] - mean, train[1] - level
    gram = x.T @ x
    ridge = strength * gram.diagonal().mean() * torch.eye(gram.shape[0]).to(x)
    predicted = (test[0] - mean) @ torch.linalg.solve(gram + ridge, x.T @ y)
    true = test[1] - level
    spread = (true - true.mean(0)).square().sum(0).clamp(min=1e-12)
    r2 = 1 - (true - predicted).square().sum(0) / spread
    centred = predicted - predicted.mean(0)
    norm = (centred.square().sum(0) * spread).sqrt().clamp(min=1e-12)
    correlation = (centred * (true - true.mean(0))).sum(0) / norm
    return float(correlation.mean()), float(r2.mean())
