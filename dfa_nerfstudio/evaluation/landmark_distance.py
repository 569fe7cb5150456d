"""Landmark distances between two videos of one person.

**LMD** (Chen et al. 2018, in the form that the RAD-NeRF family reports): the mean distance of the 20 lip landmarks in
pixels, after the centroids of both mouths are aligned. It therefore measures the shape of the mouth and not the
position of the head. **F-LMD**: the same for all 68 landmarks. Pixels depend on the size of the frame and of the face
in it, so both are also given in percent of the true outer eye corner distance.

**Upper- and lower-face error**: a replacement of the action unit errors AUE-U and AUE-L that needs no OpenFace. The
mean distance of the brow and eye landmarks, and of the jaw and lip landmarks, in head space, where the pose is removed;
in percent of the outer eye corner distance.

Pitfalls: all of these depend on one tracker, whose face prior turns blurred frames into average faces: a frozen or
blurred mouth has a small LMD too. Values from other trackers (dlib, face_alignment) are not comparable.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.face.landmarks_68 import LIPS_68, UPPER_FACE_68
from dfa_nerfstudio.face.topology import LANDMARKS_68, OUTER_EYE_CORNERS

LOWER_FACE = [*range(17), *range(48, 68)]
"""Jaw and lips among the 68 landmarks."""


def centred_distance(
    predicted: Float[np.ndarray, "T N 2"], truth: Float[np.ndarray, "T N 2"]
) -> Float[np.ndarray, " T"]:
    """Mean distance of corresponding points after their centroids are aligned.

    Example:
        >>> square = np.array([[[0.0, 0], [2, 0], [2, 2], [0, 2]]])
        >>> centred_distance(2 * square + 7, square).round(3)  # each corner is sqrt(2) further from the centre
        array([1.414])
    """
    gap = (predicted - predicted.mean(1, keepdims=True)) - (truth - truth.mean(1, keepdims=True))
    return np.linalg.norm(gap, axis=-1).mean(1)


def lmd(predicted: Float[np.ndarray, "T 478 2"], truth: Float[np.ndarray, "T 478 2"]) -> Float[np.ndarray, " T"]:
    """LMD of each frame in pixels."""
    lips = LANDMARKS_68[LIPS_68]
    return centred_distance(predicted[:, lips], truth[:, lips])


def face_lmd(predicted: Float[np.ndarray, "T 478 2"], truth: Float[np.ndarray, "T 478 2"]) -> Float[np.ndarray, " T"]:
    """F-LMD of each frame in pixels."""
    return centred_distance(predicted[:, LANDMARKS_68], truth[:, LANDMARKS_68])


def eye_distance(landmarks: Float[np.ndarray, "T 478 2"]) -> Float[np.ndarray, " T"]:
    """Distance of the outer eye corners in pixels, the inter-ocular unit."""
    left, right = OUTER_EYE_CORNERS
    return np.linalg.norm(landmarks[:, left] - landmarks[:, right], axis=-1)


def face_part_errors(
    predicted: Float[np.ndarray, "T 68 3"], truth: Float[np.ndarray, "T 68 3"]
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """Upper- and lower-face error of each frame in percent of the outer eye corner distance.

    Args:
        predicted: landmarks in head space, whose unit is the outer eye corner distance.
        truth: those of the true video.
    """
    distance = 100 * np.linalg.norm(predicted - truth, axis=-1)
    return distance[:, UPPER_FACE_68].mean(1), distance[:, LOWER_FACE].mean(1)
