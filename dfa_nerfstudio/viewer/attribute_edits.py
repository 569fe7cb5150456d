"""Changes to one attribute of a track that leave the others as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.motion_space import rotation_matrix
from dfa_nerfstudio.data.attribute_track import AttributeTrack

NECK = (0.0, -1.2, -0.9)
"""What a head turns about, in head space."""


@dataclass(frozen=True)
class Edits:
    """What the sliders say."""

    eyes: float | None = None
    """Opening of both eyes, 0 closed to 1 open; None leaves them to the track."""
    mouth: float = 1.0
    """How far the lips move: 0 keeps them shut, 2 moves them twice as far."""
    turn: float = 0.0
    """Degrees by which the head turns to its left."""
    tilt: float = 0.0
    """Degrees by which it tilts upwards."""

    def apply(
        self,
        track: AttributeTrack,
        shut: Float[Tensor, " A"] | None = None,
        eye_of: Callable[[Float[Tensor, "T 2"]], Float[Tensor, "T E"]] | None = None,
    ) -> AttributeTrack:
        """The changed track.

        Args:
            track: T frames.
            shut: the audio feature of shut lips; needed where `mouth` is not 1.
            eye_of: f_e of eye openings; needed where `eyes` is given.
        """
        if self.eyes is not None:
            assert eye_of is not None
            track = replace(track, eye=eye_of(torch.full((len(track), 2), self.eyes)).to(track.eye))
        if self.mouth != 1.0:
            assert shut is not None
            track = replace(track, audio=torch.lerp(shut.to(track.audio), track.audio, self.mouth))
        if self.turn or self.tilt:
            track = replace(track, head_to_camera=track.head_to_camera @ self._turned().to(track.audio))
        return track

    def _turned(self) -> Float[Tensor, "4 4"]:
        """From the head as it is to turned: a place on it is first turned about the neck."""
        angles = torch.deg2rad(torch.tensor([[-self.tilt, 0.0, 0.0], [0.0, self.turn, 0.0]]))
        tilt, turn = rotation_matrix(angles)
        moved, neck = torch.eye(4), torch.tensor(NECK)
        moved[:3, :3] = turn @ tilt
        moved[:3, 3] = neck - moved[:3, :3] @ neck
        return moved
