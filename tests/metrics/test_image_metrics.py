"""Image metrics against other implementations and computed cases."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.functional.image import structural_similarity_index_measure

from dfa_nerfstudio.metrics.image_metrics import ms_ssim, psnr, sharpness, ssim


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """A textured picture and a noisy, shifted one, 176 by 192."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 22, 24, generator=generator)
    truth = torch.nn.functional.interpolate(coarse, scale_factor=8.0, mode="bicubic").clamp(0, 1)[0].permute(1, 2, 0)
    noise = 0.05 * torch.randn(truth.shape, generator=generator)
    return (truth.roll(1, 1) + noise).clamp(0, 1), truth


def test_psnr_is_scikit_images(pictures: tuple[torch.Tensor, torch.Tensor]):
    picture, truth = pictures
    expected = peak_signal_noise_ratio(truth.numpy(), picture.numpy(), data_range=1.0)
    assert float(psnr(picture, truth)) == pytest.approx(expected, abs=1e-4)


def test_ssim_of_one_window_by_hand(pictures: tuple[torch.Tensor, torch.Tensor]):
    """In 11 by 11 pixels one window fits: Wang et al.'s formula with Gaussian weights."""
    picture, truth = (part[50:61, 50:61].double().numpy() for part in pictures)
    across = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights = (across[:, None] * across / across.sum() ** 2)[..., None]
    means = [(weights * part).sum((0, 1)) for part in (picture, truth)]
    spread = [(weights * part**2).sum((0, 1)) - mean**2 for part, mean in zip((picture, truth), means, strict=True)]
    common = (weights * picture * truth).sum((0, 1)) - means[0] * means[1]
    alike = (2 * means[0] * means[1] + 1e-4) / (means[0] ** 2 + means[1] ** 2 + 1e-4)
    value = (alike * (2 * common + 9e-4) / (spread[0] + spread[1] + 9e-4)).mean()
    assert ssim(torch.from_numpy(picture), torch.from_numpy(truth)) == pytest.approx(value, abs=1e-4)


def test_ms_ssim_of_five_scales_by_hand(pictures: tuple[torch.Tensor, torch.Tensor]):
    """The product of the scales' contrast and structure and the last one's SSIM, to the published powers."""
    picture, truth = (part.permute(2, 0, 1)[None] for part in pictures)
    value = 1.0
    powers = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    for scale, power in enumerate(powers):
        whole, contrast = structural_similarity_index_measure(
            picture, truth, data_range=1.0, return_contrast_sensitivity=True
        )
        value *= float(whole if scale == len(powers) - 1 else contrast) ** power
        picture, truth = (torch.nn.functional.avg_pool2d(part, 2) for part in (picture, truth))
    assert ms_ssim(*pictures) == pytest.approx(value, abs=1e-4)
    assert np.isnan(ms_ssim(*(part[:160] for part in pictures)))


def test_a_blurred_picture_is_less_sharp(pictures: tuple[torch.Tensor, torch.Tensor]):
    truth = pictures[1].contiguous()
    stripes = torch.zeros(20, 20, 3)
    stripes[:, ::2] = 1.0  # every pixel's Laplacian is 2 or -2
    assert sharpness(stripes) == pytest.approx(4.0, rel=1e-3)
    blurred = torch.from_numpy(cv2.GaussianBlur(truth.numpy(), (0, 0), 1.5))
    assert sharpness(blurred) < 0.7 * sharpness(truth)
