"""Mel-frequency cepstral coefficients every 10 ms, locked to the video's frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import librosa
import librosa.feature.spectral  # librosa would load it at its first use, when speech waits for it
import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME, SAMPLE_RATE

NUM_COEFFICIENTS = 13
WINDOW = round(0.025 * SAMPLE_RATE)
"""25 ms."""
HOP = round(SAMPLE_RATE / FRAME_RATE / MFCC_PER_FRAME)
"""10 ms."""
TRANSFORM = 512
"""Samples of a Fourier transform."""
REACH = 4
"""Rows to either side that a delta reaches."""
BLOCK = 6000
"""Rows, one minute, that are worked on at a time: spectra take a hundred times the memory of the sound."""


def row_blocks(audio: Float32[np.ndarray, " S"], rows: int, width: int) -> Iterator[Float32[np.ndarray, " B"]]:
    """The sound in blocks of which every `HOP`-th `width` samples are those around a row's time.

    Args:
        audio: 16 kHz; silence before and after it.
        rows: row k is centred on k * 10 ms; sound after the last one's hop is not heard.
        width: in samples.
    """
    audio = audio[: rows * HOP]
    for first in range(0, rows, BLOCK):
        start = first * HOP - width // 2
        stop = start + (min(BLOCK, rows - first) - 1) * HOP + width
        heard = audio[max(start, 0) : stop]
        before = max(-start, 0)
        yield np.pad(heard, (before, stop - start - before - len(heard)))


def mfcc(audio: Float32[np.ndarray, " S"], num_frames: int) -> Float32[np.ndarray, "T*4 26"]:
    """13 MFCC and their 13 deltas; row k is centred on k * 10 ms, so row 4 i on the start of frame i.

    No row is scaled by the loudness of the others: what is heard later changes nothing before, but for the reach of
    the deltas, 4 rows.

    Args:
        audio: 16 kHz; cut, or filled up with silence, to `num_frames`.
        num_frames: frames of video at 25 frames/s.
    """
    length = MFCC_PER_FRAME * num_frames * HOP
    audio = np.pad(audio[:length], (0, max(length - len(audio), 0)))
    minute = BLOCK * HOP
    return np.concatenate(list(stream_mfcc(audio[start : start + minute] for start in range(0, length, minute))))


def stream_mfcc(blocks: Iterable[Float32[np.ndarray, " S"]]) -> Iterator[Float32[np.ndarray, "R 26"]]:
    """The rows of `mfcc` of sound that is still arriving, as soon as they can be known: 56 ms after their time.

    Args:
        blocks: 16 kHz, in pieces of any length; the last frame begun is filled up with silence.

    Yields:
        the next rows, one or more.
    """
    heard = np.zeros(TRANSFORM // 2, np.float32)  # from half a transform before the next row on
    static = np.zeros((NUM_COEFFICIENTS, 0), np.float32)  # rows from `REACH` before the next delta on
    length = rows = 0
    for block in chain(blocks, [None]):
        if block is None:
            frames = -(-length // (MFCC_PER_FRAME * HOP))
            ready = MFCC_PER_FRAME * frames - rows
            heard = np.pad(heard, (0, max(ready * HOP + TRANSFORM - len(heard), 0)))
        else:
            length += len(block)
            heard = np.concatenate([heard, block])
            ready = (len(heard) - TRANSFORM) // HOP + 1
        if ready > 0:
            new = _static(heard[: (ready - 1) * HOP + TRANSFORM])
            before = np.repeat(new[:, :1], REACH, axis=1) if rows == 0 else static
            static = np.concatenate([before, new], axis=1)
            heard, rows = heard[ready * HOP :], rows + ready
        if block is None and rows:
            static = np.concatenate([static, np.repeat(static[:, -1:], REACH, axis=1)], axis=1)
        if static.shape[1] > 2 * REACH:
            delta = librosa.feature.delta(static, width=2 * REACH + 1, mode="nearest")
            yield np.concatenate([static, delta])[:, REACH:-REACH].T.astype(np.float32)
            static = static[:, -2 * REACH :]


def _static(heard: Float32[np.ndarray, " S"]) -> Float32[np.ndarray, "13 R"]:
    """Coefficients of every `HOP`-th transform."""
    power = librosa.feature.melspectrogram(
        y=heard, sr=SAMPLE_RATE, n_fft=TRANSFORM, win_length=WINDOW, hop_length=HOP, center=False, n_mels=40
    )
    decibel = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None)
    return librosa.feature.mfcc(S=decibel, n_mfcc=NUM_COEFFICIENTS)
