"""How often and how long eyes blink."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.face.eye_aperture import find_blinks
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.timeline import Timeline


@dataclass
class Blinking:
    """Blinks of a stretch of frames, found as `dfa-process` finds them."""

    rate: float
    """Blinks a second."""
    duration: float
    """Mean time from start to end, in seconds; not a number where there are none."""
    depth: float
    """Mean eye opening at the lowest point, 0 closed; not a number where there are none."""

    @classmethod
    def of(cls, opening: Float[np.ndarray, "T 2"]) -> Blinking:
        """From the eye opening, 0 closed to 1 open, of consecutive frames at 25 frames/s."""
        count = len(opening)
        blinks = find_blinks(opening, np.ones(count, bool), Timeline.of(count, count))
        if not len(blinks):
            return cls(0.0, np.nan, np.nan)
        lowest = opening[(blinks[:, 1] * FRAME_RATE).round().astype(int)]
        length = float((blinks[:, 2] - blinks[:, 0]).mean())
        return cls(len(blinks) * FRAME_RATE / count, length, float(lowest.mean()))
