"""Rate, duration and depth of blinks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.face.eye_aperture import find_blinks
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.timeline import Timeline


@dataclass
class BlinkMetrics:
    """Statistics of the blinks in consecutive frames, detected as in `dfa-process`."""

    rate: float
    """Blinks per second."""
    duration: float
    """Mean time from start to end in seconds; NaN without blinks."""
    depth: float
    """Mean eye opening at the lowest point, 0 closed to 1 open; NaN without blinks."""

    @classmethod
    def from_openings(cls, opening: Float[np.ndarray, "T 2"]) -> BlinkMetrics:
        """Detects blinks in the eye opening, 0 closed to 1 open, of consecutive frames at 25 frames/s."""
        count = len(opening)
        blinks = find_blinks(opening, np.ones(count, bool), Timeline.from_cuts(count, count))
        if not len(blinks):
            return cls(0.0, np.nan, np.nan)
        lowest = opening[(blinks[:, 1] * FRAME_RATE).round().astype(int)]
        duration = float((blinks[:, 2] - blinks[:, 0]).mean())
        return cls(len(blinks) * FRAME_RATE / count, duration, float(lowest.mean()))
