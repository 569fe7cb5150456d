"""Training data of section 3.4: motion with its audio features, of one person or of many."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.segments import windows_within_shot


@dataclass
class MotionSequences:
    """The valid frames of one or more recordings, concatenated to T frames."""

    motion: Float[Tensor, "T C"]
    """Standardised motion h."""
    audio: Float[Tensor, "T A"]
    """Audio feature f_a."""
    shot: Int[Tensor, " T"]
    """Shot number; the frames of one shot are consecutive."""
    weight: Float[Tensor, " T"]
    """Relative probability that a training window begins at a frame; see `sampling_weights`."""

    def __len__(self) -> int:
        return len(self.shot)

    def part(self, frames: slice) -> MotionSequences:
        """The frames of a slice."""
        return MotionSequences(self.motion[frames], self.audio[frames], self.shot[frames], self.weight[frames])

    def joined(self, other: MotionSequences) -> MotionSequences:
        """These frames and then those of another video, in shots of their own; all are drawn equally often."""
        shot = torch.cat([self.shot, other.shot + int(self.shot.max()) + 1])
        motion, audio = (torch.cat([getattr(self, name), getattr(other, name)]) for name in ("motion", "audio"))
        return MotionSequences(motion, audio, shot, torch.ones(len(shot)))

    def windows(self, length: int, hop: int) -> tuple[Float[Tensor, "N L C"], Float[Tensor, "N L A"]]:
        """Motion and audio of windows within one shot, one every `hop` frames; N = 0 if no shot is that long."""
        if len(self) < length:
            motion, audio = (x.new_zeros(0, length, x.shape[1]) for x in (self.motion, self.audio))
        else:
            allowed = windows_within_shot(self.shot, length)[::hop]
            motion, audio = (x.unfold(0, length, hop).transpose(1, 2)[allowed] for x in (self.motion, self.audio))
        return motion, audio
