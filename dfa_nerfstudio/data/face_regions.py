"""Regions of the head that the audio and the eye feature may influence."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

_LOWER_FACE = [*range(3, 14), *range(48, 68)]
"""Indices of jaw and lips among the paper's 68 landmarks."""
_EYES = [*range(36, 42)], [*range(42, 48)]
"""Indices of left and right eye among the 68 landmarks."""
_MIN_DEPTH_RADIUS = 0.4
"""Smallest radius in depth, in outer eye corner distances, because samples before and behind the surface contribute to
its colour."""


def face_regions(front_landmarks: Float32[np.ndarray, "T 68 3"]) -> Float[Tensor, "3 2 3"]:
    """Computes centre and radii, in head space, of ellipsoids around the lower face, the left and the right eye.

    Args:
        front_landmarks: landmarks of T frames in head space.
    """
    regions = []
    for points, margin in ((_LOWER_FACE, (1.1, 1.1, 1.1)), *((eye, (1.5, 3.0, 1.0)) for eye in _EYES)):
        low = np.quantile(front_landmarks[:, points], 0.05, axis=0).min(0)
        high = np.quantile(front_landmarks[:, points], 0.95, axis=0).max(0)
        radii = (high - low) / 2 * margin
        radii[2] = max(radii[2], _MIN_DEPTH_RADIUS)
        regions.append(np.stack([(low + high) / 2, radii]))
    return torch.from_numpy(np.stack(regions)).float()
