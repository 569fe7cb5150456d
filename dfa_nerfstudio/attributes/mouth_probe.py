"""Linear probe of the mouth opening on audio features."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.linear_probe import relative_penalty, ridge_regression

RIDGE = 1e-3
"""Ridge penalty relative to the mean squared norm of the inputs, the constant among them."""


def fit_mouth_probe(audio: Float[Tensor, "N A"], opening: Float[Tensor, " N"]) -> Float[Tensor, " A+1"]:
    """Computes the least squares weights of the mouth opening on the audio feature; the last one is the intercept."""
    inputs = torch.cat([audio, torch.ones_like(audio[:, :1])], 1).double()
    return ridge_regression(inputs, opening.double()[:, None], relative_penalty(inputs, RIDGE))[:, 0].float()


def predict_mouth_opening(audio: Float[Tensor, "N A"], weights: Float[Tensor, " A+1"]) -> Float[Tensor, " N"]:
    """Predicts the mouth opening with the weights of `fit_mouth_probe`."""
    return audio @ weights[:-1] + weights[-1]
