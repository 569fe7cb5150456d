"""The 68 landmarks of a face in front view: groups of landmarks, gaps of lips and lids, and faces composed of two."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

NUM_LANDMARKS_68 = 68
LEFT_EYE_68, RIGHT_EYE_68, EYES_68 = slice(36, 42), slice(42, 48), slice(36, 48)
"""The eye on the image's left first, as in `ClipAttributes.eye_opening`."""
LIPS_68 = slice(48, 68)
UPPER_FACE_68 = [*range(17, 27), *range(36, 48)]
"""Brows and eyes, which f_e encodes. f_m encodes all others: jaw, nose and lips."""
UPPER_LIP_68, LOWER_LIP_68 = [61, 62, 63], [67, 66, 65]
"""Facing landmarks of the inner lips."""
UPPER_LIDS_68, LOWER_LIDS_68 = [[37, 38], [43, 44]], [[41, 40], [47, 46]]
"""Facing landmarks of the lids of each eye, the one on the image's left first."""


def compose_face(upper: Float[Tensor, "*B 68 3"], lower: Float[Tensor, "*B 68 3"]) -> Float[Tensor, "*B 68 3"]:
    """The face with the brows and eyes of `upper` and the jaw, nose and lips of `lower`, both in head space.

    Eq. 2 needs the landmarks of A with the mouth of B, a face that appears in no video. It can be composed in head
    space, where pose is removed and both faces have the same unit of length and origin. For two people, identity is
    first factored out by Eq. 1: each person's own S-bar + B_id F_id is subtracted and one mean face added to both
    (`SpeechModels.faces`), so that A does not get B's jaw. The parts follow the motion: blinking moves the lids and, a
    little, the brows; speaking moves the lips, the jaw and, a little, the tip of the nose; no landmark is in both.
    """
    face = lower.clone()
    face[..., UPPER_FACE_68, :] = upper[..., UPPER_FACE_68, :]
    return face


def lip_gap(faces: Float[Tensor, "T 68 3"]) -> Float[Tensor, "T 1"]:
    """Vertical distance between the inner lips, in head space units."""
    return (faces[:, UPPER_LIP_68, 1] - faces[:, LOWER_LIP_68, 1]).mean(1, keepdim=True)


def lid_gaps(faces: Float[Tensor, "T 68 3"]) -> Float[Tensor, "T 2"]:
    """Vertical distance between the lids of each eye, in head space units."""
    return (faces[:, UPPER_LIDS_68, 1] - faces[:, LOWER_LIDS_68, 1]).mean(-1)
