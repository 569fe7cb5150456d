"""Linear probes: ridge regressions from an embedding to values, and how well they predict."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

DEFAULT_RIDGE = 0.1
"""Relative ridge strength for embeddings of many channels and few frames."""


def ridge_regression(
    inputs: Float[Tensor, "N A"], targets: Float[Tensor, "N K"], penalty: float | Float[Tensor, " A"]
) -> Float[Tensor, "A K"]:
    """Computes W, the minimum of |inputs W - targets|^2 + the sum over a of penalty_a |W_a|^2, without an intercept.

    Args:
        inputs: one row per observation.
        targets: values to predict.
        penalty: squared-norm penalty of the weights, one for all inputs or one for each.

    Example:
        >>> ridge_regression(torch.eye(2), torch.tensor([[2.0], [4.0]]), 1.0).tolist()
        [[1.0], [2.0]]
    """
    gram = inputs.T @ inputs
    ridge = torch.diag(torch.as_tensor(penalty, dtype=inputs.dtype, device=inputs.device).expand(len(gram)))
    return torch.linalg.solve(gram + ridge, inputs.T @ targets)


def relative_penalty(inputs: Float[Tensor, "N A"], strength: float) -> Float[Tensor, ""]:
    """Computes a ridge penalty of `strength` times the mean squared norm of the input columns."""
    return strength * inputs.square().sum(0).mean()


def ridge_predict(
    fitted: tuple[Float[Tensor, "N A"], Float[Tensor, "N K"]],
    embedding: Float[Tensor, "M A"],
    ridge: float = DEFAULT_RIDGE,
) -> Float[Tensor, "M K"]:
    """Predicts values of embeddings by a ridge regression with intercept that is fitted on other ones.

    Args:
        fitted: embeddings and values on which the regression is fitted.
        embedding: embeddings whose values are predicted.
        ridge: penalty relative to the mean squared norm of the centred inputs.
    """
    mean, level = fitted[0].mean(0), fitted[1].mean(0)
    inputs, targets = (fitted[0] - mean).double(), (fitted[1] - level).double()
    weights = ridge_regression(inputs, targets, relative_penalty(inputs, ridge))
    return level + (embedding - mean) @ weights.to(embedding)


def ridge_correlation(
    train: tuple[Float[Tensor, "N A"], Float[Tensor, "N K"]],
    test: tuple[Float[Tensor, "M A"], Float[Tensor, "M K"]],
    ridge: float = DEFAULT_RIDGE,
) -> tuple[float, float]:
    """Measures how well `ridge_predict`, fitted on `train`, predicts the values of `test`.

    Returns:
        Correlation of predicted and true values, and R2 (which is also reduced by a constant offset); means over K.
    """
    true, predicted = test[1], ridge_predict(train, test[0], ridge)
    spread = (true - true.mean(0)).square().sum(0).clamp(min=1e-12)
    r2 = 1 - (true - predicted).square().sum(0) / spread
    centred = predicted - predicted.mean(0)
    norm = (centred.square().sum(0) * spread).sqrt().clamp(min=1e-12)
    correlation = (centred * (true - true.mean(0))).sum(0) / norm
    return float(correlation.mean()), float(r2.mean())
