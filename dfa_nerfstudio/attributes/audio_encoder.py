"""The audio encoder E_a and the mouth encoder of its contrastive loss (section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.attributes.objective import FitConfig
from dfa_nerfstudio.attributes.segments import padded_windows
from dfa_nerfstudio.media.chunks import sliding_windows
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME


@dataclass
class AudioEncoderConfig:
    """Options of E_a and its training."""

    window: int = 36
    """Length of E_a's input window in MFCC rows (10 ms each), centred on the frame; half of it is look-ahead."""
    embedding_dim: int = 64
    """Size of f_a."""
    channels: int = 64
    """Number of channels of the convolutions."""
    mouth_frames: int = 9
    """Number of frames of f_m (odd) that are compared with one window of audio."""
    loss: Literal["bce", "infonce"] = "bce"
    """Contrastive loss: Eq. 3 (`bce`), or InfoNCE over the same pairs."""
    num_segments: int = 16
    """Number of segments of consecutive frames in a batch."""
    segment_length: int = 16
    """Frames per segment; the other frames of a segment are hard negatives, shifted by a few frames."""
    dropout: float = 0.2
    """Dropout rate of channels between the convolutions."""
    noise: float = 0.4
    """Standard deviation of Gaussian noise on the normalised MFCC."""
    gain: float = 0.4
    """Standard deviation of a random shift of each coefficient of a segment, which imitates other microphones and
    loudness."""
    mask_share: float = 0.3
    """Share of time that is masked, in spans of up to 8 rows."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=300, learning_rate=1e-3, weight_decay=0.05))
    """Training options."""


class AudioEncoder(nn.Module):
    """E_a: a CNN from a window of MFCC rows, centred on a frame, to f_a on the unit sphere."""

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
        """Computes f_a of windows of normalised MFCC."""
        return F.normalize(self.layers(windows.transpose(1, 2)), dim=-1)

    def windows(self, mfcc: Float[Tensor, "R D"], every: int = MFCC_PER_FRAME) -> Float[Tensor, "T W D"]:
        """The windows around the start of each frame, or around every `every`-th row, as a view without copies."""
        return padded_windows(mfcc, self.config.window // 2, self.config.window, every).transpose(1, 2)

    @torch.no_grad()
    def features(
        self, mfcc: Float[Tensor, "R D"], chunk: int = 512, every: int = MFCC_PER_FRAME
    ) -> Float[Tensor, "T A"]:
        """Computes f_a of every frame of a recording of any length, `chunk` frames at a time.

        Args:
            mfcc: normalised MFCC, four rows per frame.
            chunk: bounds the memory; the result does not depend on it.
            every: see `windows`.
        """
        return torch.cat([self(part) for part in self.windows(mfcc, every).split(chunk)])

    @property
    def latency(self) -> float:
        """Look-ahead in seconds: f_a of a frame needs the audio up to this long after the frame's start."""
        return (self.config.window - self.config.window // 2) / (FRAME_RATE * MFCC_PER_FRAME)

    @torch.no_grad()
    def stream(self, chunks: Iterable[Float[Tensor, "R D"]]) -> Iterator[Float[Tensor, "N A"]]:
        """Computes f_a of arriving audio: the same values as `features`, as soon as their windows are complete.

        Args:
            chunks: normalised MFCC in chunks of any length, which may be empty; four rows per frame in total.

        Yields:
            f_a of the next frames, `latency` behind the audio; the last frames at the end of the chunks.
        """
        window = self.config.window
        for windows in sliding_windows(chunks, window // 2, window, MFCC_PER_FRAME):
            yield self(windows.transpose(1, 2))


class MouthEncoder(nn.Module):
    """The mouth encoder of Eq. 3: a small CNN from a few frames of f_m to the space of f_a."""

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
        """Embeds windows of f_m."""
        return F.normalize(self.layers(windows.transpose(1, 2)), dim=-1)

    def windows(self, mouth: Float[Tensor, "T M"]) -> Float[Tensor, "T F M"]:
        """The windows around each frame."""
        return padded_windows(mouth, self.frames // 2, self.frames).transpose(1, 2)
