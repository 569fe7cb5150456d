"""Image metrics."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from skimage.metrics import structural_similarity
from torch import Tensor


def psnr(picture: Float[Tensor, "*shape"], truth: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Peak signal-to-noise ratio in dB of values in [0, 1]: -10 log10 of the mean squared error over all pixels and
    channels. Averaged over frames, it is the mean of the frames' dB.

    Example:
        >>> float(psnr(torch.full((4, 4, 3), 0.6), torch.full((4, 4, 3), 0.5)).round())
        20.0
    """
    return -10 * torch.log10((picture - truth).square().mean().clamp(min=1e-12))


def ssim(picture: Float[Tensor, "H W 3"], truth: Float[Tensor, "H W 3"]) -> float:
    """Structural similarity of values in [0, 1], scikit-image's with the Gaussian window of the original paper."""
    value = structural_similarity(
        truth.cpu().numpy(),
        picture.cpu().numpy(),
        channel_axis=-1,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(np.asarray(value))
