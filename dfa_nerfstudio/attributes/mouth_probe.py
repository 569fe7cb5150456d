"""What an audio feature says of the mouth's opening."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def mouth_reading(audio: Float[Tensor, "N A"], opening: Float[Tensor, " N"]) -> Float[Tensor, " A+1"]:
    """Weights, the last one constant, by which mouth opening is read from the audio feature: least squares."""
    inputs = torch.cat([audio, torch.ones_like(audio[:, :1])], 1).double()
    ridge = 1e-3 * inputs.square().sum(0).mean() * torch.eye(inputs.shape[1], dtype=inputs.dtype)
    return torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ opening.double()).float()


def read_opening(audio: Float[Tensor, "N A"], weights: Float[Tensor, " A+1"]) -> Float[Tensor, " N"]:
    """Mouth opening as `mouth_reading` has it."""
    return audio @ weights[:-1] + weights[-1]
