"""What a linear reading of an embedding says, number by number; `sync.ridge_correlation` tells how well."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def linear_reading(
    fitted: tuple[Float[Tensor, "N A"], Float[Tensor, "N K"]], scored: Float[Tensor, "M A"], strength: float
) -> Float[Tensor, "M K"]:
    """A ridge regression fitted on pairs of embedding and value, applied to other embeddings.

    Args:
        fitted: embeddings and values.
        scored: embeddings to read.
        strength: of the ridge, relative to the inputs' mean variance.
    """
    mean, level = fitted[0].mean(0), fitted[1].mean(0)
    x, y = (fitted[0] - mean).double(), (fitted[1] - level).double()
    # A ridge is one more observation of zero for each coefficient.
    prior = (strength * x.square().sum(0).mean()).sqrt() * torch.eye(x.shape[1], dtype=x.dtype)
    slopes = torch.linalg.lstsq(torch.cat([x, prior]), torch.cat([y, y.new_zeros(len(prior), y.shape[1])])).solution
    return level + (scored - mean) @ slopes.to(scored)
