"""Where on a person's head the sound and the eyes act."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

_LOWER_FACE = [*range(3, 14), *range(48, 68)]
"""Jaw from side to side, and the lips, of the paper's 68 landmarks."""
_EYES = [*range(36, 42)], [*range(42, 48)]
_DEPTH = 0.4
"""Least radius in depth, in distances of the outer eye corners: what lies before or behind a surface shows it too."""


def face_regions(front: Float32[np.ndarray, "T 68 3"]) -> Float[Tensor, "3 2 3"]:
    """Centre and radii, in head space, of ellipsoids around the lower face and either eye.

    Args:
        front: landmarks of T frames in head space.
    """
    regions = []
    for points, margin in ((_LOWER_FACE, (1.1, 1.1, 1.1)), *((eye, (1.5, 3.0, 1.0)) for eye in _EYES)):
        low, high = (
            np.quantile(front[:, points], 0.05, axis=0).min(0),
            np.quantile(front[:, points], 0.95, axis=0).max(0),
        )
        radii = (high - low) / 2 * margin
        radii[2] = max(radii[2], _DEPTH)
        regions.append(np.stack([(low + high) / 2, radii]))
    return torch.from_numpy(np.stack(regions)).float()
