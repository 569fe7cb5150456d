"""Image metrics against other implementations and against values computed by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.functional.image import structural_similarity_index_measure

from dfa_nerfstudio.metrics.image_metrics import ms_ssim, psnr, sharpness, ssim


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    """A noisy, shifted image and the textured image that it was made from, 176 by 192 pixels."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 22, 24, generator=generator)
    truth = torch.nn.functional.interpolate(coarse, scale_factor=8.0, mode="bicubic").clamp(0, 1)[0].permute(1, 2, 0)
    noise = 0.05 * torch.randn(truth.shape, generator=generator)
    return (truth.roll(1, 1) + noise).clamp(0, 1), truth


def test_psnr_equals_that_of_scikit_image(images: tuple[torch.Tensor, torch.Tensor]):
    image, truth = images
    expected = peak_signal_noise_ratio(truth.numpy(), image.numpy(), data_range=1.0)
    assert float(psnr(image, truth)) == pytest.approx(expected, abs=1e-4)


def test_ssim_of_one_window_by_hand(images: tuple[torch.Tensor, torch.Tensor]):
    """11 by 11 pixels contain one window: Wang et al.'s formula with Gaussian weights."""
    image, truth = (part[50:61, 50:61].double().numpy() for part in images)
    across = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights = (across[:, None] * across / across.sum() ** 2)[..., None]
    means = [(weights * part).sum((0, 1)) for part in (image, truth)]
    spread = [(weights * part**2).sum((0, 1)) - mean**2 for part, mean in zip((image, truth), means, strict=True)]
    common = (weights * image * truth).sum((0, 1)) - means[0] * means[1]
    alike = (2 * means[0] * means[1] + 1e-4) / (means[0] ** 2 + means[1] ** 2 + 1e-4)
    value = (alike * (2 * common + 9e-4) / (spread[0] + spread[1] + 9e-4)).mean()
    assert ssim(torch.from_numpy(image), torch.from_numpy(truth)) == pytest.approx(value, abs=1e-4)


def test_ms_ssim_of_five_scales_by_hand(images: tuple[torch.Tensor, torch.Tensor]):
    """The product of the scales' contrast and structure and of the last one's SSIM, with the published exponents."""
    image, truth = (part.permute(2, 0, 1)[None] for part in images)
    value = 1.0
    powers = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    for scale, power in enumerate(powers):
        full, contrast = structural_similarity_index_measure(
            image, truth, data_range=1.0, return_contrast_sensitivity=True
        )
        value *= float(full if scale == len(powers) - 1 else contrast) ** power
        image, truth = (torch.nn.functional.avg_pool2d(part, 2) for part in (image, truth))
    assert ms_ssim(*images) == pytest.approx(value, abs=1e-4)
    assert np.isnan(ms_ssim(*(part[:160] for part in images)))


def test_a_blurred_image_is_less_sharp(images: tuple[torch.Tensor, torch.Tensor]):
    truth = images[1].contiguous()
    stripes = torch.zeros(20, 20, 3)
    stripes[:, ::2] = 1.0  # every pixel's Laplacian is 2 or -2
    assert sharpness(stripes) == pytest.approx(4.0, rel=1e-3)
    blurred = torch.from_numpy(cv2.GaussianBlur(truth.numpy(), (0, 0), 1.5))
    assert sharpness(blurred) < 0.7 * sharpness(truth)
