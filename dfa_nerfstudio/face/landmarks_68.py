"""The 68 landmarks of a face seen from the front: which ones are mouth and eyes, how far these are open, and faces
composed of two."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

NUM_LANDMARKS = 68
LEFT_EYE, RIGHT_EYE, EYES = slice(36, 42), slice(42, 48), slice(36, 48)
"""The eye on the image's left first, as `ClipAttributes.eye_opening` has them."""
LIPS = slice(48, 68)
UPPER_FACE = [*range(17, 27), *range(36, 48)]
"""Brows and eyes: they go with f_e. All others (jaw, nose, lips) go with f_m."""
UPPER_LIP, LOWER_LIP = [61, 62, 63], [67, 66, 65]
"""The inner lips' landmarks that part."""
UPPER_LIDS, LOWER_LIDS = [[37, 38], [43, 44]], [[41, 40], [47, 46]]
"""Those of the lids, the eye on the image's left first."""


def compose(upper: Float[Tensor, "*B 68 3"], lower: Float[Tensor, "*B 68 3"]) -> Float[Tensor, "*B 68 3"]:
    """The face with the brows and eyes of `upper` and the jaw, nose and lips of `lower`, both in head space.

    Eq. 2 asks for the landmarks of A with the mouth of B, a face that no film shows. In head space, where pose is
    taken out and both faces have the same unit of length and origin, it can be put together from the two faces' own
    landmarks. Of different people, identity is factored out first by Eq. 1: each one's own S-bar + B_id F_id is
    subtracted and one mean face added to all (`SpeechModels.faces`), so that A does not get B's jaw. What belongs
    together: blinking moves the lids and, a little, the brows; speaking moves the lips, the jaw and, a little, the
    tip of the nose; no landmark belongs to both.
    """
    face = lower.clone()
    face[..., UPPER_FACE, :] = upper[..., UPPER_FACE, :]
    return face


def lip_gap(faces: Float[Tensor, "T 68 3"]) -> Float[Tensor, "T 1"]:
    """How far the inner lips are apart, in head space units."""
    return (faces[:, UPPER_LIP, 1] - faces[:, LOWER_LIP, 1]).mean(1, keepdim=True)


def lid_gaps(faces: Float[Tensor, "T 68 3"]) -> Float[Tensor, "T 2"]:
    """How far the lids of each eye are apart, in head space units."""
    return (faces[:, UPPER_LIDS, 1] - faces[:, LOWER_LIDS, 1]).mean(-1)
