"""Image metrics: PSNR, SSIM, MS-SSIM and sharpness."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float
from skimage.metrics import structural_similarity
from torch import Tensor

MIN_MS_SSIM_SIDE = 161
"""Smallest image side for MS-SSIM in pixels: it halves the image four times, and the last one must contain a window of
11 pixels."""


def psnr(image: Float[Tensor, "*shape"], truth: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Peak signal-to-noise ratio in dB of values in [0, 1]: -10 log10 of the mean squared error over all pixels and
    channels. For a video, the mean of the frames' dB is reported.

    Example:
        >>> float(psnr(torch.full((4, 4, 3), 0.6), torch.full((4, 4, 3), 0.5)).round())
        20.0
    """
    return -10 * torch.log10((image - truth).square().mean().clamp(min=1e-12))


def ssim(image: Float[Tensor, "H W 3"], truth: Float[Tensor, "H W 3"]) -> float:
    """Structural similarity of values in [0, 1], scikit-image's with the Gaussian window of the original paper."""
    value = structural_similarity(
        truth.cpu().numpy(),
        image.cpu().numpy(),
        channel_axis=-1,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(np.asarray(value))


def ms_ssim(image: Float[Tensor, "H W 3"], truth: Float[Tensor, "H W 3"]) -> float:
    """Multi-scale structural similarity (Wang et al. 2003) of values in [0, 1] on five scales, torchmetrics'.

    NaN for images whose smaller side is less than `MIN_MS_SSIM_SIDE`, because they have no five scales, and fewer
    would be another metric.
    """
    if min(image.shape[:2]) < MIN_MS_SSIM_SIDE:
        return float("nan")
    # torchmetrics imports much of torch, which takes seconds
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    first, second = (part.permute(2, 0, 1)[None] for part in (image, truth))
    return float(multiscale_structural_similarity_index_measure(first, second, data_range=1.0))


def sharpness(image: Float[Tensor, "H W 3"]) -> float:
    """Variance of the Laplacian of the grey image (Pech-Pacheco et al. 2000), in units of [0, 1] squared.

    Noise counts as detail, so a higher value than the truth's does not mean a better image.

    Example:
        >>> sharpness(torch.full((8, 8, 3), 0.5))
        0.0
    """
    grey = cv2.cvtColor(image.cpu().numpy().astype(np.float32), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
