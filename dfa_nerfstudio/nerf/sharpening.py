"""Unsharp masking of the person in a rendered image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

MIN_OPACITY = 1e-3
"""Opacity below which a pixel's colour is not defined."""


def sharpen(
    foreground: Float[Tensor, "H W 3"], opacity: Float[Tensor, "H W 1"], amount: float, scale: float
) -> Float[Tensor, "H W 3"]:
    """Adds to the person's colours a multiple of their difference from their surroundings.

    A field that is trained on squared errors shows the mean of what its conditions do not decide, which is blurred.
    Colours of the person alone are averaged, so that outlines get no halo.

    Args:
        foreground: colours weighted by opacity.
        opacity: 0 to 1.
        amount: factor of the difference; 0 changes nothing.
        scale: size of the image relative to that of the training images, whose neighbouring pixels are compared.
    """
    blurred = torch.cat([foreground, opacity], -1)
    for _ in range(max(round(scale**2), 1)):  # the variance of a blur grows with each
        for axis in (0, 1):
            blurred = _blur(blurred, axis)
    mean = blurred[..., :3] / blurred[..., 3:].clamp(min=MIN_OPACITY)
    sharpened = foreground + amount * (foreground - opacity * mean)
    return torch.minimum(sharpened.clamp(min=0), opacity)


def _blur(image: Float[Tensor, "H W C"], axis: int) -> Float[Tensor, "H W C"]:
    """Weights 1/4, 1/2, 1/4 along an axis; the border is repeated."""
    first, last = image.narrow(axis, 0, 1), image.narrow(axis, image.shape[axis] - 1, 1)
    padded = torch.cat([first, image, last], axis)
    middle = (padded.narrow(axis, 0, image.shape[axis] + 1) + padded.narrow(axis, 1, image.shape[axis] + 1)) / 2
    return (middle.narrow(axis, 0, image.shape[axis]) + middle.narrow(axis, 1, image.shape[axis])) / 2
