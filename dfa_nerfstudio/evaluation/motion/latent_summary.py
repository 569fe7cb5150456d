"""One point for each window of latent motion, and the plane in which such points are drawn (Fig. 6)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def latent_summary(latent: Float[Tensor, "N Z T"]) -> Float[np.ndarray, "N 2*Z"]:
    """Mean over time and logarithm of the standard deviation over time of each channel of z, for N windows."""
    return torch.cat([latent.mean(-1), latent.std(-1).clamp(min=1e-3).log()], 1).numpy()


def principal_plane(points: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N 2"]:
    """The points' first two principal components."""
    centred = points - points.mean(0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
