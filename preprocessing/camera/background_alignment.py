"""How the background of a frame lies to that of a reference frame: a 2-D similarity, by direct image alignment.

Lucas-Kanade in its inverse compositional form on those pixels of the background that have any texture, from coarse to
fine. Edges count as much as corners, so that a studio wall with hardly a corner in it is followed too.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

SIDE = 384
"""Longer side of the pictures that are aligned, in pixels."""
LEVELS = 3
"""Resolutions, each half of the one before."""
SOFTNESS = 1.5
"""Standard deviation in pixels of the blur that takes the noise away."""
TEXTURE, FAINT = 2.0, 0.5
"""Grey levels per pixel that make texture, which tells whether two pictures agree, and what faint texture helps to
align them."""
LEAST_TEXTURE = 1 / 100
"""Part of the picture that must have texture. A plainer background may as well stay where it is: its motion is hard to
tell from that of shadows and compression, is hardly seen, and taking it back would cost a part of the picture."""
MOST_POINTS = 8_000
"""At most so many pixels are used."""
ITERATIONS, TOLERANCE = 12, 5e-3
"""Steps per level at most, and the step in pixels at which to stop."""
NOISE = 2.0
"""Grey levels by which a pixel may differ from the reference and still show the same."""
OFFSET = 0.75
"""So may one that looks as if it were misplaced by so many pixels."""
STIFFNESS = 20.0
"""What no texture tells stays as it was at the start: squared grey levels per squared pixel, summed over all pixels."""

IDENTITY = np.eye(2, 3)


def texture_picture(image: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "h w"]:
    """A frame as it is aligned: small, grey, soft."""
    scale = SIDE / max(image.shape)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), SOFTNESS)


class Motion(NamedTuple):
    """How a frame's background lies to the reference's."""

    matrix: Float[np.ndarray, "2 3"]
    """Takes places in the reference to places in the frame; x right, y down, in pixels of the small picture, whose
    corner is the origin."""
    agreement: float
    """Part of the textured pixels that show the same as the reference when they are moved by `matrix`."""
    still: float
    """The same when nothing is moved."""
    shift: float
    """Root mean square of the distances in pixels by which the textured pixels moved."""
    information: Float[np.ndarray, "4 4"]
    """Inverse covariance of the motion as `to_parameters` writes it, if every pixel erred for itself."""


class _Level(NamedTuple):
    points: Float32[np.ndarray, "N 2"]
    """Relative to the centre, in pixels of this level."""
    values: Float32[np.ndarray, " N"]
    slopes: Float32[np.ndarray, " N"]
    """Grey levels per pixel."""
    jacobian: Float32[np.ndarray, "N 4"]


class BackgroundAligner:
    """Aligns frames with one reference."""

    def __init__(self, reference: Float32[np.ndarray, "h w"], background: Bool[np.ndarray, "h w"]) -> None:
        """`reference` as `texture_picture` makes it; `background` says where it surely does not show the person."""
        self.shape = (reference.shape[0], reference.shape[1])
        self._levels = []
        for picture in _pyramid(reference, LEVELS):
            height, width = picture.shape
            mask = cv2.resize(background.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.99
            self._levels.append(_level(picture, mask))
        self._distinct = self._levels[0].slopes > TEXTURE
        down, across = _gradient(reference)
        self.textured = bool((background & (np.hypot(across, down) > TEXTURE)).mean() >= LEAST_TEXTURE)
        """Whether there is enough to align."""

    def still(self, picture: Float32[np.ndarray, "h w"]) -> float:
        """See `Motion.still`."""
        return self._agreement(picture, IDENTITY)

    def align(
        self, picture: Float32[np.ndarray, "h w"], start: Float[np.ndarray, "2 3"] = IDENTITY, levels: int = LEVELS
    ) -> Motion:
        """The motion of a frame.

        Args:
            picture: as `texture_picture` makes it.
            start: a matrix from which the search sets out.
            levels: resolutions: with all of them the start may be a tenth of the picture's side away, with one a few
                pixels.
        """
        height, width = picture.shape
        centre = np.array([width, height]) / 2
        linear, shift = start[:, :2], start[:, 2] + start[:, :2] @ centre - centre  # about the centre
        information = np.zeros((4, 4))
        for depth, level in reversed(list(enumerate(_pyramid(picture, levels)))):
            linear, moved, information = self._refine(level, self._levels[depth], linear, shift / 2**depth)
            shift = moved * 2**depth
        matrix = np.column_stack([linear, shift + centre - linear @ centre])
        points = self._levels[0].points
        distance = points @ (linear - np.eye(2)).T + shift
        rms = float(np.sqrt((distance**2).sum(-1).mean())) if len(points) else 0.0
        return Motion(matrix, self._agreement(picture, matrix), self.still(picture), rms, information)

    def _refine(
        self,
        picture: Float32[np.ndarray, "h w"],
        level: _Level,
        linear: Float[np.ndarray, "2 2"],
        shift: Float[np.ndarray, " 2"],
    ) -> tuple[Float[np.ndarray, "2 2"], Float[np.ndarray, " 2"], Float[np.ndarray, "4 4"]]:
        information = np.zeros((4, 4))
        if not len(level.values):
            return linear, shift, information
        radius = max(picture.shape) / 2
        for _ in range(ITERATIONS):
            seen, inside = _look_up(picture, level.points, linear, shift)
            residual = _relit(seen, level.values, inside) - level.values
            spread = max(NOISE, 1.5 * float(np.median(np.abs(residual[inside]))) if inside.any() else NOISE)
            weight = inside / (1 + (residual / spread) ** 2) ** 2
            weighted = level.jacobian * weight[:, None]
            # the step would move the reference; its inverse goes before the frame's warp
            normal = weighted.T @ level.jacobian
            information = normal / spread**2
            dx, dy, grow, turn = np.linalg.solve(normal + STIFFNESS * np.eye(4), weighted.T @ residual)
            step = np.array([[1 + grow / radius, -turn / radius], [turn / radius, 1 + grow / radius]])
            linear = linear @ np.linalg.inv(step)
            shift = shift - linear @ np.array([dx, dy])
            if np.abs([dx, dy, grow, turn]).max() < TOLERANCE:
                break
        return linear, shift, information

    def _agreement(self, picture: Float32[np.ndarray, "h w"], matrix: Float[np.ndarray, "2 3"]) -> float:
        height, width = picture.shape
        centre = np.array([width, height]) / 2
        level = self._levels[0]
        shift = matrix[:, 2] + matrix[:, :2] @ centre - centre
        seen, inside = _look_up(picture, level.points, matrix[:, :2], shift)
        same = np.abs(_relit(seen, level.values, inside) - level.values) < np.maximum(NOISE, OFFSET * level.slopes)
        counted = inside & self._distinct
        return float(same[counted].mean()) if counted.sum() > 0.1 * self._distinct.sum() else 0.0


def to_parameters(matrices: Float[np.ndarray, "T 2 3"], shape: tuple[int, int]) -> Float[np.ndarray, "T 4"]:
    """Matrices as (dx, dy, growth, turn) about the middle of pictures of that shape, all in pixels: growth and turn are
    those at half the longer side's distance."""
    height, width = shape
    centre, radius = np.array([width, height]) / 2, max(shape) / 2
    shift = matrices[:, :, 2] + matrices[:, :, :2] @ centre - centre
    return np.column_stack([shift, radius * (matrices[:, 0, 0] - 1), radius * matrices[:, 1, 0]])


def to_matrices(parameters: Float[np.ndarray, "T 4"], shape: tuple[int, int]) -> Float[np.ndarray, "T 2 3"]:
    """The inverse of `to_parameters`."""
    height, width = shape
    centre, radius = np.array([width, height]) / 2, max(shape) / 2
    scale, turn = 1 + parameters[:, 2] / radius, parameters[:, 3] / radius
    linear = np.stack([np.stack([scale, -turn], -1), np.stack([turn, scale], -1)], 1)
    return np.concatenate([linear, (parameters[:, :2] + centre - linear @ centre)[..., None]], axis=2)


def _pyramid(picture: Float32[np.ndarray, "h w"], count: int) -> list[Float32[np.ndarray, "h w"]]:
    levels = [picture]
    for _ in range(count - 1):
        height, width = levels[-1].shape
        size = (width + 1) // 2, (height + 1) // 2
        levels.append(cv2.resize(cv2.GaussianBlur(levels[-1], (5, 5), 0), size, interpolation=cv2.INTER_AREA))
    return levels


def _gradient(picture: Float32[np.ndarray, "h w"]) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Downwards and to the right, in grey levels per pixel."""
    return cv2.Sobel(picture, -1, 0, 1, scale=1 / 8), cv2.Sobel(picture, -1, 1, 0, scale=1 / 8)


def _level(picture: Float32[np.ndarray, "h w"], background: Bool[np.ndarray, "h w"]) -> _Level:
    height, width = picture.shape
    down, across = _gradient(picture)
    slope = np.hypot(across, down)
    inner = np.zeros_like(background)
    inner[2:-2, 2:-2] = True
    rows, columns = np.nonzero(background & inner & (slope > FAINT))
    kept = np.linspace(0, len(rows) - 1, min(len(rows), MOST_POINTS)).round().astype(int)
    rows, columns = rows[kept], columns[kept]
    x, y = columns + 0.5 - width / 2, rows + 0.5 - height / 2
    gx, gy, radius = across[rows, columns], down[rows, columns], max(height, width) / 2
    jacobian = np.stack([gx, gy, (gx * x + gy * y) / radius, (gy * x - gx * y) / radius], -1)
    return _Level(
        np.stack([x, y], -1).astype(np.float32),
        picture[rows, columns],
        slope[rows, columns],
        jacobian.astype(np.float32),
    )


def _look_up(
    picture: Float32[np.ndarray, "h w"],
    points: Float32[np.ndarray, "N 2"],
    linear: Float[np.ndarray, "2 2"],
    shift: Float[np.ndarray, " 2"],
) -> tuple[Float32[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """What the picture shows at moved points, and which of them lie in it."""
    height, width = picture.shape
    places = points @ linear.T.astype(np.float32) + (shift + np.array([width, height]) / 2 - 0.5).astype(np.float32)
    inside = ((places >= 0) & (places <= (width - 1, height - 1))).all(-1)
    if not len(points):
        return np.zeros(0, np.float32), inside
    seen = cv2.remap(picture, places[:, None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return seen[:, 0], inside


def _relit(
    seen: Float32[np.ndarray, " N"], values: Float32[np.ndarray, " N"], inside: Bool[np.ndarray, " N"]
) -> Float32[np.ndarray, " N"]:
    """`seen` with the contrast and brightness of `values`, as far as most of it can be had by that."""
    if not inside.any():
        return seen
    x, y = seen[inside], values[inside]
    weight, contrast, brightness = np.ones_like(x), 1.0, 0.0
    for _ in range(2):
        total = weight.sum()
        middle_x, middle_y = (weight @ x) / total, (weight @ y) / total
        variance = weight @ (x - middle_x) ** 2
        contrast = float(np.clip((weight @ ((x - middle_x) * (y - middle_y))) / max(variance, 1e-3), 0.8, 1.25))
        brightness = float(middle_y - contrast * middle_x)
        off = np.abs(contrast * x + brightness - y)
        weight = 1 / (1 + (off / max(NOISE, 1.5 * float(np.median(off)))) ** 2) ** 2
    return np.float32(contrast) * seen + np.float32(brightness)
