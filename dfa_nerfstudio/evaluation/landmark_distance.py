"""How far the landmarks of two videos of one person are apart.

**LMD** (Chen et al. 2018, in the form that the RAD-NeRF family reports): the mean distance of the 20 lip landmarks
after the centroids of both mouths were laid over each other, so that it tells the shape of the mouth and not where the
head is; in pixels. **F-LMD**: the same of all 68 landmarks. Pixels depend on the size of the picture and of the face in
it: beside them stand the same distances in distances of the outer eye corners of the truth.

**Upper- and lower-face error**: what the action unit errors AUE-U and AUE-L are for, without OpenFace: the mean
distance of the brows' and eyes' landmarks, and of the jaw's and lips', in head space, where pose is taken out; in
percent of the distance of the outer eye corners.

Pitfalls: all of it is what one tracker sees, which takes vague pictures for usual faces: a frozen or blurred mouth has
a small LMD too. Figures by other trackers (dlib, face_alignment) are not comparable.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.face.landmarks_68 import LIPS, UPPER_FACE
from dfa_nerfstudio.face.topology import LANDMARKS_68, OUTER_EYE_CORNERS

LOWER_FACE = [*range(17), *range(48, 68)]
"""Jaw and lips."""


def centred_distance(picture: Float[np.ndarray, "T N 2"], truth: Float[np.ndarray, "T N 2"]) -> Float[np.ndarray, " T"]:
    """Mean distance of points after their centroids were laid over each other.

    Example:
        >>> square = np.array([[[0.0, 0], [2, 0], [2, 2], [0, 2]]])
        >>> centred_distance(2 * square + 7, square).round(3)  # each corner is sqrt(2) further from the middle
        array([1.414])
    """
    gap = (picture - picture.mean(1, keepdims=True)) - (truth - truth.mean(1, keepdims=True))
    return np.linalg.norm(gap, axis=-1).mean(1)


def lmd(picture: Float[np.ndarray, "T 478 2"], truth: Float[np.ndarray, "T 478 2"]) -> Float[np.ndarray, " T"]:
    """LMD of each frame in pixels."""
    lips = LANDMARKS_68[LIPS]
    return centred_distance(picture[:, lips], truth[:, lips])


def face_lmd(picture: Float[np.ndarray, "T 478 2"], truth: Float[np.ndarray, "T 478 2"]) -> Float[np.ndarray, " T"]:
    """F-LMD of each frame in pixels."""
    return centred_distance(picture[:, LANDMARKS_68], truth[:, LANDMARKS_68])


def eye_distance(landmarks: Float[np.ndarray, "T 478 2"]) -> Float[np.ndarray, " T"]:
    """Of the outer eye corners, in pixels: the inter-ocular unit."""
    left, right = OUTER_EYE_CORNERS
    return np.linalg.norm(landmarks[:, left] - landmarks[:, right], axis=-1)


def part_errors(
    picture: Float[np.ndarray, "T 68 3"], truth: Float[np.ndarray, "T 68 3"]
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """Upper- and lower-face error of each frame in percent of the eye distance.

    Args:
        picture: landmarks in head space, whose unit is the eye distance.
        truth: the same of the true video.
    """
    distance = 100 * np.linalg.norm(picture - truth, axis=-1)
    return distance[:, UPPER_FACE].mean(1), distance[:, LOWER_FACE].mean(1)
