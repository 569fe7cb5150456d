"""Deterministic recurrent model of head motion and blinks, after Yi et al. [52]."""

from __future__ import annotations

from jaxtyping import Float
from torch import Generator, Tensor, nn

from dfa_nerfstudio.evaluation.systems.motion.motion_model import MotionModel, blend


class RecurrentMotion(MotionModel):
    """An LSTM from f_a to h (R. Yi et al., "Audio-driven talking face video generation with learning-based personalized
    head pose", 2020): three layers of 256 units, trained by regression with an inter-frame continuity loss.

    The paper's network predicts expression and pose. Here it predicts h, so that blinks come from the same network.
    """

    def __init__(self, audio_dim: int, motion_dim: int, width: int = 256, layers: int = 3) -> None:
        super().__init__()
        self.layers = nn.LSTM(audio_dim, width, layers, batch_first=True)
        self.out = nn.Linear(width, motion_dim)

    def generate(
        self, audio: Float[Tensor, "N T A"], start: Float[Tensor, "N tau C"], generator: Generator | None = None
    ) -> Float[Tensor, "N T C"]:
        return blend(self.out(self.layers(audio)[0]), start)
