"""What the models of section 3.4 learn from: motion and the sound that goes with it, of one person or of many."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.segments import whole_windows


@dataclass
class MotionSequences:
    """Useful frames laid end to end, T in all."""

    motion: Float[Tensor, "T C"]
    """h, standardised."""
    audio: Float[Tensor, "T A"]
    """f_a."""
    shot: Int[Tensor, " T"]
    """Frames of one number follow each other."""
    weight: Float[Tensor, " T"]
    """How often a window begins at a frame: see `frame_weights`."""

    def __len__(self) -> int:
        return len(self.shot)

    def part(self, frames: slice) -> MotionSequences:
        """A stretch of it."""
        return MotionSequences(self.motion[frames], self.audio[frames], self.shot[frames], self.weight[frames])

    def windows(self, length: int, hop: int) -> tuple[Float[Tensor, "N L C"], Float[Tensor, "N L A"]]:
        """Motion and sound of windows without a cut, one every `hop` frames; none where no shot is as long."""
        if len(self) < length:
            motion, audio = (x.new_zeros(0, length, x.shape[1]) for x in (self.motion, self.audio))
        else:
            whole = whole_windows(self.shot, length)[::hop]
            motion, audio = (x.unfold(0, length, hop).transpose(1, 2)[whole] for x in (self.motion, self.audio))
        return motion, audio
