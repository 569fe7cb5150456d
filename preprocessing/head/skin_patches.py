"""Patches of skin found again in every frame: dense Lucas-Kanade on faces that are laid flat.

Light and contrast are taken out patch by patch, so that a head that turns away from the lamp is still itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int

PATCH, SPACING = 0.13, 0.09
"""Side of a patch and distance between patches, in head space units."""
FLAT = 2.0
"""Grey levels of contrast that are taken for noise."""
LEAST_RESIDUAL = 0.05
"""Of normalised patches: no patch is trusted more than one that fits as well as this."""
SHARED_PIXELS = 0.3
"""Part of a patch's pixels that err independently."""


@dataclass
class Patches:
    """A reference picture of the flat face, and the patches that are looked for."""

    reference: Float32[np.ndarray, "h w"]
    """As `_normalised` makes it."""
    centres: Int[np.ndarray, "P 2"]
    """Texels (column, row)."""
    window: int
    """Side of a patch in texels, odd."""
    blur: float
    """Standard deviation in texels of the smoothing of every picture: the more, the farther a patch is found."""

    @classmethod
    def learn(
        cls, flat: Sequence[Float32[np.ndarray, "h w"]], centres: Int[np.ndarray, "P 2"], resolution: float, blur: float
    ) -> Patches:
        """Takes the mean of many frames for the reference.

        Args:
            flat: frames laid flat, grey.
            centres: see `lattice`.
            resolution: texels per head space unit.
            blur: in head space units.
        """
        window, blur = 2 * round(PATCH * resolution / 2) + 1, blur * resolution
        reference = np.mean([_normalised(picture, window, blur) for picture in flat], axis=0)
        return cls(reference, centres, window, blur)

    def __post_init__(self) -> None:
        self._gradient = [cv2.Scharr(self.reference, cv2.CV_32F, *axis) / 32 for axis in ((1, 0), (0, 1))]
        x, y = self._gradient
        tensor = np.stack([self._sums(x * x), self._sums(x * y), self._sums(x * y), self._sums(y * y)], -1)
        ridge = 1e-3 * self.window**2 * np.eye(2)  # a patch without structure stays where it is
        self._inverse = np.linalg.inv(tensor.reshape(-1, 2, 2).astype(np.float64) + ridge)

    def _sums(self, texture: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, " P"]:
        sums = cv2.boxFilter(texture, -1, (self.window, self.window), normalize=False)
        return sums[self.centres[:, 1], self.centres[:, 0]]

    def displacement(
        self, flat: Float32[np.ndarray, "h w"]
    ) -> tuple[Float[np.ndarray, "P 2"], Float[np.ndarray, " P"]]:
        """Where each patch has gone, by one step of Lucas-Kanade.

        Args:
            flat: a frame laid flat, grey.

        Returns:
            the displacements in texels, and each patch's root mean square difference to the reference.
        """
        difference = self.reference - _normalised(flat, self.window, self.blur)
        moment = np.stack([self._sums(axis * difference) for axis in self._gradient], -1)
        step = np.einsum("pij,pj->pi", self._inverse, moment)
        limit = self.window / 4  # beyond, gradients tell nothing
        length = np.linalg.norm(step, axis=-1, keepdims=True)
        residual = np.sqrt(np.maximum(self._sums(difference * difference), 0)) / self.window
        return step * np.minimum(1, limit / np.maximum(length, 1e-9)), residual

    def covariance(self, residual: Float[np.ndarray, " P"]) -> Float[np.ndarray, "P 2 2"]:
        """Of displacements, in texels^2, where the patches differ from the reference by as much as `residual`."""
        variance = np.maximum(residual, LEAST_RESIDUAL) ** 2 * self.window**2 * SHARED_PIXELS
        return self._inverse * variance[:, None, None]


def _normalised(texture: Float32[np.ndarray, "h w"], window: int, blur: float) -> Float32[np.ndarray, "h w"]:
    """A texture of zero mean and unit variance about every texel, over twice a patch."""
    area = (2 * window + 1, 2 * window + 1)
    deviation = texture - cv2.boxFilter(texture, -1, area)
    spread = np.sqrt(cv2.boxFilter(deviation * deviation, -1, area)) + FLAT
    return cv2.GaussianBlur(deviation / spread, (0, 0), blur)


def lattice(rigid: Bool[np.ndarray, "h w"], resolution: float) -> Int[np.ndarray, "P 2"]:
    """Patch centres evenly over the rigid part of the face."""
    step = max(1, round(SPACING * resolution))
    height, width = rigid.shape
    columns, rows = np.meshgrid(np.arange(step // 2, width, step), np.arange(step // 2, height, step))
    inside = rigid[rows, columns]
    return np.stack([columns[inside], rows[inside]], -1)
