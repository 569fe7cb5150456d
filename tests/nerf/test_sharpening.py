"""Sharpening of rendered images."""

from __future__ import annotations

import pytest
import torch

from dfa_nerfstudio.metrics.image_metrics import sharpness
from dfa_nerfstudio.nerf.sharpening import sharpen


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_detail_is_amplified_and_outlines_are_not(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    opacity = torch.zeros(40, 40, 1)
    opacity[10:30, 10:30] = 1.0
    opacity[10:30, 30] = 0.5
    plain = opacity * 0.6
    torch.testing.assert_close(sharpen(plain.expand(-1, -1, 3), opacity, 0.5, scale), plain.expand(-1, -1, 3))
    texture = opacity * (0.5 + 0.1 * torch.randn(40, 40, 1, generator=generator)).clamp(0, 1)
    texture = texture.expand(-1, -1, 3)
    inside = slice(12, 28), slice(12, 28)
    sharper = sharpen(texture, opacity, 0.5, scale)
    assert sharpness(sharper[inside]) > 1.3 * sharpness(texture[inside])
    assert (sharper >= 0).all() and (sharper <= opacity).all() and not sharper[:10].any()
    torch.testing.assert_close(sharper[inside].mean(), texture[inside].mean(), atol=0.002, rtol=0.0)
    assert torch.equal(sharpen(texture, opacity, 0.0, scale), texture)
