"""Rows of audio features, one every 10 ms: how many there are, and which samples each one is computed from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.media.chunks import chunk_slices
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME, SAMPLE_RATE, SAMPLES_PER_MINUTE

HOP = round(SAMPLE_RATE / FRAME_RATE / MFCC_PER_FRAME)
"""Samples from one row to the next: 10 ms."""
WINDOW = round(0.025 * SAMPLE_RATE)
"""Samples that a row measures: 25 ms, centred on its time."""
ROWS_PER_MINUTE = SAMPLES_PER_MINUTE // HOP


def count_rows(num_samples: int) -> int:
    """The number of rows of the video frames that begin within `num_samples` samples.

    Example:
        >>> count_rows(641)
        8
    """
    return -(-num_samples // (HOP * MFCC_PER_FRAME)) * MFCC_PER_FRAME


def audio_minutes(audio: Float32[np.ndarray, " S"], num_rows: int) -> Iterator[Float32[np.ndarray, " n"]]:
    """The audio of `num_rows` rows, cut or padded with silence, in chunks of a minute.

    Spectra take a hundred times the memory of the audio, and are computed for one chunk at a time.
    """
    length = num_rows * HOP
    audio = np.pad(audio[:length], (0, max(length - len(audio), 0)))
    return (audio[part] for part in chunk_slices(length, SAMPLES_PER_MINUTE))


def stream_row_windows(
    chunks: Iterable[Float32[np.ndarray, " S"]], width: int
) -> Iterator[tuple[Float32[np.ndarray, " B"], bool]]:
    """The samples that the next rows are computed from, as soon as they have arrived.

    Row k is centred on k * 10 ms; there is silence before the first sample and after the last one.

    Args:
        chunks: 16 kHz audio in chunks of any length; the last video frame that has begun is padded with silence.
        width: samples of a row, at least two hops.

    Yields:
        samples of one row or more, whose windows of `width` samples begin every `HOP` samples, and whether they are
        the last ones.
    """
    pending = np.zeros(width // 2, np.float32)  # the samples from the next row's window on
    num_samples = num_rows = 0
    for chunk in chain(chunks, [None]):
        if chunk is None:
            ready = count_rows(num_samples) - num_rows
            missing = (ready - 1) * HOP + width - len(pending)
            pending = np.pad(pending, (0, max(missing, 0)))
        else:
            num_samples += len(chunk)
            pending = np.concatenate([pending, chunk])
            ready = (len(pending) - width) // HOP + 1
        if ready > 0:
            yield pending[: (ready - 1) * HOP + width], chunk is None
            pending, num_rows = pending[ready * HOP :], num_rows + ready
