"""Mel-frequency cepstral coefficients every 10 ms, locked to the video's frames."""

from __future__ import annotations

from collections.abc import Iterator

import librosa
import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.data.dataset_folder import FRAME_RATE, MFCC_PER_FRAME, SAMPLE_RATE

NUM_COEFFICIENTS = 13
WINDOW = round(0.025 * SAMPLE_RATE)
"""25 ms."""
HOP = round(SAMPLE_RATE / FRAME_RATE / MFCC_PER_FRAME)
"""10 ms."""
TRANSFORM = 512
"""Samples of a Fourier transform."""
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
    rows = MFCC_PER_FRAME * num_frames
    statics = []
    for block in row_blocks(audio, rows, TRANSFORM):
        power = librosa.feature.melspectrogram(
            y=block, sr=SAMPLE_RATE, n_fft=TRANSFORM, win_length=WINDOW, hop_length=HOP, center=False, n_mels=40
        )
        decibel = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None)
        statics.append(librosa.feature.mfcc(S=decibel, n_mfcc=NUM_COEFFICIENTS))
    static = np.concatenate(statics, axis=1)
    delta = librosa.feature.delta(static, width=9, mode="nearest")
    return np.concatenate([static, delta]).T.astype(np.float32)  # [4 T, 26]
