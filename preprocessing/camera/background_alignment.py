"""Aligns the background of a frame with that of a reference frame, as a 2-D similarity.

The method is inverse compositional Lucas-Kanade on the textured pixels of the background, from coarse to fine. Edges
count as much as corners, so that a studio wall with hardly a corner can be tracked too.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

ALIGNED_SIDE = 384
"""Longer side of the aligned images, pixels."""
NUM_LEVELS = 3
"""Number of resolutions, each half of the previous one."""
BLUR = 1.5
"""Standard deviation of the blur that removes noise, pixels."""
TEXTURE, FAINT_TEXTURE = 2.0, 0.5
"""Gradients, in grey levels per pixel: above the first, a pixel is used to measure agreement; above the second, a pixel
is used for the alignment."""
MIN_TEXTURED = 1 / 100
"""Minimum fraction of textured pixels in the image. A plainer background is taken as static: its motion is hard to
distinguish from shadows and compression artefacts, it is hardly visible, and removing it would shrink the crop."""
MAX_POINTS = 8_000
"""Maximum number of pixels used per level."""
MAX_ITERATIONS, TOLERANCE = 12, 5e-3
"""Maximum number of iterations per level, and the step in pixels below which they end."""
NOISE = 2.0
"""Difference in grey levels within which a pixel agrees with the reference."""
OFFSET_TOLERANCE = 0.75
"""Displacement, in pixels, whose grey level difference still counts as agreement."""
STIFFNESS = 20.0
"""Regularization towards the initial motion, where the texture determines nothing: squared grey levels per squared
pixel, summed over all pixels."""

IDENTITY = np.eye(2, 3)


def texture_image(image: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "h w"]:
    """Returns a frame as it is aligned: grey, `ALIGNED_SIDE` pixels on its longer side, blurred."""
    scale = ALIGNED_SIDE / max(image.shape)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), BLUR)


class BackgroundAlignment(NamedTuple):
    """Alignment of a frame's background with the reference."""

    matrix: Float[np.ndarray, "2 3"]
    """Maps points of the reference to the frame; x right, y down, in pixels of the aligned image, from its corner."""
    inlier_ratio: float
    """Fraction of the textured pixels that agree with the reference after the motion by `matrix`."""
    static_inlier_ratio: float
    """The same fraction without any motion."""
    shift: float
    """Root mean square displacement of the textured pixels, in pixels."""
    information: Float[np.ndarray, "4 4"]
    """Inverse covariance of the motion in the form of `to_parameters`, under the assumption that pixels err
    independently."""


class _Level(NamedTuple):
    points: Float32[np.ndarray, "N 2"]
    """Points relative to the centre, in pixels of this level."""
    values: Float32[np.ndarray, " N"]
    gradients: Float32[np.ndarray, " N"]
    """Gradient magnitudes, grey levels per pixel."""
    jacobian: Float32[np.ndarray, "N 4"]


class BackgroundAligner:
    """Aligns frames with one reference frame."""

    def __init__(self, reference: Float32[np.ndarray, "h w"], background: Bool[np.ndarray, "h w"]) -> None:
        """Prepares the reference.

        Args:
            reference: frame as `texture_image` returns it.
            background: pixels that surely do not show the person.
        """
        self.shape = (reference.shape[0], reference.shape[1])
        self._levels = []
        for image in _pyramid(reference, NUM_LEVELS):
            height, width = image.shape
            mask = cv2.resize(background.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.99
            self._levels.append(_create_level(image, mask))
        self._distinct = self._levels[0].gradients > TEXTURE
        down, right = _gradient(reference)
        self.textured = bool((background & (np.hypot(right, down) > TEXTURE)).mean() >= MIN_TEXTURED)
        """Whether the background has enough texture."""

    def static_inlier_ratio(self, image: Float32[np.ndarray, "h w"]) -> float:
        """Returns the fraction of the textured pixels that agree with the reference without any motion."""
        return self._inlier_ratio(image, IDENTITY)

    def fit_motion(
        self,
        image: Float32[np.ndarray, "h w"],
        initial: Float[np.ndarray, "2 3"] = IDENTITY,
        num_levels: int = NUM_LEVELS,
    ) -> BackgroundAlignment:
        """Estimates the motion from the reference to a frame.

        Args:
            image: frame as `texture_image` returns it.
            initial: matrix at which the iterations start.
            num_levels: number of resolutions. With all of them, the initial motion may be wrong by a tenth of the image
                side; with one, by a few pixels.
        """
        height, width = image.shape
        centre = np.array([width, height]) / 2
        linear, shift = initial[:, :2], initial[:, 2] + initial[:, :2] @ centre - centre  # about the centre
        information = np.zeros((4, 4))
        for depth, level_image in reversed(list(enumerate(_pyramid(image, num_levels)))):
            linear, level_shift, information = self._refine(level_image, self._levels[depth], linear, shift / 2**depth)
            shift = level_shift * 2**depth
        matrix = np.column_stack([linear, shift + centre - linear @ centre])
        points = self._levels[0].points
        displacement = points @ (linear - np.eye(2)).T + shift
        rms = float(np.sqrt((displacement**2).sum(-1).mean())) if len(points) else 0.0
        inlier_ratio = self._inlier_ratio(image, matrix)
        return BackgroundAlignment(matrix, inlier_ratio, self.static_inlier_ratio(image), rms, information)

    def _refine(
        self,
        image: Float32[np.ndarray, "h w"],
        level: _Level,
        linear: Float[np.ndarray, "2 2"],
        shift: Float[np.ndarray, " 2"],
    ) -> tuple[Float[np.ndarray, "2 2"], Float[np.ndarray, " 2"], Float[np.ndarray, "4 4"]]:
        information = np.zeros((4, 4))
        if not len(level.values):
            return linear, shift, information
        radius = max(image.shape) / 2
        for _ in range(MAX_ITERATIONS):
            sampled, inside = _sample(image, level.points, linear, shift)
            residual = _match_light(sampled, level.values, inside) - level.values
            spread = max(NOISE, 1.5 * float(np.median(np.abs(residual[inside]))) if inside.any() else NOISE)
            weight = inside / (1 + (residual / spread) ** 2) ** 2
            weighted = level.jacobian * weight[:, None]
            # the step would move the reference: its inverse is composed with the frame's warp
            normal = weighted.T @ level.jacobian
            information = normal / spread**2
            dx, dy, growth, turn = np.linalg.solve(normal + STIFFNESS * np.eye(4), weighted.T @ residual)
            step = np.array([[1 + growth / radius, -turn / radius], [turn / radius, 1 + growth / radius]])
            linear = linear @ np.linalg.inv(step)
            shift = shift - linear @ np.array([dx, dy])
            if np.abs([dx, dy, growth, turn]).max() < TOLERANCE:
                break
        return linear, shift, information

    def _inlier_ratio(self, image: Float32[np.ndarray, "h w"], matrix: Float[np.ndarray, "2 3"]) -> float:
        height, width = image.shape
        centre = np.array([width, height]) / 2
        level = self._levels[0]
        shift = matrix[:, 2] + matrix[:, :2] @ centre - centre
        sampled, inside = _sample(image, level.points, matrix[:, :2], shift)
        difference = np.abs(_match_light(sampled, level.values, inside) - level.values)
        inliers = difference < np.maximum(NOISE, OFFSET_TOLERANCE * level.gradients)
        counted = inside & self._distinct
        return float(inliers[counted].mean()) if counted.sum() > 0.1 * self._distinct.sum() else 0.0


def to_parameters(matrices: Float[np.ndarray, "T 2 3"], shape: tuple[int, int]) -> Float[np.ndarray, "T 4"]:
    """Converts matrices to (dx, dy, growth, turn) about the centre of images of that shape, all in pixels.

    Growth and turn are displacements at half the longer side from the centre.
    """
    height, width = shape
    centre, radius = np.array([width, height]) / 2, max(shape) / 2
    shift = matrices[:, :, 2] + matrices[:, :, :2] @ centre - centre
    return np.column_stack([shift, radius * (matrices[:, 0, 0] - 1), radius * matrices[:, 1, 0]])


def to_matrices(parameters: Float[np.ndarray, "T 4"], shape: tuple[int, int]) -> Float[np.ndarray, "T 2 3"]:
    """Inverts `to_parameters`."""
    height, width = shape
    centre, radius = np.array([width, height]) / 2, max(shape) / 2
    scale, turn = 1 + parameters[:, 2] / radius, parameters[:, 3] / radius
    linear = np.stack([np.stack([scale, -turn], -1), np.stack([turn, scale], -1)], 1)
    return np.concatenate([linear, (parameters[:, :2] + centre - linear @ centre)[..., None]], axis=2)


def _pyramid(image: Float32[np.ndarray, "h w"], num_levels: int) -> list[Float32[np.ndarray, "h w"]]:
    levels = [image]
    for _ in range(num_levels - 1):
        height, width = levels[-1].shape
        size = (width + 1) // 2, (height + 1) // 2
        levels.append(cv2.resize(cv2.GaussianBlur(levels[-1], (5, 5), 0), size, interpolation=cv2.INTER_AREA))
    return levels


def _gradient(image: Float32[np.ndarray, "h w"]) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Returns the gradients downwards and to the right, in grey levels per pixel."""
    return cv2.Sobel(image, -1, 0, 1, scale=1 / 8), cv2.Sobel(image, -1, 1, 0, scale=1 / 8)


def _create_level(image: Float32[np.ndarray, "h w"], background: Bool[np.ndarray, "h w"]) -> _Level:
    height, width = image.shape
    down, right = _gradient(image)
    magnitude = np.hypot(right, down)
    inner = np.zeros_like(background)
    inner[2:-2, 2:-2] = True
    rows, columns = np.nonzero(background & inner & (magnitude > FAINT_TEXTURE))
    kept = np.linspace(0, len(rows) - 1, min(len(rows), MAX_POINTS)).round().astype(int)
    rows, columns = rows[kept], columns[kept]
    x, y = columns + 0.5 - width / 2, rows + 0.5 - height / 2
    gx, gy, radius = right[rows, columns], down[rows, columns], max(height, width) / 2
    jacobian = np.stack([gx, gy, (gx * x + gy * y) / radius, (gy * x - gx * y) / radius], -1)
    return _Level(
        np.stack([x, y], -1).astype(np.float32),
        image[rows, columns],
        magnitude[rows, columns],
        jacobian.astype(np.float32),
    )


def _sample(
    image: Float32[np.ndarray, "h w"],
    points: Float32[np.ndarray, "N 2"],
    linear: Float[np.ndarray, "2 2"],
    shift: Float[np.ndarray, " 2"],
) -> tuple[Float32[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Samples an image at transformed points; also returns which of them lie inside it."""
    height, width = image.shape
    pixels = points @ linear.T.astype(np.float32) + (shift + np.array([width, height]) / 2 - 0.5).astype(np.float32)
    inside = ((pixels >= 0) & (pixels <= (width - 1, height - 1))).all(-1)
    if not len(points):
        return np.zeros(0, np.float32), inside
    sampled = cv2.remap(image, pixels[:, None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return sampled[:, 0], inside


def _match_light(
    sampled: Float32[np.ndarray, " N"], values: Float32[np.ndarray, " N"], inside: Bool[np.ndarray, " N"]
) -> Float32[np.ndarray, " N"]:
    """Adjusts contrast and brightness of `sampled` to those of `values`, by a robust linear fit."""
    if not inside.any():
        return sampled
    x, y = sampled[inside], values[inside]
    weight, contrast, brightness = np.ones_like(x), 1.0, 0.0
    for _ in range(2):
        total = weight.sum()
        mean_x, mean_y = (weight @ x) / total, (weight @ y) / total
        variance = weight @ (x - mean_x) ** 2
        contrast = float(np.clip((weight @ ((x - mean_x) * (y - mean_y))) / max(variance, 1e-3), 0.8, 1.25))
        brightness = float(mean_y - contrast * mean_x)
        error = np.abs(contrast * x + brightness - y)
        weight = 1 / (1 + (error / max(NOISE, 1.5 * float(np.median(error)))) ** 2) ** 2
    return np.float32(contrast) * sampled + np.float32(brightness)
