"""The scene behind the person."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

SURELY_FREE = 13
"""A pixel with less of the person, of 255, shows the scene,"""
MARGIN = 1 / 32
"""if nothing nearer than this part of the picture's side is the person's: hair and shadows reach beyond the mask."""
LARGE_CHANGE = 32
"""Colours that spread by more than this, of 255, from the 10th to the 90th percentile are a scene that changes."""
RELAXATIONS = 30
"""Steps at each resolution of the fill."""


class Background(NamedTuple):
    """The scene without the person."""

    image: UInt8[np.ndarray, "S S 3"]
    seen: Bool[np.ndarray, "S S"]
    """The pixels that the person uncovered; the others are made up."""
    changing: float
    """Part of the seen pixels at which the scene itself changes: screens, trees, passers-by."""


def uncovered_background(images: UInt8[np.ndarray, "N S S 3"], alphas: UInt8[np.ndarray, "N S S"]) -> Background:
    """Per pixel the median of the frames in which it is surely not the person's, and a smooth fill of the rest.

    Args:
        images: frames sampled over the training part.
        alphas: their person masks, 0 to 255.
    """
    count, size = alphas.shape[:2]
    margin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(MARGIN * size) + 1,) * 2)
    free = np.stack([cv2.dilate(alpha, margin) < SURELY_FREE for alpha in alphas])  # [N S S]
    often = free.sum(0)
    seen = often >= max(2, count // 50)
    image = np.zeros((size, size, 3), np.uint8)
    spread = np.zeros((size, size), np.int16)
    for rows in np.array_split(np.arange(size), max(1, size // 16)):  # by strips, which bounds the memory
        values = np.where(free[:, rows, :, None], images[:, rows], 256).astype(np.int16)
        values.sort(axis=0)  # what is not free comes last
        last = np.maximum(often[rows] - 1, 0)
        low, middle, high = (
            np.take_along_axis(values, (last * part // 10)[None, :, :, None], axis=0)[0] for part in (1, 5, 9)
        )
        image[rows], spread[rows] = middle.clip(0, 255), (high - low).max(-1)
    changing = float((spread[seen] > LARGE_CHANGE).mean()) if seen.any() else 0.0
    return Background(fill(image, seen), seen, changing)


def fill(image: UInt8[np.ndarray, "H W 3"], known: Bool[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Spans the unknown pixels by the membrane that hangs on the known ones: Laplace's equation, so that neither the
    rim nor the middle of the hole shows an edge. Grey where nothing is known."""
    return np.round(_membrane(image.astype(np.float32), known.astype(np.float32))).clip(0, 255).astype(np.uint8)


def _membrane(colour: Float32[np.ndarray, "H W 3"], weight: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W 3"]:
    """From coarse to fine: a quarter of the pixels is solved first, and what it gives is relaxed on all of them."""
    height, width = weight.shape
    if not weight.any():
        return np.full_like(colour, 128)
    if weight.all():
        return colour
    smaller = (width + 1) // 2, (height + 1) // 2
    sums = cv2.resize(colour * weight[..., None], smaller, interpolation=cv2.INTER_AREA)
    parts = cv2.resize(weight, smaller, interpolation=cv2.INTER_AREA)
    coarse = _membrane(sums / np.maximum(parts, 1e-6)[..., None], (parts > 0).astype(np.float32))
    filled = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    known = weight[..., None] > 0
    neighbours = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
    for _ in range(RELAXATIONS):
        filled = np.where(known, colour, filled)
        filled = cv2.filter2D(filled, -1, neighbours, borderType=cv2.BORDER_REPLICATE)
    return np.where(known, colour, filled)
