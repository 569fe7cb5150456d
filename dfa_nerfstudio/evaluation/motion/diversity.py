"""How different motions for the same sound are."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes


def diversity(samples: list[PoseAxes], own: PoseAxes) -> float:
    """Root mean square difference between motions of several seeds, over that between unrelated moments of the person.

    0 where all seeds move alike, 1 where they differ as much as two moments of the film, which is the square root of 2
    times its standard deviation.

    Args:
        samples: two or more, of equal length.
        own: the person's own motion.
    """
    unrelated = np.sqrt(2) * own.std(0)
    gaps = [np.sqrt(np.square(first - second).mean(0)) / unrelated for first, second in combinations(samples, 2)]
    return float(np.mean(gaps))
