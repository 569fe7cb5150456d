"""The contrastive training of E_a: sound and lips of one moment belong together (section 3.3, Eq. 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.attributes.audio_encoder import AudioEncoder, MouthEncoder
from dfa_nerfstudio.attributes.objective import Objective
from dfa_nerfstudio.attributes.recordings import SoundAndLips
from dfa_nerfstudio.attributes.segments import random_windows
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME

MOST_CHECKED = 1500
"""Validation frames at most: every one is compared with every other."""


class SynchronisationObjective(Objective):
    """Eq. 3 over all pairs of sounds and mouths in a batch.

    A batch is a number of stretches of consecutive frames, of one recording or of many. The sound and the mouth of one
    frame are a positive pair; those of two frames are a negative one, whether from the same stretch (the same clip
    shifted by a few frames, the hard ones) or from another. Frames next to each other are neither: 40 ms apart, lips
    look the same.

    The cosine d of Eq. 3 lies in [-1, 1], where its logarithm is not defined. It is taken to (0, 1) by the logistic
    function sigma(a d + b) with a > 0 and b learnt, which keeps the order and calibrates it as a probability.
    Positives and negatives weigh the same in total. InfoNCE, as an option, takes softmax(a d) over the same pairs in
    both directions.
    """

    mfcc: Tensor
    row: Tensor
    lips: Tensor
    shot: Tensor
    weight: Tensor
    check_mfcc: Tensor
    check_row: Tensor
    check_lips: Tensor
    check_frames: Tensor

    def __init__(
        self, audio: AudioEncoder, mouth: MouthEncoder, training: SoundAndLips, check: SoundAndLips | None = None
    ) -> None:
        """
        Args:
            audio: E_a.
            mouth: the encoder of the mouth.
            training: what is learnt from; frames of shot -1 are not looked at.
            check: trains nothing and chooses the best weights.
        """
        super().__init__()
        self.audio, self.mouth = audio, mouth
        self.scale, self.bias = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(-3.0))
        self.hold(**vars(training))
        use = torch.zeros(0, dtype=torch.long)
        if check is not None:
            use = torch.nonzero(check.shot >= 0).flatten()
            use = use[:: 1 + len(use) // MOST_CHECKED]
            self.hold(check_mfcc=check.mfcc, check_row=check.row, check_lips=check.lips)
        self.hold(check_frames=use)

    def _loss(self, audio: Tensor, mouth: Tensor, frames: Int[Tensor, " B"]) -> Tensor:
        cosine = mouth @ audio.T  # [B, B]
        apart = (frames[:, None] - frames).abs()
        positive = apart == 0
        counted = apart != 1
        if self.audio.config.loss == "infonce":
            # The same frame can be drawn twice; then only one of them is the answer.
            diagonal = torch.eye(len(frames), dtype=torch.bool, device=frames.device)
            logits = (self.scale.exp() * cosine).masked_fill(~counted | (positive & ~diagonal), -1e4)
            answer = torch.arange(len(frames), device=frames.device)
            return (F.cross_entropy(logits, answer) + F.cross_entropy(logits.T, answer)) / 2
        losses = F.binary_cross_entropy_with_logits(
            self.scale.exp() * cosine + self.bias, positive.float(), reduction="none"
        )
        return (losses[positive].mean() + losses[counted & ~positive].mean()) / 2

    def _augment(self, stretches: Float[Tensor, "R L D"]) -> Float[Tensor, "R L D"]:
        config = self.audio.config
        shape, device = stretches.shape, stretches.device
        changed = stretches + config.gain * torch.randn(shape[0], 1, shape[2], device=device)
        changed = changed + config.noise * torch.randn(shape, device=device)
        starts = torch.rand(shape[:2], device=device) < config.masked / 4.5  # spans of 1 to 8 rows, 4.5 on average
        remaining = starts * torch.randint(1, 9, shape[:2], device=device)
        reach = (torch.arange(shape[1], device=device) + remaining).cummax(1).values
        masked = reach > torch.arange(shape[1], device=device)
        return changed.masked_fill(masked[..., None], 0.0)

    def _windows(self, mfcc: Float[Tensor, "B R D"]) -> Float[Tensor, "B*L W D"]:
        """The windows of the frames of each stretch, whose rows begin with the first frame's window."""
        return mfcc.unfold(1, self.audio.config.window, MFCC_PER_FRAME).transpose(2, 3).flatten(0, 1)

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Eq. 3 on augmented stretches."""
        config, device = self.audio.config, self.lips.device
        reach = config.mouth_frames // 2  # a mouth is not to be looked at across a cut
        length = min(config.run_length, len(self.lips) - 2 * reach)
        frames = random_windows(config.runs, length + 2 * reach, self.shot, self.weight)[:, reach : reach + length]
        # Rows of each stretch with the margins that its windows reach into.
        margin = config.window // 2
        rows = self.row[frames[:, :1]] + torch.arange(
            -margin, (length - 1) * MFCC_PER_FRAME + config.window - margin, device=device
        )
        sound = self._windows(self._augment(self.mfcc[rows.clamp(0, len(self.mfcc) - 1)]))
        lips = self.mouth.windows(self.lips)[frames.flatten()]
        return {"contrast": self._loss(self.audio(sound), self.mouth(lips), frames.flatten())}

    @torch.no_grad()
    def validation_loss(self) -> Tensor | None:
        """Eq. 3 over the validation frames without augmentation; None where there are none."""
        frames, config = self.check_frames, self.audio.config
        if len(frames) < 2 * config.run_length:
            return None
        rows = self.check_row[frames][:, None] + torch.arange(config.window, device=frames.device) - config.window // 2
        audio = self.audio(self.check_mfcc[rows.clamp(0, len(self.check_mfcc) - 1)])
        return self._loss(audio, self.mouth(self.mouth.windows(self.check_lips)[frames]), frames)
