"""Sound that says what the lips do: the audio encoder E_a and its contrastive training (section 3.3, Eq. 3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.attributes.fitting import FitConfig, Objective
from dfa_nerfstudio.attributes.shots import random_windows
from dfa_nerfstudio.data.dataset_folder import MFCC_PER_FRAME


@dataclass
class AudioEncoderConfig:
    """Options of E_a and its training."""

    window: int = 36
    """MFCC rows (10 ms each) that E_a sees, centred on the frame; half of it is look-ahead."""
    embedding_dim: int = 64
    """Size of f_a."""
    channels: int = 64
    """Width of the convolutions."""
    mouth_frames: int = 5
    """Frames of f_m that are compared with a sound (odd)."""
    loss: Literal["bce", "infonce"] = "bce"
    """Eq. 3 (`bce`), or InfoNCE over the same pairs."""
    runs: int = 16
    """Stretches of consecutive frames in a batch."""
    run_length: int = 16
    """Frames of a stretch: the others of the same stretch are the hard, slightly shifted negatives."""
    dropout: float = 0.4
    """Of channels between the convolutions."""
    noise: float = 0.4
    """Gaussian noise on the normalised MFCC."""
    gain: float = 0.4
    """Standard deviation of a random shift of each coefficient of a stretch: microphone and loudness."""
    masked: float = 0.3
    """Share of time that is masked in spans of up to 8 rows."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=300, learning_rate=1e-3, weight_decay=0.05))
    """Steps and rates."""


class AudioEncoder(nn.Module):
    """E_a: a CNN on a window of MFCC rows centred on a frame to f_a on the unit sphere."""

    def __init__(self, config: AudioEncoderConfig, num_coefficients: int) -> None:
        super().__init__()
        self.config = config
        self.num_coefficients = num_coefficients
        width = config.channels
        self.layers = nn.Sequential(
            nn.Conv1d(num_coefficients, width, 5, stride=2, padding=2),
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Dropout1d(config.dropout),
            nn.Conv1d(width, width, 3, stride=2, padding=1),
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Dropout1d(config.dropout),
            nn.Conv1d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Flatten(),
            nn.Dropout(config.dropout),
            nn.Linear(width * (-(-config.window // 4)), config.embedding_dim),
        )

    def forward(self, windows: Float[Tensor, "B W D"]) -> Float[Tensor, "B A"]:
        """f_a of windows of normalised MFCC."""
        return F.normalize(self.layers(windows.transpose(1, 2)), dim=-1)

    def windows(self, mfcc: Float[Tensor, "T*4 D"]) -> Float[Tensor, "T W D"]:
        """The window around the start of each frame; the recording's ends are extended by their last row.

        The result is a view: no window is copied.
        """
        before = self.config.window // 2
        after = self.config.window - before
        padded = torch.cat([mfcc[:1].expand(before, -1), mfcc, mfcc[-1:].expand(after, -1)])
        frames = len(mfcc) // MFCC_PER_FRAME
        return padded.unfold(0, self.config.window, MFCC_PER_FRAME)[:frames].transpose(1, 2)

    @torch.no_grad()
    def features(self, mfcc: Float[Tensor, "T*4 D"], chunk: int = 512) -> Float[Tensor, "T A"]:
        """f_a of every frame of a recording of any length, computed `chunk` frames at a time.

        Args:
            mfcc: normalised, four rows a frame.
            chunk: bounds the memory; the result does not depend on it.
        """
        return torch.cat([self(part) for part in self.windows(mfcc).split(chunk)])


class MouthEncoder(nn.Module):
    """The mouth's side of Eq. 3: f_m over a few frames through a small CNN to f_a's space."""

    def __init__(self, config: AudioEncoderConfig, mouth_dim: int) -> None:
        super().__init__()
        self.frames = config.mouth_frames
        self.layers = nn.Sequential(
            nn.Conv1d(mouth_dim, 64, 3, padding=1),
            nn.GroupNorm(8, 64),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Conv1d(64, 64, 3, padding=1),
            nn.GELU(),
            nn.Flatten(),
            nn.Dropout(config.dropout),
            nn.Linear(64 * config.mouth_frames, config.embedding_dim),
        )

    def forward(self, windows: Float[Tensor, "B F M"]) -> Float[Tensor, "B A"]:
        """Embeddings of windows of f_m."""
        return F.normalize(self.layers(windows.transpose(1, 2)), dim=-1)

    def windows(self, mouth: Float[Tensor, "T M"]) -> Float[Tensor, "T F M"]:
        """The window around each frame; the ends are extended by their last frame."""
        half = self.frames // 2
        padded = torch.cat([mouth[:1].expand(half, -1), mouth, mouth[-1:].expand(half, -1)])
        return padded.unfold(0, self.frames, 1).transpose(1, 2)


class SynchronisationObjective(Objective):
    """Eq. 3 over all pairs of sounds and mouths in a batch.

    A batch is a number of stretches of consecutive frames. The sound and the mouth of one frame are a positive pair;
    those of two frames are a negative one, whether from the same stretch (the same clip shifted by a few frames, the
    hard ones) or from another. Frames next to each other are neither: 40 ms apart, lips look the same.

    The cosine d of Eq. 3 lies in [-1, 1], where its logarithm is not defined. It is taken to (0, 1) by the logistic
    function sigma(a d + b) with a > 0 and b learnt, which keeps the order and calibrates it as a probability.
    Positives and negatives weigh the same in total. InfoNCE, as an option, takes softmax(a d) over the same pairs in
    both directions.
    """

    mfcc: Tensor
    lips: Tensor
    shot: Tensor
    check_mfcc: Tensor
    check_lips: Tensor
    check_shot: Tensor

    def __init__(
        self,
        audio: AudioEncoder,
        mouth: MouthEncoder,
        mfcc: Float[Tensor, "T*4 D"],
        lips: Float[Tensor, "T M"],
        shot: Int[Tensor, " T"],
        num_validation: int = 0,
    ) -> None:
        """
        Args:
            audio: E_a.
            mouth: the encoder of the mouth.
            mfcc: normalised, of training frames.
            lips: f_m of training frames, unit variance.
            shot: of training frames; frames of shot -1 are not looked at.
            num_validation: so many frames at the end train nothing and choose the best weights.
        """
        super().__init__()
        self.audio, self.mouth = audio, mouth
        self.scale, self.bias = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(-3.0))
        split = len(lips) - num_validation
        rows = split * MFCC_PER_FRAME
        self.hold(mfcc=mfcc[:rows], lips=lips[:split], shot=shot[:split])
        self.hold(check_mfcc=mfcc[rows:], check_lips=lips[split:], check_shot=shot[split:])

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

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Eq. 3 on augmented stretches."""
        config, device = self.audio.config, self.lips.device
        reach = config.mouth_frames // 2  # a mouth is not to be looked at across a cut
        length = min(config.run_length, len(self.lips) - 2 * reach)
        frames = random_windows(config.runs, length + 2 * reach, self.shot)[:, reach : reach + length]  # [R, L]
        starts = frames[:, :1]
        margin = config.window // 2
        # Rows of each stretch with the margins that its windows reach into.
        rows = starts * MFCC_PER_FRAME + torch.arange(
            -margin, (length - 1) * MFCC_PER_FRAME + config.window - margin, device=device
        )
        sound = self._augment(self.mfcc[rows.clamp(0, len(self.mfcc) - 1)])  # [R, L*4 + W - 4, D]
        sound = sound.unfold(1, config.window, MFCC_PER_FRAME).transpose(2, 3).flatten(0, 1)  # [R L, W, D]
        lips = self.mouth.windows(self.lips)[frames.flatten()]
        return {"contrast": self._loss(self.audio(sound), self.mouth(lips), frames.flatten())}

    @torch.no_grad()
    def validation_loss(self) -> Tensor | None:
        """Eq. 3 over the validation frames without augmentation; None where there are none."""
        if len(self.check_lips) < 2 * self.audio.config.run_length:
            return None
        audio, mouth = self.audio.features(self.check_mfcc), self.mouth(self.mouth.windows(self.check_lips))
        use = torch.nonzero(self.check_shot >= 0).flatten()
        return self._loss(audio[use], mouth[use], use)
