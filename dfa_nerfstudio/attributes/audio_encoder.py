"""Sound that says what the lips do: the audio encoder E_a (section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.attributes.objective import FitConfig
from dfa_nerfstudio.media.chunks import sliding_windows
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME


@dataclass
class AudioEncoderConfig:
    """Options of E_a and its training."""

    window: int = 36
    """MFCC rows (10 ms each) that E_a sees, centred on the frame; half of it is look-ahead."""
    embedding_dim: int = 64
    """Size of f_a."""
    channels: int = 64
    """Width of the convolutions."""
    mouth_frames: int = 9
    """Frames of f_m that are compared with a sound (odd)."""
    loss: Literal["bce", "infonce"] = "bce"
    """Eq. 3 (`bce`), or InfoNCE over the same pairs."""
    runs: int = 16
    """Stretches of consecutive frames in a batch."""
    run_length: int = 16
    """Frames of a stretch: the others of the same stretch are the hard, slightly shifted negatives."""
    dropout: float = 0.2
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

    def sliding_windows(self, mfcc: Float[Tensor, "R D"], every: int = MFCC_PER_FRAME) -> Float[Tensor, "T W D"]:
        """The window around the start of each frame, or around one of `every` so many rows; the recording's ends are
        extended by their last row.

        The result is a view: no window is copied.
        """
        before = self.config.window // 2
        after = self.config.window - before
        padded = torch.cat([mfcc[:1].expand(before, -1), mfcc, mfcc[-1:].expand(after, -1)])
        return padded.unfold(0, self.config.window, every)[: len(mfcc) // every].transpose(1, 2)

    @torch.no_grad()
    def features(
        self, mfcc: Float[Tensor, "R D"], chunk: int = 512, every: int = MFCC_PER_FRAME
    ) -> Float[Tensor, "T A"]:
        """f_a of every frame of a recording of any length, computed `chunk` frames at a time.

        Args:
            mfcc: normalised, four rows a frame.
            chunk: bounds the memory; the result does not depend on it.
            every: see `windows`.
        """
        return torch.cat([self(part) for part in self.windows(mfcc, every).split(chunk)])

    @property
    def latency(self) -> float:
        """Seconds of sound after a frame's start that must have been heard before its f_a is known."""
        return (self.config.window - self.config.window // 2) / (FRAME_RATE * MFCC_PER_FRAME)

    @torch.no_grad()
    def stream(self, blocks: Iterable[Float[Tensor, "R D"]]) -> Iterator[Float[Tensor, "N A"]]:
        """f_a of sound that is still arriving: the same numbers as `features`, as soon as they can be known.

        Args:
            blocks: normalised MFCC in pieces of any length, empty ones too; four rows a frame in all.

        Yields:
            The next frames' f_a, `latency` behind the sound; at the end of the blocks the last ones.
        """
        window = self.config.window
        for piece in sliding_windows(blocks, window // 2, window, MFCC_PER_FRAME):
            yield self(piece.transpose(1, 2))


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

    def sliding_windows(self, mouth: Float[Tensor, "T M"]) -> Float[Tensor, "T F M"]:
        """The window around each frame; the ends are extended by their last frame."""
        half = self.frames // 2
        padded = torch.cat([mouth[:1].expand(half, -1), mouth, mouth[-1:].expand(half, -1)])
        return padded.unfold(0, self.frames, 1).transpose(1, 2)
