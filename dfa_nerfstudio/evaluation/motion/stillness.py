"""For how long a head does not move."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from dfa_nerfstudio.evaluation.motion.motion_energy import steps
from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes

STILL = 0.4
"""A step is none that is shorter than this part of the person's median steps."""


def usual_step(own: PoseAxes, shot: Int[np.ndarray, " T"] | None = None) -> Float[np.ndarray, " 6"]:
    """The person's median absolute change from frame to frame in each axis."""
    return np.median(np.abs(steps(own, shot)), axis=0)


def frozen_fraction(axes: PoseAxes, usual: Float[np.ndarray, " 6"], shot: Int[np.ndarray, " T"] | None = None) -> float:
    """Share of the frames in which the head is still: the root mean square of its six steps, each relative to the
    person's usual one, is below `STILL`.

    Args:
        axes: of consecutive frames.
        usual: the person's `usual_step`.
        shot: where the cuts are.
    """
    return float((np.sqrt(np.square(steps(axes, shot) / usual).mean(1)) < STILL).mean())
