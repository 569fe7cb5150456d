"""Options of driven lips. A light module, because command lines import it at every start."""

from __future__ import annotations

from dataclasses import dataclass

from dfa_nerfstudio.errors import UserError


@dataclass
class LipConfig:
    """How predicted lips are post-processed."""

    mouth_amplitude: float = 1.0
    """Factor on the distance of the lips from the closed mouth, 0 to 3."""
    restore_variance: bool = True
    """Gives lip motion the amplitude and the closures that the person has; otherwise it has those of the prediction,
    which are smaller and fewer."""
    lip_projection: float = 1.0
    """How far predicted lips are projected onto the person's own lip shapes: 0 (not) to 1 (fully)."""
    smooth_lips: float = 0.0
    """Standard deviation, in frames, of a Gaussian window that smooths lip motion, 0 to 10; 0 disables it. The window
    is symmetric, so that lips do not lag behind the audio."""

    def __post_init__(self) -> None:
        if not 0 <= self.smooth_lips <= 10:
            raise UserError(f"`smooth_lips={self.smooth_lips:g}`: give 0 to 10 frames")
        if not 0 <= self.mouth_amplitude <= 3:
            raise UserError(f"`mouth_amplitude={self.mouth_amplitude:g}`: give 0 to 3")
        if not 0 <= self.lip_projection <= 1:
            raise UserError(f"`lip_projection={self.lip_projection:g}`: give 0 to 1")
