"""Contrastive training of E_a on pairs of audio and lips (section 3.3, Eq. 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.attributes.audio_encoder import AudioEncoder, MouthEncoder
from dfa_nerfstudio.attributes.objective import Objective
from dfa_nerfstudio.attributes.recordings import AudioVisualSequence
from dfa_nerfstudio.attributes.segments import random_windows
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME

MAX_VAL_FRAMES = 1500
"""Maximum number of validation frames, because every frame is compared with every other one."""


class ContrastiveObjective(Objective):
    """Eq. 3 over all pairs of audio and mouth in a batch.

    A batch consists of segments of consecutive frames, of one recording or of several. Audio and mouth of one frame
    are a positive pair. Those of two frames are a negative pair, whether from the same segment (shifted by a few
    frames, the hard negatives) or from another one. Neighbouring frames are neither, because lips look the same 40 ms
    apart.

    The cosine d of Eq. 3 lies in [-1, 1], where its logarithm is not defined. It is mapped to (0, 1) by the logistic
    function sigma(a d + b) with learnt a > 0 and b, which keeps the order and calibrates it as a probability.
    Positive and negative pairs have the same total weight. InfoNCE, as an option, uses softmax(a d) over the same
    pairs in both directions.
    """

    mfcc: Tensor
    row: Tensor
    lips: Tensor
    shot: Tensor
    weight: Tensor
    val_mfcc: Tensor
    val_row: Tensor
    val_lips: Tensor
    val_frames: Tensor

    def __init__(
        self,
        audio: AudioEncoder,
        mouth: MouthEncoder,
        train_data: AudioVisualSequence,
        val_data: AudioVisualSequence | None = None,
    ) -> None:
        """
        Args:
            audio: E_a.
            mouth: the mouth encoder.
            train_data: training frames; those of shot -1 are not used.
            val_data: validation frames, which select the best weights.
        """
        super().__init__()
        self.audio, self.mouth = audio, mouth
        self.scale, self.bias = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(-3.0))
        self.register_data(**vars(train_data))
        frames = torch.zeros(0, dtype=torch.long)
        if val_data is not None:
            frames = torch.nonzero(val_data.shot >= 0).flatten()
            frames = frames[:: 1 + len(frames) // MAX_VAL_FRAMES]
            self.register_data(val_mfcc=val_data.mfcc, val_row=val_data.row, val_lips=val_data.lips)
        self.register_data(val_frames=frames)

    def _loss(self, audio: Tensor, mouth: Tensor, frames: Int[Tensor, " B"]) -> Tensor:
        cosine = mouth @ audio.T  # [B, B]
        distance = (frames[:, None] - frames).abs()
        positive = distance == 0
        counted = distance != 1
        if self.audio.config.loss == "infonce":
            # A frame can be drawn twice; then only the pair on the diagonal is the target.
            diagonal = torch.eye(len(frames), dtype=torch.bool, device=frames.device)
            logits = (self.scale.exp() * cosine).masked_fill(~counted | (positive & ~diagonal), -1e4)
            target = torch.arange(len(frames), device=frames.device)
            return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        losses = F.binary_cross_entropy_with_logits(
            self.scale.exp() * cosine + self.bias, positive.float(), reduction="none"
        )
        return (losses[positive].mean() + losses[counted & ~positive].mean()) / 2

    def _augment(self, segments: Float[Tensor, "R L D"]) -> Float[Tensor, "R L D"]:
        """Adds gain and noise to the MFCC of each segment and masks spans of rows."""
        config = self.audio.config
        shape, device = segments.shape, segments.device
        augmented = segments + config.gain * torch.randn(shape[0], 1, shape[2], device=device)
        augmented = augmented + config.noise * torch.randn(shape, device=device)
        starts = torch.rand(shape[:2], device=device) < config.mask_share / 4.5  # spans of 1 to 8 rows, 4.5 on average
        remaining = starts * torch.randint(1, 9, shape[:2], device=device)
        end = (torch.arange(shape[1], device=device) + remaining).cummax(1).values
        masked = end > torch.arange(shape[1], device=device)
        return augmented.masked_fill(masked[..., None], 0.0)

    def _windows(self, mfcc: Float[Tensor, "B R D"]) -> Float[Tensor, "B*L W D"]:
        """The windows of the frames of each segment, whose rows begin with the first frame's window."""
        return mfcc.unfold(1, self.audio.config.window, MFCC_PER_FRAME).transpose(2, 3).flatten(0, 1)

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Computes Eq. 3 on augmented segments."""
        config, device = self.audio.config, self.lips.device
        reach = config.mouth_frames // 2  # windows of mouths must not cross a cut
        length = min(config.segment_length, len(self.lips) - 2 * reach)
        windows = random_windows(config.num_segments, length + 2 * reach, self.shot, self.weight)
        frames = windows[:, reach : reach + length]
        # Rows of each segment, with the margins that its windows need.
        margin = config.window // 2
        rows = self.row[frames[:, :1]] + torch.arange(
            -margin, (length - 1) * MFCC_PER_FRAME + config.window - margin, device=device
        )
        audio = self._windows(self._augment(self.mfcc[rows.clamp(0, len(self.mfcc) - 1)]))
        lips = self.mouth.windows(self.lips)[frames.flatten()]
        return {"contrast": self._loss(self.audio(audio), self.mouth(lips), frames.flatten())}

    @torch.no_grad()
    def validation_loss(self) -> Tensor | None:
        """Computes Eq. 3 over the validation frames without augmentation; None where there are too few."""
        frames, config = self.val_frames, self.audio.config
        if len(frames) < 2 * config.segment_length:
            return None
        rows = self.val_row[frames][:, None] + torch.arange(config.window, device=frames.device) - config.window // 2
        audio = self.audio(self.val_mfcc[rows.clamp(0, len(self.val_mfcc) - 1)])
        return self._loss(audio, self.mouth(self.mouth.windows(self.val_lips)[frames]), frames)
