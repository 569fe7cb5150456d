"""Head motion in the rhythm of a reference clip, after Chen et al. [7]."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.segments import random_windows
from dfa_nerfstudio.evaluation.systems.motion.motion_model import MotionModel, blend

REFERENCE_FRAMES = 64
"""Length of the reference clip."""


class RhythmicMotion(MotionModel):
    """An LSTM encodes motion and f_a of a short reference clip; another one decodes f_a in that rhythm (L. Chen et al.,
    "Talking-head generation with rhythmic head motion", 2020).

    The reference is a segment of the person's training frames. Another segment gives other motion, so the seed draws
    it; the mean prediction uses the one in the middle.
    """

    varies = True

    reference: Tensor
    """Motion and f_a of the training frames [T, C + A]."""
    shot: Tensor
    """Shot number of the training frames [T]."""

    def __init__(self, train: MotionSequences, width: int = 128) -> None:
        super().__init__()
        audio_dim, motion_dim = train.audio.shape[1], train.motion.shape[1]
        self.encoder = nn.LSTM(audio_dim + motion_dim, width, batch_first=True)
        self.decoder = nn.LSTM(audio_dim + width, width, 2, batch_first=True)
        self.out = nn.Linear(width, motion_dim)
        self.register_buffer("reference", torch.cat([train.motion, train.audio], 1))
        self.register_buffer("shot", train.shot)

    def generate(
        self, audio: Float[Tensor, "N T A"], start: Float[Tensor, "N tau C"], generator: Generator | None = None
    ) -> Float[Tensor, "N T C"]:
        frames = self._reference_frames(len(audio), generator)
        _, (rhythm, _) = self.encoder(self.reference[frames])
        conditions = torch.cat([audio, rhythm[-1][:, None].expand(-1, audio.shape[1], -1)], -1)
        return blend(self.out(self.decoder(conditions)[0]), start)

    def _reference_frames(self, count: int, generator: Generator | None) -> Int[Tensor, "N R"]:
        """Frames of the reference clip: drawn in training and by seed, otherwise those in the middle."""
        length = min(REFERENCE_FRAMES, len(self.reference))
        if self.training:
            return random_windows(count, length, self.shot)
        room = len(self.reference) - length
        first = room // 2 if generator is None else int(torch.randint(room + 1, (), generator=generator))
        return (first + torch.arange(length)).expand(count, -1)
