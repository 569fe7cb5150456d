"""How far the mouth is open."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.face.head_pose import Poses
from dfa_nerfstudio.face.topology import INNER_LIPS
from dfa_nerfstudio.face.viewpoint import viewpoint

JAW_RECESSION = float(np.tan(np.radians(26 + 10)))
"""How far the lower lip goes back for what it goes down. The jaw turns about its condyles, and the line from there to
the incisors falls by Balkwill's angle, 26 degrees, below the teeth's plane, which falls by 10 itself."""


def mouth_opening(front: Float[np.ndarray, "T 478 3"], poses: Poses) -> Float[np.ndarray, " T"]:
    """The gap between the inner lips at the middle of the mouth, in head space units.

    Landmarks in head space have the depth of the mouth at rest. The lower lip of an open mouth lies deeper, so that the
    gap looks smaller than it is from above and larger from below: g' = g (1 - recession * tangent of the view).

    Args:
        front: landmarks in head space.
        poses: with which they were brought there.
    """
    lips = front[:, INNER_LIPS]  # [T, pairs, 2, 3]
    gap = (lips[:, :, 0, 1] - lips[:, :, 1, 1]).mean(-1)
    from_above = viewpoint(poses, lips.mean((1, 2)))[:, 1]
    return np.maximum(gap, 0) / np.clip(1 - JAW_RECESSION * from_above, 0.5, 2)
