"""Estimates the background without the person, from frames and person masks."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from dfa_nerfstudio.data.dataset_folder import image_path, mask_path
from dfa_nerfstudio.media.images import read_image, read_mask

NUM_BACKGROUND_SAMPLES = 120
"""Number of training frames that the background is estimated from."""
MAX_BACKGROUND_ALPHA = 13
"""Alpha, 0 to 255, below which a pixel shows background."""
MASK_MARGIN = 1 / 32
"""Width by which the mask is dilated first, in image sides, because hair and shadows extend beyond it."""
MIN_CHANGE = 32
"""Spread of a pixel's levels, 0 to 255, from the 10th to the 90th percentile, above which the background changes."""
NUM_RELAXATIONS = 30
"""Number of Jacobi iterations per resolution of the inpainting."""


class BackgroundEstimate(NamedTuple):
    """Background without the person."""

    image: UInt8[np.ndarray, "S S 3"]
    visible: Bool[np.ndarray, "S S"]
    """Pixels that show background in some frame; the others are inpainted."""
    changing_fraction: float
    """Fraction of the visible pixels whose content changes, such as screens, trees and passers-by."""


def read_background_samples(
    folder: Path, train_mask: Bool[np.ndarray, " T"]
) -> tuple[UInt8[np.ndarray, "N S S 3"], UInt8[np.ndarray, "N S S"]]:
    """Reads evenly spaced training frames and their person masks.

    Args:
        folder: dataset folder with images and masks.
        train_mask: frames that may be sampled.
    """
    numbers = np.flatnonzero(train_mask)
    numbers = numbers[np.unique(np.linspace(0, len(numbers) - 1, NUM_BACKGROUND_SAMPLES).round().astype(int))]
    images = np.stack([read_image(image_path(folder, number)) for number in numbers])
    return images, np.stack([read_mask(mask_path(folder, number)) for number in numbers])


def estimate_background(images: UInt8[np.ndarray, "N S S 3"], alphas: UInt8[np.ndarray, "N S S"]) -> BackgroundEstimate:
    """Computes each pixel's median over the frames in which it shows background, and inpaints the other pixels.

    Args:
        images: frames sampled over the training part.
        alphas: their person masks, 0 to 255.
    """
    num_frames, size = alphas.shape[:2]
    margin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(MASK_MARGIN * size) + 1,) * 2)
    free = np.stack([cv2.dilate(alpha, margin) < MAX_BACKGROUND_ALPHA for alpha in alphas])  # [N S S]
    count = free.sum(0)
    visible = count >= max(2, num_frames // 50)
    image = np.zeros((size, size, 3), np.uint8)
    spread = np.zeros((size, size), np.int16)
    for rows in np.array_split(np.arange(size), max(1, size // 16)):  # in strips, to limit memory
        values = np.where(free[:, rows, :, None], images[:, rows], 256).astype(np.int16)
        values.sort(axis=0)  # masked values, 256, come last
        last = np.maximum(count[rows] - 1, 0)
        low, middle, high = (
            np.take_along_axis(values, (last * tenths // 10)[None, :, :, None], axis=0)[0] for tenths in (1, 5, 9)
        )
        image[rows], spread[rows] = middle.clip(0, 255), (high - low).max(-1)
    changing_fraction = float((spread[visible] > MIN_CHANGE).mean()) if visible.any() else 0.0
    return BackgroundEstimate(inpaint_harmonic(image, visible), visible, changing_fraction)


def inpaint_harmonic(image: UInt8[np.ndarray, "H W 3"], known: Bool[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Fills the unknown pixels with the solution of Laplace's equation whose boundary values are the known pixels.

    The result has no edge, neither along the boundary nor inside. It is grey if no pixel is known.
    """
    return np.round(_solve_laplace(image.astype(np.float32), known.astype(np.float32))).clip(0, 255).astype(np.uint8)


def _solve_laplace(
    colour: Float32[np.ndarray, "H W 3"], weight: Float32[np.ndarray, "H W"]
) -> Float32[np.ndarray, "H W 3"]:
    """Solves recursively from coarse to fine: the solution at half the resolution initializes the relaxation."""
    height, width = weight.shape
    if not weight.any():
        return np.full_like(colour, 128)
    if weight.all():
        return colour
    half_size = (width + 1) // 2, (height + 1) // 2
    sums = cv2.resize(colour * weight[..., None], half_size, interpolation=cv2.INTER_AREA)
    parts = cv2.resize(weight, half_size, interpolation=cv2.INTER_AREA)
    coarse = _solve_laplace(sums / np.maximum(parts, 1e-6)[..., None], (parts > 0).astype(np.float32))
    filled = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    known = weight[..., None] > 0
    neighbours = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
    for _ in range(NUM_RELAXATIONS):
        filled = np.where(known, colour, filled)
        filled = cv2.filter2D(filled, -1, neighbours, borderType=cv2.BORDER_REPLICATE)
    return np.where(known, colour, filled)
