"""Presentation times of a dataset's images, which differ from its constant frame rate where the source's differs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.interpolate import make_interp_spline

MAX_ROUNDING = 0.03
"""Difference in frames (1.2 ms) up to which a time counts as that of its frame: containers round times to 1 ms."""


@dataclass
class FrameTimes:
    """Presentation times of T images, and interpolation between these times and frames at 25 frames/s.

    Image i is the one of the source that is nearest to i / 25 s. Of a source with 24 or 30 frames/s it was recorded up
    to 20 ms earlier or later, of one with dropped frames even more. What is measured in the images would move in steps
    if it were taken for that of frame i.

    Interpolation is by cubic splines, within segments alone. Times outside the known ones of a segment get the value
    at its end.
    """

    frames: Float64[np.ndarray, " T"]
    """Time of each image in frames, that is in units of 1/25 s; ascending."""

    @classmethod
    def constant(cls, count: int) -> FrameTimes:
        """Times of images at exactly 25 frames/s."""
        return cls(np.arange(count, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def are_constant(self) -> bool:
        """Whether each image was recorded at the time of its frame."""
        return bool((np.abs(self.frames - np.arange(len(self))) <= MAX_ROUNDING).all())

    def within(self, segments: Iterable[slice]) -> FrameTimes:
        """The times, clamped to the first and last frame of each segment, so that nothing is looked up beyond a cut;
        outside the segments those of the frames."""
        clamped = np.arange(len(self), dtype=np.float64)
        for segment in segments:
            clamped[segment] = self.frames[segment].clip(segment.start, segment.stop - 1)
        return FrameTimes(clamped)

    def to_frames(
        self,
        values: Float[np.ndarray, "T ..."],
        segments: Iterable[slice],
        known: Bool[np.ndarray, " T"] | None = None,
    ) -> Float[np.ndarray, "T ..."]:
        """Interpolates values of the images to 0, 1/25 s, 2/25 s, ...

        Args:
            values: what was measured in the images.
            segments: runs of images that belong together; others keep their values.
            known: images whose values are used; by default all.
        """
        if self.are_constant:
            return values
        result = values.copy()
        for segment in segments:
            times = self.frames[segment]
            used = np.diff(times, prepend=-np.inf) > MAX_ROUNDING  # an image that is repeated has one time
            if known is not None:
                used &= known[segment]
            wanted = np.arange(segment.start, segment.stop, dtype=np.float64)
            _interpolate(times[used], values[segment][used], wanted, result[segment])
        return result

    def to_images(self, values: Float[np.ndarray, "T ..."], segments: Iterable[slice]) -> Float[np.ndarray, "T ..."]:
        """Interpolates values at 0, 1/25 s, 2/25 s, ... to the times of the images; see `to_frames`."""
        if self.are_constant:
            return values
        result = values.copy()
        for segment in segments:
            times = np.arange(segment.start, segment.stop, dtype=np.float64)
            _interpolate(times, values[segment], self.frames[segment], result[segment])
        return result


def _interpolate(times: np.ndarray, values: np.ndarray, wanted: np.ndarray, result: np.ndarray) -> None:
    """Writes the values at the wanted times into `result`; leaves it as it is where there is nothing to interpolate."""
    if len(times) < 2 or not values.size:
        return
    spline = make_interp_spline(times, values, k=3 if len(times) > 3 else 1)
    result[:] = spline(wanted.clip(times[0], times[-1]))
