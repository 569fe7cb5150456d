"""What a sound says of the mouth's opening, and what the sound of shut lips is, to one person's field."""

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
    reading = read_opening(audio, mouth_reading(audio, opening))
    asked = torch.nonzero(silent).flatten() if silent.sum() >= LEAST else torch.arange(len(audio))
    chosen = audio[asked[reading[asked].argsort()[: max(1, round(SHARE * len(asked)))]]]
    mean = chosen.mean(0)
    return mean * chosen.norm(dim=-1).mean() / mean.norm().clamp(min=1e-9)  # as long as they are


def mouth_reading(audio: Float[Tensor, "N A"], opening: Float[Tensor, " N"]) -> Float[Tensor, " A+1"]:
    """Weights, the last one constant, by which mouth opening is read from the audio feature: least squares."""
    inputs = torch.cat([audio, torch.ones_like(audio[:, :1])], 1).double()
    ridge = 1e-3 * inputs.square().sum(0).mean() * torch.eye(inputs.shape[1], dtype=inputs.dtype)
    return torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ opening.double()).float()


def read_opening(audio: Float[Tensor, "N A"], weights: Float[Tensor, " A+1"]) -> Float[Tensor, " N"]:
    """Mouth opening as `mouth_reading` has it."""
    return audio @ weights[:-1] + weights[-1]
