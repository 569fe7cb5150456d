"""Image metrics."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float
from skimage.metrics import structural_similarity
from torch import Tensor
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

LEAST_SIDE = 161
"""MS-SSIM halves the picture four times, and the last one must hold a window of 11 pixels."""


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


def ms_ssim(picture: Float[Tensor, "H W 3"], truth: Float[Tensor, "H W 3"]) -> float:
    """Multi-scale structural similarity (Wang et al. 2003) of values in [0, 1] on five scales, torchmetrics'.

    NaN for pictures of less than 161 pixels' side, which have no five scales: fewer would be another metric.
    """
    if min(picture.shape[:2]) < LEAST_SIDE:
        return float("nan")
    mine, true = (part.permute(2, 0, 1)[None] for part in (picture, truth))
    return float(multiscale_structural_similarity_index_measure(mine, true, data_range=1.0))


def sharpness(picture: Float[Tensor, "H W 3"]) -> float:
    """Variance of the Laplacian of the grey picture (Pech-Pacheco et al. 2000), in units of [0, 1] squared.

    Noise counts as detail, so a ratio to the truth's above 1 is no praise.

    Example:
        >>> sharpness(torch.full((8, 8, 3), 0.5))
        0.0
    """
    grey = cv2.cvtColor(picture.cpu().numpy().astype(np.float32), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
