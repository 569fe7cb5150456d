"""Tracks the torso as a 2-D similarity, by direct image alignment below the chin.

The method is inverse compositional Lucas-Kanade: gradients belong to the reference image and are computed once, so that
each iteration costs one small warp.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

ALIGNMENT_SIZE = 192
"""Side of the aligned images, pixels."""
MIN_TORSO_AREA = 0.02
"""Minimum fraction of the image that the torso must cover to be tracked."""
BLUR = 1.5
"""Standard deviation of the blur that widens the range of convergence, pixels."""
MAX_ITERATIONS, TOLERANCE = 20, 1e-2
"""Maximum number of iterations, and the step in pixels below which they end."""
MIN_OVERLAP = 0.4
"""Minimum fraction of the torso inside the image; with less, the torso counts as lost."""
SEARCH_RADIUS, SEARCH_STEP = 32, 4
"""Range and step of the search for the torso after a cut, pixels."""
MAX_RESIDUAL_RATIO = 3.0
"""Ratio of a frame's residual to the median residual, above which the torso counts as lost."""


def alignment_image(grey: UInt8[np.ndarray, "S S"]) -> Float32[np.ndarray, "s s"]:
    """Returns a frame as it is aligned: `ALIGNMENT_SIZE` pixels wide, blurred."""
    small = cv2.resize(grey, (ALIGNMENT_SIZE, ALIGNMENT_SIZE), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small.astype(np.float32), (0, 0), BLUR)


def torso_region(alpha: Float[np.ndarray, "S S"], chin: float) -> Bool[np.ndarray, "s s"] | None:
    """Returns the region of the torso: the person below the chin; None if it is too small to be tracked.

    Args:
        alpha: mean person mask over the training frames, in [0, 1].
        chin: lowest position of the chin over the training frames, in image heights from the top.
    """
    region = cv2.resize(alpha.astype(np.float32), (ALIGNMENT_SIZE,) * 2, interpolation=cv2.INTER_AREA) > 0.5
    region[: int(np.ceil(chin * ALIGNMENT_SIZE))] = False
    return region if region.mean() >= MIN_TORSO_AREA else None


def _to_matrix(motion: Float[np.ndarray, " 4"]) -> Float[np.ndarray, "2 3"]:
    """Converts (dx, dy, log scale, angle) to a matrix."""
    dx, dy, log_scale, angle = motion
    c, s = np.exp(log_scale) * np.cos(angle), np.exp(log_scale) * np.sin(angle)
    return np.array([[c, -s, dx], [s, c, dy]])


def _from_matrix(matrix: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, " 4"]:
    """Inverts `_to_matrix`."""
    c, s = matrix[:, 0]
    return np.array([*matrix[:, 2], np.log(np.hypot(c, s)), np.arctan2(s, c)])


@dataclass
class TorsoAlignment:
    """Alignment of one frame with the reference."""

    motion: Float[np.ndarray, " 4"]
    """(dx, dy, log scale, angle) from the reference to the frame; pixels, radians."""
    residual: float
    """Mean absolute grey level difference after alignment."""
    overlap: float
    """Fraction of the torso inside the frame."""
    normal: Float[np.ndarray, "4 4"]
    """Normal matrix J' W J of the motion: how precisely the frame determines it."""


@dataclass
class TorsoAligner:
    """Aligns frames with a reference image.

    A motion maps points of the reference to the frame, in pixels from the image centre, x right and y down.
    """

    reference: Float32[np.ndarray, "s s"]
    region: Bool[np.ndarray, "s s"]
    """Region of the torso in the reference."""

    def __post_init__(self) -> None:
        size = len(self.reference)
        centre = (size - 1) / 2
        ys, xs = np.nonzero(self.region)
        self._x, self._y = (xs - centre).astype(np.float32), (ys - centre).astype(np.float32)
        self._values = self.reference[ys, xs]
        gx = cv2.Scharr(self.reference, cv2.CV_32F, 1, 0)[ys, xs] / 32
        gy = cv2.Scharr(self.reference, cv2.CV_32F, 0, 1)[ys, xs] / 32
        # columns: shift x, shift y, log scale, angle; then contrast and brightness, which may change with the light
        self._jacobian = np.stack(
            [gx, gy, gx * self._x + gy * self._y, gy * self._x - gx * self._y, self._values, np.ones_like(gx)], -1
        ).astype(np.float64)  # [M, 6]
        self._centre = centre

    @cached_property
    def radius(self) -> float:
        """Root mean square distance of the region from the image centre, pixels.

        Multiplied by it, a small angle or log scale is comparable to a shift.
        """
        return float(np.sqrt(np.mean(self._x**2 + self._y**2)))

    def search(self, image: Float32[np.ndarray, "s s"]) -> Float[np.ndarray, " 4"]:
        """Returns the shift, on a coarse grid, at which `image` is most similar to the reference."""
        shifts = np.arange(-SEARCH_RADIUS, SEARCH_RADIUS + 1, SEARCH_STEP)
        x, y = (np.round(position + self._centre).astype(int) for position in (self._x, self._y))
        limit, best, min_residual = len(image) - 1, np.zeros(4), np.inf
        for dx in shifts:
            for dy in shifts:
                inside = (x + dx >= 0) & (x + dx <= limit) & (y + dy >= 0) & (y + dy <= limit)
                if inside.mean() < MIN_OVERLAP:
                    continue
                residual = image[y[inside] + dy, x[inside] + dx] - self._values[inside]
                if (mean := float(np.abs(residual - np.median(residual)).mean())) < min_residual:
                    best, min_residual = np.array([dx, dy, 0, 0], float), mean
        return best

    def fit_motion(self, image: Float32[np.ndarray, "s s"], initial: Float[np.ndarray, " 4"]) -> TorsoAlignment:
        """Estimates the torso's motion from the reference to `image`, starting from `initial`."""
        matrix, contrast, brightness = _to_matrix(initial), 1.0, 0.0
        residual = np.full(len(self._x), np.inf)
        inside = np.zeros(len(self._x), bool)
        normal = np.zeros((6, 6))
        limit = len(image) - 1
        for _ in range(MAX_ITERATIONS):
            (a, b, tx), (c, d, ty) = matrix
            x = (a * self._x + b * self._y + tx + self._centre).astype(np.float32)
            y = (c * self._x + d * self._y + ty + self._centre).astype(np.float32)
            inside = (x >= 0) & (y >= 0) & (x <= limit) & (y <= limit)
            if inside.mean() < MIN_OVERLAP:
                break
            warped = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
            residual = contrast * warped + brightness - self._values
            spread = 1.5 * np.median(np.abs(residual[inside])) + 1.0
            weighted = self._jacobian * (inside * np.minimum(1, spread / np.maximum(np.abs(residual), 1e-6)))[:, None]
            normal = weighted.T @ self._jacobian + 1e-3 * np.eye(6)
            step = np.linalg.solve(normal, weighted.T @ residual)
            # the step moves the reference: its inverse is composed with the warp
            update = np.vstack([_to_matrix(step[:4]), [0, 0, 1]])
            matrix = (np.vstack([matrix, [0, 0, 1]]) @ np.linalg.inv(update))[:2]
            contrast, brightness = contrast / (1 + step[4]), (brightness - step[5]) / (1 + step[4])
            if np.hypot(*step[:2]) + self.radius * np.hypot(*step[2:4]) < TOLERANCE:
                break
        light = np.linalg.solve(normal[4:, 4:] + 1e-9 * np.eye(2), normal[4:, :4])
        return TorsoAlignment(
            motion=_from_matrix(matrix),
            residual=float(np.abs(residual[inside]).mean()) if inside.any() else np.inf,
            overlap=float(inside.mean()),
            normal=normal[:4, :4] - normal[:4, 4:] @ light,  # Schur complement: the light is unknown
        )


class TorsoTracker:
    """Tracks the torso frame by frame.

    Each frame starts from the motion of the previous one; after a cut, the torso is searched for as well.
    """

    def __init__(self, aligner: TorsoAligner) -> None:
        self.aligner = aligner
        self._alignments: list[TorsoAlignment] = []
        self._last = np.zeros(4)

    def add(self, image: Float32[np.ndarray, "s s"], after_cut: bool = False) -> None:
        """Aligns the next frame, given as `alignment_image` returns it."""
        starts = [self._last, np.zeros(4), self.aligner.search(image)] if after_cut else [self._last]
        best = min((self.aligner.fit_motion(image, start) for start in starts), key=lambda fit: fit.residual)
        self._alignments.append(best)
        if best.overlap >= MIN_OVERLAP and np.isfinite(best.motion).all():
            self._last = best.motion

    def measurements(
        self, train_mask: Bool[np.ndarray, " T"]
    ) -> tuple[Float[np.ndarray, "T 4"], Float[np.ndarray, "T 4 4"]]:
        """Returns the motion of all frames and its information.

        Args:
            train_mask: frames that the median residual is computed from.

        Returns:
            the motions (dx, dy, radius * log scale, radius * angle) in pixels of the aligned images, y down; and the
            inverse covariance of each under the assumption that pixels err independently, zero where the torso was
            lost.
        """
        residual = np.array([alignment.residual for alignment in self._alignments])
        reference_residual = float(np.median(residual[train_mask]))
        found = residual < MAX_RESIDUAL_RATIO * reference_residual + 2.0  # false where it is infinite or not a number
        scale = np.array([1, 1, self.aligner.radius, self.aligner.radius])
        motion = np.array([alignment.motion for alignment in self._alignments]) * scale
        information = np.array([alignment.normal for alignment in self._alignments]) / (scale[:, None] * scale)
        information /= np.maximum(residual, 0.5)[:, None, None] ** 2
        motion[~found], information[~found] = 0, 0
        return motion, information


def to_focal_units(motion: Float[np.ndarray, "T 4"], radius: float, focal: float) -> Float[np.ndarray, "T 4"]:
    """Converts motions from the units of `TorsoTracker` to those of `ClipAttributes.torso_motion`, y up.

    Args:
        motion: motions or their standard deviations.
        radius: the aligner's radius, pixels.
        focal: focal length in image sides.
    """
    unit = focal * ALIGNMENT_SIZE
    return motion / [unit, -unit, radius, -radius]
