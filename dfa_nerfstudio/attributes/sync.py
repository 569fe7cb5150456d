"""Are sound and lips in step: agreement over time offsets."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.shots import stretches


def offset_curves(
    audio: Float[Tensor, "T A"], mouth: Float[Tensor, "T A"], *, window: int, max_offset: int = 15
) -> Float[Tensor, "N O"]:
    """Mean cosine of sound and mouth in each window of `window` frames (stride 1), for every offset.

    Only windows for which sound exists at every offset are taken, so that the ends favour none.

    Args:
        audio: L2-normalised embeddings of the sound.
        mouth: L2-normalised embeddings of the mouth.
        window: in frames.
        max_offset: in frames; the column `max_offset + o` compares a mouth with the sound `o` frames later.

    Returns:
        N windows by O = 2 max_offset + 1; no window where the stretch is too short.
    """
    offsets = range(-max_offset, max_offset + 1)
    inner = slice(max_offset, len(mouth) - max_offset)
    if len(mouth) - 2 * max_offset < window:
        return torch.zeros(0, len(offsets))
    cosine = torch.stack([(mouth * audio.roll(-o, 0)).sum(-1)[inner] for o in offsets], -1)  # [T - 2 max_offset, O]
    return cosine.unfold(0, window, 1).mean(-1)


def sync_accuracy(
    audio: Float[Tensor, "T A"],
    mouth: Float[Tensor, "T A"],
    *,
    window: int,
    max_offset: int = 15,
    tolerance: int = 1,
    shot: Int[Tensor, " T"] | None = None,
) -> float:
    """Share of windows whose best offset lies within +-`tolerance` frames; NaN where no window fits.

    A window lies within one shot, where `shot` is given (see `ClipAttributes.shot`).

    Chance is (2 tolerance + 1) / (2 max_offset + 1), about a tenth.
    """
    parts = [slice(None)] if shot is None else stretches(shot)
    curves = torch.cat([offset_curves(audio[p], mouth[p], window=window, max_offset=max_offset) for p in parts])
    best = curves.argmax(-1) - max_offset
    return float((best.abs() <= tolerance).float().mean())


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
