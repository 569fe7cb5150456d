"""What can be read of an embedding by a linear map: values, and how well they agree with the true ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

STRENGTH = 0.1
"""Of the ridge where frames are few and much is to be read from."""


def linear_reading(
    fitted: tuple[Float[Tensor, "N A"], Float[Tensor, "N K"]],
    embedding: Float[Tensor, "M A"],
    strength: float = STRENGTH,
) -> Float[Tensor, "M K"]:
    """A ridge regression fitted on pairs of embedding and value, applied to other embeddings.

    Args:
        fitted: embeddings and values.
        embedding: what is read.
        strength: of the ridge, relative to the inputs' mean variance.
    """
    mean, level = fitted[0].mean(0), fitted[1].mean(0)
    x, y = (fitted[0] - mean).double(), (fitted[1] - level).double()
    gram = x.T @ x
    ridge = strength * gram.diagonal().mean() * torch.eye(len(gram)).to(x)
    return level + (embedding - mean) @ torch.linalg.solve(gram + ridge, x.T @ y).to(embedding)


def ridge_correlation(
    train: tuple[Float[Tensor, "N A"], Float[Tensor, "N K"]],
    test: tuple[Float[Tensor, "M A"], Float[Tensor, "M K"]],
    strength: float = STRENGTH,
) -> tuple[float, float]:
    """How well a `linear_reading` fitted on `train` predicts the second from the first on `test`.

    Returns:
        Correlation of predicted and true, and R2 (which also counts an offset between the two stretches), means over K.
    """
    true, predicted = test[1], linear_reading(train, test[0], strength)
    spread = (true - true.mean(0)).square().sum(0).clamp(min=1e-12)
    r2 = 1 - (true - predicted).square().sum(0) / spread
    centred = predicted - predicted.mean(0)
    norm = (centred.square().sum(0) * spread).sqrt().clamp(min=1e-12)
    correlation = (centred * (true - true.mean(0))).sum(0) / norm
    return float(correlation.mean()), float(r2.mean())
