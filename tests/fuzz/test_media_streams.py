"""Streams give the same numbers for every chunking of their input: chunks, PCM, spectra, voice, speech encoders."""

from __future__ import annotations

from functools import cache
from queue import Queue
from typing import Any
from unittest import mock

import numpy as np
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from dfa_nerfstudio.data.audio_features import AudioSource, MfccFeature
from dfa_nerfstudio.media import chunks as media_chunks
from dfa_nerfstudio.media import vad
from dfa_nerfstudio.media.feature_rows import HOP, WINDOW, count_rows, stream_row_windows
from dfa_nerfstudio.media.mfcc import mfcc, stream_mfcc
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME
from dfa_nerfstudio.media.speech.log_mel import stream_log_mel
from dfa_nerfstudio.media.speech.speech_encoder import SpeechEncoder, SpeechEncoderConfig
from dfa_nerfstudio.media.speech.whisper_encoder import CONTEXT_S, WhisperEncoder
from dfa_nerfstudio.talk import pcm_source
from tests.fuzz.chunking import SPEECH, cuts, joined, recordings, split

lengths = st.integers(0, 60)


@given(length=lengths, borders=cuts, start=lengths, stop=st.none() | lengths, size=st.integers(1, 20))
def test_slicing_merging_and_zipping(
    length: int, borders: list[float], start: int, stop: int | None, size: int
) -> None:
    values = np.arange(length)
    parts = split(values, borders)
    np.testing.assert_array_equal(joined(media_chunks.slice_chunks(parts, start, stop)), values[start:stop])
    merged = list(media_chunks.merge_chunks(parts, size))
    np.testing.assert_array_equal(joined(iter(merged)), values)
    assert all(len(chunk) >= size for chunk in merged[:-1])
    pairs = list(media_chunks.zip_chunks(parts, split(values[start:], borders[::2])))
    assert all(len(one) == len(other) > 0 for one, other in pairs)
    np.testing.assert_array_equal(joined(one for one, _ in pairs), values[: max(length - start, 0)])
    np.testing.assert_array_equal(joined(other for _, other in pairs), values[start:])


@given(length=lengths, borders=cuts, before=st.integers(0, 9), width=st.integers(1, 20), stride=st.integers(1, 7))
@example(length=1, borders=[], before=0, width=1, stride=2)  # a row, but not the two of a stride
def test_windows(length: int, borders: list[float], before: int, width: int, stride: int) -> None:
    values = torch.arange(length)
    before = min(before, width - 1)
    padded = np.pad(values.numpy(), (before, width), mode="edge") if length else np.zeros(0, int)
    windows = joined(media_chunks.sliding_windows(split(values, borders), before, width, stride))
    expected = [padded[row * stride : row * stride + width] for row in range(length // stride)]
    np.testing.assert_array_equal(windows, np.array(expected) if expected else np.zeros(0))
    rows = 0
    for chunk in media_chunks.context_chunks(split(values, borders), before, width, stride):
        own = len(chunk) - before - width
        assert own > 0 and own % stride == 0
        np.testing.assert_array_equal(chunk, padded[rows : rows + len(chunk)])
        rows += own
    assert rows == length // stride * stride


@given(audio=recordings(), borders=cuts)
@example(audio=np.zeros(0, np.float32), borders=[])
@example(audio=np.zeros(1, np.float32), borders=[0.0])
def test_spectra(audio: np.ndarray, borders: list[float]) -> None:
    parts, num_rows = split(audio, borders), count_rows(len(audio))
    rows = [samples[: 1 + (len(samples) - WINDOW) // HOP] for samples, _ in stream_row_windows(parts, WINDOW)]
    assert sum(map(len, rows)) == num_rows
    for stream in (stream_mfcc, stream_log_mel):
        streamed = joined(stream(parts))
        assert len(streamed) == num_rows
        np.testing.assert_allclose(streamed, joined(stream([audio])), rtol=1e-4, atol=2e-3)
    if num_rows:
        whole = mfcc(audio, num_rows // MFCC_PER_FRAME)
        np.testing.assert_allclose(joined(stream_mfcc(parts)), whole, rtol=1e-4, atol=2e-3)


@given(audio=recordings(), borders=cuts, lookahead=st.sampled_from([0, 100, 6000]), memory=st.sampled_from([60, 6000]))
@example(audio=SPEECH[:48_000], borders=[0.1, 0.4, 0.45], lookahead=100, memory=60)  # longer than what is looked ahead
def test_voice_activity(audio: np.ndarray, borders: list[float], lookahead: int, memory: int) -> None:
    with mock.patch.object(vad, "ROWS_PER_MINUTE", memory):
        whole = joined(vad.stream_voice_activity([audio], lookahead))
        assert len(whole) == count_rows(len(audio))
        np.testing.assert_array_equal(joined(vad.stream_voice_activity(split(audio, borders), lookahead)), whole)


@cache
def speech_encoder() -> SpeechEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SpeechEncoder(SpeechEncoderConfig(width=8)).eval()


@given(audio=recordings(), borders=cuts)
def test_speech_encoder(audio: np.ndarray, borders: list[float]) -> None:
    whole = joined(speech_encoder().stream([audio]))
    assert len(whole) == count_rows(len(audio)) // MFCC_PER_FRAME
    np.testing.assert_allclose(joined(speech_encoder().stream(split(audio, borders))), whole, atol=2e-4)


class StubbedWhisper(WhisperEncoder):
    """Whisper's windows with the sum of a frame's neighbourhood in the place of its states."""

    def __init__(self) -> None:
        pass

    def encode_window(self, samples: np.ndarray, first: int, stop: int) -> torch.Tensor:
        assert len(samples) <= 30 * 16_000
        reach = CONTEXT_S * 16_000
        sums = np.concatenate([np.zeros(reach), np.cumsum(samples, dtype=float)])
        sums = np.pad(sums, (1, reach), mode="edge")
        ends = np.arange(first, stop, 640)
        return torch.from_numpy(sums[ends + 2 * reach] - sums[ends])[:, None]


@given(seconds=st.floats(0, 70), borders=cuts)
@example(seconds=25.0, borders=[])
def test_whisper(seconds: float, borders: list[float]) -> None:
    audio = np.arange(round(16_000 * seconds)) % 997 / 997
    whole = joined(StubbedWhisper().stream([audio]))
    assert len(whole) == -(-len(audio) // 640)
    np.testing.assert_allclose(joined(StubbedWhisper().stream(split(audio, borders))), whole)


@given(rows=st.integers(0, 200), borders=cuts, seed=st.integers(0, 99))
def test_mfcc_feature(rows: int, borders: list[float], seed: int) -> None:
    values = torch.randn(rows, 26, generator=torch.Generator().manual_seed(seed))
    whole = joined(MfccFeature().stream(AudioSource([], [values])))
    assert len(whole) == rows // MFCC_PER_FRAME
    np.testing.assert_array_equal(joined(MfccFeature().stream(AudioSource([], split(values, borders)))), whole)


@given(count=st.integers(0, 30_000), rate=st.sampled_from([4000, 8000, 16_000, 22_050, 44_100, 192_000]), borders=cuts)
def test_pcm(count: int, rate: int, borders: list[float]) -> None:
    pcm = np.random.default_rng(count).integers(-32768, 32768, count).astype("<i2").tobytes() + b"x" * (count % 2)
    whole = joined(pcm_source.decode_pcm([pcm], rate))
    # up to 21 samples at 4 kHz, less than the filter needs, give nothing
    assert abs(len(whole) - count * 16_000 / rate) <= (64 if len(whole) else 84)
    np.testing.assert_allclose(joined(pcm_source.decode_pcm(split(pcm, borders), rate)), whole, atol=1e-6)


class TimedQueue(Queue):
    """A queue into which chunks are put at times of a clock of its own, which waiting moves on."""

    def __init__(self, arrivals: list[tuple[float, Any]]) -> None:
        super().__init__()
        self.arrivals, self.now = list(arrivals), 100.0

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        time, chunk = self.arrivals[0]
        if timeout is not None and 100 + time > self.now + timeout:
            self.now += timeout + 1e-6
            raise pcm_source.Empty
        self.now = max(self.now, 100 + time)
        del self.arrivals[0]
        return chunk


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 20_000)), max_size=20))
def test_pauses_lose_no_sample_and_keep_their_order(arrivals: list[tuple[float, int]]) -> None:
    times = np.cumsum([gap for gap, _ in arrivals])
    total = sum(count for _, count in arrivals)
    audio = np.arange(1, total + 1)
    parts = np.split(audio, np.cumsum([count for _, count in arrivals])[:-1]) if arrivals else []
    end = float(times[-1]) if arrivals else 0.0
    queue = TimedQueue([*zip(times.tolist(), parts, strict=True), (end + 1.0, None)])
    with mock.patch.object(pcm_source.time, "monotonic", lambda: queue.now):
        received = joined(pcm_source.fill_pauses(queue))
    np.testing.assert_array_equal(received[received > 0], audio)
    silence = len(received) - total
    assert silence % pcm_source.SAMPLES_PER_FRAME == 0
    assert len(received) <= max(total + 16_000 * 4 * (len(arrivals) + 1), 0)
