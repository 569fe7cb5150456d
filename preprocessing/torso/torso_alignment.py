"""Motion of the torso as a 2-D similarity, by direct image alignment below the chin.

Lucas-Kanade in its inverse compositional form: gradients and normal equations belong to the reference picture and are
worked out once, so that a frame costs a few small warps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

TRACKING_SIZE = 192
"""Side of the pictures that are aligned, in pixels."""
LEAST_AREA = 0.02
"""Part of the picture that the torso must fill to be tracked."""
BLUR = 1.5
"""Standard deviation in pixels: widens the range over which alignment converges."""
ITERATIONS, TOLERANCE = 20, 1e-2
"""Steps at most, and the step in pixels at which to stop."""
LEAST_OVERLAP = 0.4
"""A frame with less of the torso in the picture counts as lost."""
FARTHEST, COARSE_STEP = 32, 4
"""How far, and in what steps, the torso is searched for after a cut, in pixels."""
LOST_RESIDUAL = 3.0
"""So does one that differs from the reference more than so many times the usual."""


def tracking_image(grey: UInt8[np.ndarray, "S S"]) -> Float32[np.ndarray, "s s"]:
    """A frame as it is aligned: small and soft."""
    small = cv2.resize(grey, (TRACKING_SIZE, TRACKING_SIZE), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small.astype(np.float32), (0, 0), BLUR)


def torso_region(alpha: Float[np.ndarray, "S S"], chin: float) -> Bool[np.ndarray, "s s"] | None:
    """Where the torso is: the person below the chin. None when hardly anything of it is in the frame.

    Args:
        alpha: the person's mean mask over training frames, in [0, 1].
        chin: the lowest place of the chin over training frames, in picture heights from the top.
    """
    region = cv2.resize(alpha.astype(np.float32), (TRACKING_SIZE,) * 2, interpolation=cv2.INTER_AREA) > 0.5
    region[: int(np.ceil(chin * TRACKING_SIZE))] = False
    return region if region.mean() >= LEAST_AREA else None


def _matrix(motion: Float[np.ndarray, " 4"]) -> Float[np.ndarray, "2 3"]:
    """(dx, dy, log scale, angle) as a matrix."""
    dx, dy, log_scale, angle = motion
    c, s = np.exp(log_scale) * np.cos(angle), np.exp(log_scale) * np.sin(angle)
    return np.array([[c, -s, dx], [s, c, dy]])


def _motion(matrix: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, " 4"]:
    """The inverse of `_matrix`."""
    c, s = matrix[:, 0]
    return np.array([*matrix[:, 2], np.log(np.hypot(c, s)), np.arctan2(s, c)])


@dataclass
class Alignment:
    """How a frame lies over the reference."""

    motion: Float[np.ndarray, " 4"]
    """(dx, dy, log scale, angle)."""
    residual: float
    """Mean absolute grey difference that is left."""
    overlap: float
    """Part of the torso inside the picture."""
    normal: Float[np.ndarray, "4 4"]
    """J' W J of the motion: how sharply the picture fixes it."""


@dataclass
class TorsoAligner:
    """Aligns pictures to a reference. Motions map reference points to the frame, in pixels from the picture's centre,
    x right and y down."""

    reference: Float32[np.ndarray, "s s"]
    region: Bool[np.ndarray, "s s"]

    def __post_init__(self) -> None:
        size = len(self.reference)
        centre = (size - 1) / 2
        ys, xs = np.nonzero(self.region)
        self._x, self._y = (xs - centre).astype(np.float32), (ys - centre).astype(np.float32)
        self._values = self.reference[ys, xs]
        gx = cv2.Scharr(self.reference, cv2.CV_32F, 1, 0)[ys, xs] / 32
        gy = cv2.Scharr(self.reference, cv2.CV_32F, 0, 1)[ys, xs] / 32
        # of shift, log scale and angle; then of contrast and brightness, which may change with the light
        self._jacobian = np.stack(
            [gx, gy, gx * self._x + gy * self._y, gy * self._x - gx * self._y, self._values, np.ones_like(gx)], -1
        ).astype(np.float64)  # [M, 6]
        self._centre = centre

    @cached_property
    def radius(self) -> float:
        """Root mean square distance of the region from the picture's centre, in pixels: what a small angle or log
        scale is to be multiplied by to be compared to a shift."""
        return float(np.sqrt(np.mean(self._x**2 + self._y**2)))

    def search(self, image: Float32[np.ndarray, "s s"]) -> Float[np.ndarray, " 4"]:
        """The shift, in coarse steps, after which `image` is most like the reference."""
        shifts = np.arange(-FARTHEST, FARTHEST + 1, COARSE_STEP)
        x, y = (np.round(place + self._centre).astype(int) for place in (self._x, self._y))
        limit, best, least = len(image) - 1, np.zeros(4), np.inf
        for dx in shifts:
            for dy in shifts:
                inside = (x + dx >= 0) & (x + dx <= limit) & (y + dy >= 0) & (y + dy <= limit)
                if inside.mean() < LEAST_OVERLAP:
                    continue
                residual = image[y[inside] + dy, x[inside] + dx] - self._values[inside]
                if (mean := float(np.abs(residual - np.median(residual)).mean())) < least:
                    best, least = np.array([dx, dy, 0, 0], float), mean
        return best

    def align(self, image: Float32[np.ndarray, "s s"], initial: Float[np.ndarray, " 4"]) -> Alignment:
        """The torso's motion from the reference to `image`, searched for from `initial` on."""
        matrix, contrast, brightness = _matrix(initial), 1.0, 0.0
        residual = np.full(len(self._x), np.inf)
        inside = np.zeros(len(self._x), bool)
        normal = np.zeros((6, 6))
        limit = len(image) - 1
        for _ in range(ITERATIONS):
            (a, b, tx), (c, d, ty) = matrix
            x = (a * self._x + b * self._y + tx + self._centre).astype(np.float32)
            y = (c * self._x + d * self._y + ty + self._centre).astype(np.float32)
            inside = (x >= 0) & (y >= 0) & (x <= limit) & (y <= limit)
            if inside.mean() < LEAST_OVERLAP:
                break
            seen = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
            residual = contrast * seen + brightness - self._values
            spread = 1.5 * np.median(np.abs(residual[inside])) + 1.0
            weighted = self._jacobian * (inside * np.minimum(1, spread / np.maximum(np.abs(residual), 1e-6)))[:, None]
            normal = weighted.T @ self._jacobian + 1e-3 * np.eye(6)
            step = np.linalg.solve(normal, weighted.T @ residual)
            # the step moves the reference; its inverse goes before the warp
            update = np.vstack([_matrix(step[:4]), [0, 0, 1]])
            matrix = (np.vstack([matrix, [0, 0, 1]]) @ np.linalg.inv(update))[:2]
            contrast, brightness = contrast / (1 + step[4]), (brightness - step[5]) / (1 + step[4])
            if np.hypot(*step[:2]) + self.radius * np.hypot(*step[2:4]) < TOLERANCE:
                break
        light = np.linalg.solve(normal[4:, 4:] + 1e-9 * np.eye(2), normal[4:, :4])
        return Alignment(
            motion=_motion(matrix),
            residual=float(np.abs(residual[inside]).mean()) if inside.any() else np.inf,
            overlap=float(inside.mean()),
            normal=normal[:4, :4] - normal[:4, 4:] @ light,  # what is left when the light is not known
        )


class TorsoTracker:
    """Follows the torso frame by frame, each starting from the one before; after a cut it is searched for."""

    def __init__(self, aligner: TorsoAligner) -> None:
        self.aligner = aligner
        self._alignments: list[Alignment] = []
        self._last = np.zeros(4)

    def add(self, image: Float32[np.ndarray, "s s"], after_cut: bool = False) -> None:
        """Measures the next frame, as `tracking_image` makes it."""
        starts = [self._last, np.zeros(4), self.aligner.search(image)] if after_cut else [self._last]
        found = min((self.aligner.align(image, start) for start in starts), key=lambda one: one.residual)
        self._alignments.append(found)
        if found.overlap >= LEAST_OVERLAP and np.isfinite(found.motion).all():
            self._last = found.motion

    def tracks(self, learnable: Bool[np.ndarray, " T"]) -> tuple[Float[np.ndarray, "T 4"], Float[np.ndarray, "T 4 4"]]:
        """What was measured.

        Args:
            learnable: the frames that tell what an ordinary residual is.

        Returns:
            the motions (dx, dy, radius * log scale, radius * angle) in pixels of the tracking image, y down; and the
            inverse covariance of each, as if every pixel erred for itself, zero where the torso was lost.
        """
        residual = np.array([one.residual for one in self._alignments])
        usual = float(np.median(residual[learnable]))
        found = residual < LOST_RESIDUAL * usual + 2.0  # false where it is infinite or not a number
        scale = np.array([1, 1, self.aligner.radius, self.aligner.radius])
        motion = np.array([one.motion for one in self._alignments]) * scale
        information = np.array([one.normal for one in self._alignments]) / (scale[:, None] * scale)
        information /= np.maximum(residual, 0.5)[:, None, None] ** 2
        motion[~found], information[~found] = 0, 0
        return motion, information


def in_focal_lengths(motion: Float[np.ndarray, "T 4"], radius: float, focal: float) -> Float[np.ndarray, "T 4"]:
    """From what `TorsoTracker` returns to the units of `ClipAttributes.torso_motion`, y up.

    Args:
        motion: motions or their standard deviations.
        radius: the aligner's.
        focal: in image sides.
    """
    unit = focal * TRACKING_SIZE
    return motion / [unit, -unit, radius, -radius]
