"""What the sound of shut lips is, to one person's field."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LEAST = 10
"""Silent frames without which a film is taken to have no silence."""
SHARE = 0.2
"""Of the frames in question, so many are taken."""


def closed_mouth(
    audio: Float[Tensor, "N A"], opening: Float[Tensor, " N"], silent: Bool[Tensor, " N"]
) -> Float[Tensor, " A"]:
    """The audio feature with which the field shuts the mouth.

    People pause with lips apart, and lips are shut while they speak. What the field learns of a sound is the mean of
    the lips it was seen with. So mouth opening is read linearly from the features, and of the silent frames those are
    taken that sound most shut.

    Args:
        audio: what the field hears in the training frames.
        opening: of the mouth.
        silent: frames in and around which nobody speaks; if there are hardly any, all frames are looked at.
    """
    ones = torch.ones_like(audio[:, :1])
    inputs = torch.cat([audio, ones], 1).double()
    ridge = 1e-3 * inputs.square().sum(0).mean() * torch.eye(inputs.shape[1], dtype=inputs.dtype)
    reading = inputs @ torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ opening.double())
    asked = torch.nonzero(silent).flatten() if silent.sum() >= LEAST else torch.arange(len(audio))
    chosen = audio[asked[reading[asked].argsort()[: max(1, round(SHARE * len(asked)))]]]
    mean = chosen.mean(0)
    return mean * chosen.norm(dim=-1).mean() / mean.norm().clamp(min=1e-9)  # as long as they are
