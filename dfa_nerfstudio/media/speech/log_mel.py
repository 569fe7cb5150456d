"""Log-mel spectrum every 10 ms, as Whisper's encoder reads it, but without any scaling by the rest of the recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.media.feature_rows import WINDOW, stream_row_windows
from dfa_nerfstudio.media.mel_spectrum import mel_spectrum

NUM_MEL = 80
"""Mel bands, 0 to 8 kHz."""
MIN_LOG_POWER = -8.0
"""Smallest value of a band, as the decimal logarithm of its power. Digital silence has this value; the noise of a quiet
room lies above it."""


def stream_log_mel(chunks: Iterable[Float32[np.ndarray, " S"]]) -> Iterator[Float32[np.ndarray, "R 80"]]:
    """The log-mel rows of arriving audio, each at most 12.5 ms after its time.

    Row k is centred on k * 10 ms. Values are about -1 (silence) to 1.5 (loud speech).

    Args:
        chunks: 16 kHz audio in chunks of any length; the last video frame that has begun is padded with silence.
    """
    for samples, _ in stream_row_windows(chunks, WINDOW):
        yield (np.log10(np.maximum(mel_spectrum(samples, NUM_MEL), 10**MIN_LOG_POWER)) + 4) / 4
