"""Edits single attributes of a track and leaves the others unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.motion_space import rotation_matrix
from dfa_nerfstudio.data.attribute_track import AttributeTrack

NECK_PIVOT = (0.0, -1.2, -0.9)
"""Pivot of head rotations, in head space."""


@dataclass(frozen=True)
class AttributeEdits:
    """Edits of a track, as set by the sliders."""

    eye_opening: float | None = None
    """Opening of both eyes, 0 closed to 1 open; None keeps the track's."""
    mouth_amplitude: float = 1.0
    """Factor on the lips' deviation from the closed mouth: 0 keeps it closed, 2 doubles the motion."""
    yaw: float = 0.0
    """Rotation of the head to its left, in degrees."""
    pitch: float = 0.0
    """Rotation of the head upwards, in degrees."""

    def apply(
        self,
        track: AttributeTrack,
        closed_mouth: Float[Tensor, " A"] | None = None,
        eye_embedding: Callable[[Float[Tensor, "T 2"]], Float[Tensor, "T E"]] | None = None,
    ) -> AttributeTrack:
        """Returns the edited track.

        Args:
            track: T frames.
            closed_mouth: condition of the closed mouth; required if `mouth_amplitude` is not 1.
            eye_embedding: maps eye openings to f_e; required if `eye_opening` is given.
        """
        if self.eye_opening is not None:
            assert eye_embedding is not None
            track = replace(track, eye=eye_embedding(torch.full((len(track), 2), self.eye_opening)).to(track.eye))
        if self.mouth_amplitude != 1.0:
            assert closed_mouth is not None
            track = replace(track, mouth=torch.lerp(closed_mouth.to(track.mouth), track.mouth, self.mouth_amplitude))
        if self.yaw or self.pitch:
            track = replace(track, head_to_camera=track.head_to_camera @ self._rotation().to(track.mouth))
        return track

    def _rotation(self) -> Float[Tensor, "4 4"]:
        """Returns the rotation about the neck in head space: pitch first, then yaw."""
        angles = torch.deg2rad(torch.tensor([[-self.pitch, 0.0, 0.0], [0.0, self.yaw, 0.0]]))
        pitch, yaw = rotation_matrix(angles)
        transform, neck = torch.eye(4), torch.tensor(NECK_PIVOT)
        transform[:3, :3] = yaw @ pitch
        transform[:3, 3] = neck - transform[:3, :3] @ neck
        return transform
