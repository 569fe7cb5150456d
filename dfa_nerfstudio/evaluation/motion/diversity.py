"""Diversity of motions generated for the same audio."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes


def diversity(samples: list[PoseAxes], own: PoseAxes) -> float:
    """Root mean square difference between motions of several seeds, relative to that of unrelated moments.

    0 if all seeds give the same motion, 1 if they differ as much as two unrelated moments of the video: the square root
    of 2 times its standard deviation.

    Args:
        samples: two or more motions of equal length.
        own: the person's own motion.
    """
    unrelated = np.sqrt(2) * own.std(0)
    gaps = [np.sqrt(np.square(first - second).mean(0)) / unrelated for first, second in combinations(samples, 2)]
    return float(np.mean(gaps))
