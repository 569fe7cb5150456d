"""How far mouth and eyes open in pictures, as a landmark tracker sees it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from dfa_nerfstudio.evaluation.landmark_track import Sightings
from dfa_nerfstudio.face.eye_aperture import lid_ratio
from dfa_nerfstudio.face.topology import INNER_LIPS, OUTER_EYE_CORNERS


@dataclass
class Openings:
    """Of T frames; NaN where no face is seen."""

    mouth: Float[np.ndarray, " T"]
    """Mean distance of the inner lips, in distances of the outer eye corners."""
    eyes: Float[np.ndarray, " T"]
    """Distance of the lids over the width of the eye, of both eyes."""

    @classmethod
    def of(cls, pictures: Iterable[UInt8[np.ndarray, "H W 3"]]) -> Openings:
        """Frames that follow each other, of one size."""
        points = Sightings.of(pictures).landmarks
        lips, (left, right) = points[:, INNER_LIPS, :2], OUTER_EYE_CORNERS
        unit = np.linalg.norm(points[:, left] - points[:, right], axis=-1)
        gap = np.linalg.norm(lips[:, :, 0] - lips[:, :, 1], axis=-1).mean(1)
        return cls(gap / unit, lid_ratio(points).mean(1))


def agreement(seen: Float[np.ndarray, " T"], true: Float[np.ndarray, " T"]) -> tuple[float, float]:
    """How far an opening moves, as a multiple of how far the true one moves (standard deviations), and the correlation
    of the two; over frames in which both are seen. NaN for what cannot be told: something that never moves follows
    nothing.

    Example:
        >>> agreement(np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 3.0, 1.0, 3.0]))
        (0.5, 1.0)
    """
    both = np.isfinite(seen) & np.isfinite(true)
    seen, true = seen[both], true[both]
    if not len(seen) or not true.std():
        return float("nan"), float("nan")
    return float(seen.std() / true.std()), float(np.corrcoef(seen, true)[0, 1]) if seen.std() else float("nan")
