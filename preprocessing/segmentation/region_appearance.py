"""How mouth and eyes of one person look when nothing covers them, and how unlike that an image is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from dfa_nerfstudio.face.topology import EYE_CORNERS, LIP_CONTOURS

WIDTH, HEIGHT = 24, 28
"""Size of the image of a region with what is above it, pixels."""
REGION, ABOVE = slice(12, 28), slice(0, 16)
"""Rows of the region itself, and of what is above it: the nose's base, or brows and forehead."""
NUM_FRAMES, RANK, NUM_ROUNDS = 400, 8, 4
"""Number of training frames that a model is fitted to at most, its rank, and the rounds of its fit."""
KEPT_SHARE = 0.6
"""Share of these frames, those that it describes best, that the model is fitted to; the others may be covered."""
MIN_DEVIATION = 2.5
"""Smallest standard deviation of a pixel that is assumed, grey levels."""
WINDOW, MAX_ERROR = 7, 8.0
"""Side in pixels of the windows in which the model's error is averaged, and the largest mean in standard deviations.
Twelve clips with nothing before the face reach 6.9."""
MAX_SHIFT = 2
"""How far the pattern of lips and eyes may be shifted, pixels: landmarks of a turned head are inaccurate."""
MAX_ABOVE = 0.25
"""How much what is missing above a region adds at most to what is missing in it."""


@dataclass(frozen=True)
class Region:
    """A part of the face, and from which scores it counts as covered.

    The thresholds were chosen on twelve clips, with and without drawn occluders; see
    benchmarks/settings.md.
    """

    landmarks: Int[np.ndarray, " N"]
    """Landmarks in whose middle it is, so that it follows a nod."""
    box: tuple[float, float, float, float]
    """Left, top, right and bottom of it and what is above, in eye distances from there."""
    parts: int
    """Number of parts, side by side, whose patterns are compared one by one."""
    weights: tuple[float, float, float]
    """Weights of lightness and the two colours in its pattern."""
    max_missing: float
    """How far the correlations with the usual patterns, 1 for the same image, lie below their medians together."""


MOUTH = Region(LIP_CONTOURS[0], (-0.45, -0.75, 0.45, 0.3), 1, (0.25, 4.0, 4.0), 0.55)
EYES = Region(EYE_CORNERS.ravel(), (-0.6, -0.655, 0.6, 0.22), 2, (1.0, 0.0, 0.0), 0.5)


@dataclass
class RegionAppearance:
    """How a region of one person, and what is above it, look when nothing covers them."""

    region: Region
    inside: LowRankModel
    """Model of the images of the region itself."""
    patterns: list[Pattern]
    """Usual pattern of each part of the region."""
    above: Pattern
    """Usual pattern of what is above it."""

    @classmethod
    def fit(cls, sample: UInt8[np.ndarray, "N h w 3"], region: Region) -> RegionAppearance:
        """Learns from training images, of which up to `1 - KEPT_SHARE` may be covered."""
        own = sample[_own_images(sample[:, REGION])]
        columns = np.split(np.arange(WIDTH), region.parts)
        return cls(
            region,
            LowRankModel.fit(own[:, REGION].reshape(len(own), -1).astype(np.float32)),
            [Pattern.fit(own[:, REGION], part, region.weights) for part in columns],
            Pattern.fit(own[:, ABOVE], np.arange(WIDTH), (1.0, 1.0, 1.0)),
        )

    def occlusion_score(self, patches: UInt8[np.ndarray, "N h w 3"]) -> Float[np.ndarray, " N"]:
        """How unlike the person's own each image is; above 1 it is covered."""
        inside, above = patches[:, REGION], patches[:, ABOVE]
        missing = np.mean([pattern.missing(inside) for pattern in self.patterns], axis=0)
        missing += np.clip(self.above.missing(above), 0, MAX_ABOVE)
        return np.maximum(self.inside.worst_window_error(inside) / MAX_ERROR, missing / self.region.max_missing)


@dataclass
class LowRankModel:
    """Mean of images, and the directions in which they vary most."""

    mean: Float32[np.ndarray, " D"]
    basis: Float32[np.ndarray, "K D"]
    """Orthonormal directions."""
    deviation: Float32[np.ndarray, " D"]
    """Standard deviation of each pixel's residual."""

    @classmethod
    def fit(cls, samples: Float32[np.ndarray, "M D"]) -> LowRankModel:
        """Principal components of some images."""
        mean = samples.mean(0)
        centred = samples - mean
        rank = min(RANK, len(samples) - 1)
        vectors = np.linalg.eigh(centred @ centred.T)[1][:, -rank:]  # there are fewer samples than pixels
        basis = vectors.T @ centred
        basis = basis / np.maximum(np.linalg.norm(basis, axis=1, keepdims=True), 1e-6)
        model = cls(mean, basis, np.zeros_like(mean))
        model.deviation = np.maximum(np.sqrt((model.residual(samples) ** 2).mean(0)), MIN_DEVIATION)
        return model

    def residual(self, images: Float32[np.ndarray, "N D"]) -> Float32[np.ndarray, "N D"]:
        """What the model does not describe."""
        centred = images - self.mean
        return centred - (centred @ self.basis.T) @ self.basis

    def worst_window_error(self, images: UInt8[np.ndarray, "N h w 3"]) -> Float[np.ndarray, " N"]:
        """Mean residual of each image's worst window, in standard deviations."""
        relative = np.abs(self.residual(images.reshape(len(images), -1).astype(np.float32))) / self.deviation
        border = WINDOW // 2
        blurred = [cv2.blur(one, (WINDOW, WINDOW)) for one in relative.reshape(images.shape).mean(-1)]
        return np.array([one[border:-border, border:-border].max() for one in blurred])


@dataclass
class Pattern:
    """The mean image of a part of a region, to which others are correlated."""

    columns: Int[np.ndarray, " C"]
    """Columns of the part."""
    scale: Float32[np.ndarray, "3"]
    """Factor of each colour channel."""
    template: Float32[np.ndarray, "h C 3"]
    """The mean image without its border."""
    usual: float
    """Median correlation of the person's own images."""

    @classmethod
    def fit(
        cls, own: UInt8[np.ndarray, "M h w 3"], columns: Int[np.ndarray, " C"], weights: tuple[float, float, float]
    ) -> Pattern:
        """Averages the person's own images, in Lab; `weights` are those of its channels."""
        scale, inner = np.sqrt(weights, dtype=np.float32), slice(MAX_SHIFT, -MAX_SHIFT)
        mean = own[:, :, columns].mean(0, np.float32) * scale
        pattern = cls(columns, scale, mean[inner, inner], 0.0)
        pattern.usual = float(np.median(pattern.correlation(own)))
        return pattern

    def correlation(self, images: UInt8[np.ndarray, "N h w 3"]) -> Float[np.ndarray, " N"]:
        """Correlation of each image with the template, where it fits best."""
        found = [
            cv2.matchTemplate(one[:, self.columns] * self.scale, self.template, cv2.TM_CCOEFF_NORMED) for one in images
        ]
        return np.nan_to_num(found).max((1, 2))  # an image of one colour has no correlation

    def missing(self, images: UInt8[np.ndarray, "N h w 3"]) -> Float[np.ndarray, " N"]:
        """How far the correlation of each image lies below the usual one."""
        return self.usual - self.correlation(images)


def _own_images(sample: UInt8[np.ndarray, "N h w 3"]) -> Int[np.ndarray, " M"]:
    """Numbers of the images that show the person, nothing before it: those that a low-rank model of them describes
    best."""
    images = sample.reshape(len(sample), -1).astype(np.float32)
    error = np.abs(images - np.median(images, axis=0)).mean(1)
    for _ in range(NUM_ROUNDS):
        kept = np.argsort(error)[: max(round(KEPT_SHARE * len(images)), 2)]
        error = np.abs(LowRankModel.fit(images[kept]).residual(images)).mean(1)
    return np.argsort(error)[: len(kept)]
