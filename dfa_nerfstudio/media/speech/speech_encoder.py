"""The speech encoder: a small causal network that imitates Whisper's encoder, with bounded look-ahead.

Whisper's encoder reads 30 s in both directions and has 20 million weights. The speech encoder reads 0.13 s ahead of a
frame's end and has about one million, so it serves live audio, and its weights travel with the package.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from dfa_nerfstudio.media.chunks import context_chunks
from dfa_nerfstudio.media.speech.log_mel import NUM_MEL, stream_log_mel
from dfa_nerfstudio.media.speech.time_convolution import TimeConvolution

STATES_PER_FRAME = 2
"""States per video frame: one every 20 ms, as Whisper's encoder has."""
ROWS_PER_STATE = 2
"""Log-mel rows per state."""
KERNEL = 3
"""Kernel size of the convolutions."""


@dataclass
class SpeechEncoderConfig:
    """Sizes of the speech encoder."""

    width: int = 192
    """Number of channels."""
    dilations: tuple[int, ...] = (1, 1, 2, 4, 8, 4, 2, 1)
    """Dilation of each block, in states of 20 ms."""
    look_ahead: tuple[int, ...] = (1, 1, 2, 0, 0, 0, 0, 1)
    """States that each block reads ahead; its other inputs lie in the past."""
    joined_block: int = 3
    """Block whose normalised input joins the states, because lower layers tell more of how a sound is made."""


class SpeechEncoder(nn.Module):
    """Log-mel rows to states, two per video frame.

    A state is the last hidden layer and a lower one. The linear layer from the last one to Whisper's states is needed
    in training only: lips are predicted better from the two hidden layers.

    Example:
        >>> encoder = SpeechEncoder(SpeechEncoderConfig(width=8))
        >>> encoder.encode(np.zeros(16_000, np.float32)).shape
        torch.Size([25, 32])
    """

    def __init__(self, config: SpeechEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.fingerprint = ""
        """Hash of the weights' file; empty for weights that were not loaded from one."""
        width = config.width
        self.first = TimeConvolution(NUM_MEL, width, KERNEL)
        self.second = TimeConvolution(width, width, KERNEL, stride=ROWS_PER_STATE)
        self.blocks = nn.ModuleList(
            nn.Sequential(TimeConvolution(width, width, KERNEL, dilation), nn.GELU(), nn.Linear(width, width))
            for dilation in config.dilations
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in config.dilations)
        self.last = nn.LayerNorm(width)

    @property
    def state_dim(self) -> int:
        """Number of values of a state."""
        return 2 * self.config.width

    def _context(self, first_block: int) -> tuple[int, int]:
        """States of context before and after a state that the blocks from `first_block` on need, and one more each."""
        reach = [(KERNEL - 1) * dilation for dilation in self.config.dilations[first_block:]]
        after = sum(self.config.look_ahead[first_block:])
        return sum(reach) - after + 1, after + 1

    @property
    def past(self) -> int:
        """States of context before a state."""
        return self._context(0)[0]

    @property
    def future(self) -> int:
        """States of context after a state."""
        return self._context(0)[1]

    def forward(self, rows: Float[Tensor, "B R 80"]) -> Float[Tensor, "B S D"]:
        """Computes the states of rows that include the context of `past` and `future` states at both ends.

        Args:
            rows: 2 * (past + S + future) log-mel rows.
        """
        hidden = F.gelu(self.first(F.pad(rows, (0, 0, 1, 1))))
        hidden = F.gelu(self.second(F.pad(hidden, (0, 0, 1, 0))))  # [B, past + S + future, W]
        lower = hidden
        settings = zip(self.norms, self.blocks, self.config.dilations, self.config.look_ahead, strict=True)
        for number, (norm, block, dilation, ahead) in enumerate(settings):
            inputs = norm(hidden)
            if number == self.config.joined_block:
                before, after = self._context(number)
                lower = inputs[:, before:-after]
            own = hidden[:, (KERNEL - 1) * dilation - ahead : hidden.shape[1] - ahead]
            hidden = own + block(inputs)
        return torch.cat([self.last(hidden[:, 1:-1]), lower], -1)

    @torch.no_grad()
    def stream(self, chunks: Iterable[Float32[np.ndarray, " S"]]) -> Iterator[Float[Tensor, "n 2*D"]]:
        """Computes the states of the next video frames, as soon as the rows they depend on have arrived.

        The audio's first and last row are repeated at its ends.

        Args:
            chunks: 16 kHz audio in chunks of any length; its last video frame is padded with silence.
        """
        rows = (torch.from_numpy(chunk) for chunk in stream_log_mel(chunks))
        before, after = ROWS_PER_STATE * self.past, ROWS_PER_STATE * self.future
        for context in context_chunks(rows, before, after, ROWS_PER_STATE * STATES_PER_FRAME):
            yield self(context[None])[0].reshape(-1, STATES_PER_FRAME * self.state_dim)

    def encode(self, audio: Float32[np.ndarray, " S"]) -> Float[Tensor, "T 2*D"]:
        """Computes the states of all video frames of a recording."""
        return torch.cat(list(self.stream([audio])))


WEIGHTS = Path(__file__).with_name("speech_encoder.pt")
"""The package's own weights, in half precision, and where they come from: `docs/speech-encoder.md`."""


@cache
def shipped_speech_encoder() -> SpeechEncoder:
    """The speech encoder with the package's own weights, loaded once per process."""
    content = WEIGHTS.read_bytes()
    stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    encoder = SpeechEncoder(SpeechEncoderConfig(**stored["config"]))
    encoder.load_state_dict({name: values.float() for name, values in stored["weights"].items()})
    encoder.fingerprint = hashlib.sha256(content).hexdigest()[:12]
    return encoder.eval().requires_grad_(False)
