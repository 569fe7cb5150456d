"""Locates skin patches in every frame, by dense Lucas-Kanade on unwrapped faces.

Brightness and contrast are normalized around each patch, so that the tracking tolerates changes of the light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int

PATCH_SIZE, PATCH_SPACING = 0.13, 0.09
"""Side of a patch and distance between patches, in head space units."""
CONTRAST_NOISE = 2.0
"""Contrast that counts as noise, grey levels."""
MIN_RESIDUAL = 0.05
"""Minimum residual of a normalized patch for its covariance, so that no patch is trusted more."""
INDEPENDENT_PIXEL_SHARE = 0.3
"""Factor of the covariance that accounts for correlated errors of a patch's pixels."""


@dataclass
class SkinPatches:
    """Reference texture of the unwrapped face, and the patches in it."""

    reference: Float32[np.ndarray, "h w"]
    """Normalized texture, see `_normalize`."""
    centres: Int[np.ndarray, "P 2"]
    """Texels (column, row) of the patch centres."""
    window: int
    """Side of a patch in texels, odd."""
    blur: float
    """Standard deviation in texels of the blur of every texture; a larger blur widens the range of convergence."""

    @classmethod
    def learn(
        cls,
        textures: Sequence[Float32[np.ndarray, "h w"]],
        centres: Int[np.ndarray, "P 2"],
        resolution: float,
        blur: float,
    ) -> SkinPatches:
        """Uses the mean of many frames as the reference.

        Args:
            textures: unwrapped frames, grey.
            centres: see `patch_grid`.
            resolution: texels per head space unit.
            blur: in head space units.
        """
        window, blur = 2 * round(PATCH_SIZE * resolution / 2) + 1, blur * resolution
        reference = np.mean([_normalize(texture, window, blur) for texture in textures], axis=0)
        return cls(reference, centres, window, blur)

    def __post_init__(self) -> None:
        self._gradient = [cv2.Scharr(self.reference, cv2.CV_32F, *axis) / 32 for axis in ((1, 0), (0, 1))]
        x, y = self._gradient
        tensor = np.stack([self._sums(x * x), self._sums(x * y), self._sums(x * y), self._sums(y * y)], -1)
        ridge = 1e-3 * self.window**2 * np.eye(2)  # keeps a patch without structure in place
        self._inverse = np.linalg.inv(tensor.reshape(-1, 2, 2).astype(np.float64) + ridge)

    def _sums(self, texture: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, " P"]:
        sums = cv2.boxFilter(texture, -1, (self.window, self.window), normalize=False)
        return sums[self.centres[:, 1], self.centres[:, 0]]

    def displacement(
        self, texture: Float32[np.ndarray, "h w"]
    ) -> tuple[Float[np.ndarray, "P 2"], Float[np.ndarray, " P"]]:
        """Estimates the displacement of each patch by one step of Lucas-Kanade.

        Args:
            texture: an unwrapped frame, grey.

        Returns:
            the displacements in texels, and each patch's root mean square difference to the reference.
        """
        difference = self.reference - _normalize(texture, self.window, self.blur)
        moment = np.stack([self._sums(axis * difference) for axis in self._gradient], -1)
        step = np.einsum("pij,pj->pi", self._inverse, moment)
        max_length = self.window / 4  # the linearization is not valid beyond
        length = np.linalg.norm(step, axis=-1, keepdims=True)
        residual = np.sqrt(np.maximum(self._sums(difference * difference), 0)) / self.window
        return step * np.minimum(1, max_length / np.maximum(length, 1e-9)), residual

    def covariance(self, residual: Float[np.ndarray, " P"]) -> Float[np.ndarray, "P 2 2"]:
        """Returns the covariance of displacements in texels^2, given the patches' residuals."""
        variance = np.maximum(residual, MIN_RESIDUAL) ** 2 * self.window**2 * INDEPENDENT_PIXEL_SHARE
        return self._inverse * variance[:, None, None]


def _normalize(texture: Float32[np.ndarray, "h w"], window: int, blur: float) -> Float32[np.ndarray, "h w"]:
    """Normalizes a texture to zero mean and unit variance around every texel, over twice a patch, and blurs it."""
    area = (2 * window + 1, 2 * window + 1)
    deviation = texture - cv2.boxFilter(texture, -1, area)
    variance = cv2.boxFilter(deviation * deviation, -1, area)  # its running sums fall below 0 where nothing varies
    contrast = np.sqrt(np.maximum(variance, 0)) + CONTRAST_NOISE
    return cv2.GaussianBlur(deviation / contrast, (0, 0), blur)


def patch_grid(rigid: Bool[np.ndarray, "h w"], resolution: float) -> Int[np.ndarray, "P 2"]:
    """Returns patch centres (column, row) on a regular grid over the rigid part of the face."""
    step = max(1, round(PATCH_SPACING * resolution))
    height, width = rigid.shape
    columns, rows = np.meshgrid(np.arange(step // 2, width, step), np.arange(step // 2, height, step))
    inside = rigid[rows, columns]
    return np.stack([columns[inside], rows[inside]], -1)
