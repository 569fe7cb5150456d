"""Audio of any audio or video file as 16 kHz mono samples, aligned to the video's first frame."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from jaxtyping import Float32

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.audio_selection import MIN_PAUSE_S, AudioSelection, audio_frames, find_speech
from dfa_nerfstudio.media.chunks import chunk_slices, merge_chunks
from dfa_nerfstudio.media.container import ContinuousTime, check_pause, open_media
from dfa_nerfstudio.media.rates import SAMPLE_RATE, SAMPLES_PER_MINUTE

MAX_AMPLITUDE = 100.0
"""Largest amplitude, full scale 1, of a sample; files of floating-point samples can hold any, which are damage."""
PCM16_MAX = 32767
"""16 bit sample of an amplitude of 1."""


def read_audio(path: Path, source: AudioSelection | None = None) -> Float32[np.ndarray, " S"]:
    """Decodes speech to mono float32 at 16 kHz, full scale 1; see `stream_audio`.

    Raises:
        UserError: if there is no such file, it is neither audio nor video, or it has no audio stream or no samples.
    """
    audio = np.concatenate([np.zeros(0, np.float32), *stream_audio(path, source=source)])
    if not len(audio):
        raise UserError(f"{path}: its audio stream is empty; give a file with speech")
    return audio


def stream_audio(
    path: Path, sample_rate: int = SAMPLE_RATE, source: AudioSelection | None = None
) -> Iterator[Float32[np.ndarray, " n"]]:
    """Decodes speech to mono float32, full scale 1, in chunks of a second or more.

    In a video, sample 0 is at the time of the first frame: if the audio starts later, silence is put before it; if it
    starts earlier, its start is cut off. Pauses in the stream's time stamps become silence too.

    Args:
        path: an audio or video file.
        sample_rate: of the result in Hz.
        source: track, channel and clock; by default `find_speech` chooses them.

    Raises:
        UserError: if there is no such file, it is neither audio nor video, it has no audio stream, or its time stamps
            jump by more than `MAX_PAUSE_S`, or a sample is not finite.
    """
    source = source or find_speech(path)
    try:
        with open_media(path) as container:
            yield from merge_chunks(_decode(path, container, source, sample_rate), sample_rate)
    except FFmpegError as error:
        raise UserError(f"{path}: not a readable audio or video file ({error.strerror})") from None


def audio_duration(path: Path) -> float:
    """The duration of the audio in seconds according to the file's header; decoded where the header has none.

    Raises:
        UserError: see `stream_audio`.
    """
    try:
        with open_media(path) as container:
            for stream in container.streams.audio[:1]:
                if stream.duration and stream.time_base:
                    return float(stream.duration * stream.time_base)
    except (FFmpegError, OSError):
        pass  # stream_audio raises the matching UserError
    return sum(map(len, stream_audio(path))) / SAMPLE_RATE


def _decode(
    path: Path, container: InputContainer, source: AudioSelection, sample_rate: int
) -> Iterator[Float32[np.ndarray, " n"]]:
    """Resamples every unbroken run of audio and places it at its time stamp.

    Damaged parts are silent. A truncated stream is read up to its end.
    """
    resampler: av.AudioResampler | None = None
    times, origin = ContinuousTime(source.clock), source.first_frame_time
    expected_time = 0.0  # of the next frame, if no pause comes before it
    num_samples = 0  # yielded so far
    num_skipped = 0  # samples of the run that are still to be dropped, because they lie before the yielded end

    def resample(frame: av.AudioFrame | None) -> Iterator[Float32[np.ndarray, " n"]]:
        nonlocal num_samples, num_skipped
        for part in resampler.resample(frame) if resampler else ():
            channels = part.to_ndarray()
            samples = channels[0 if source.channel is None else min(source.channel, len(channels) - 1)]
            if not np.isfinite(samples).all():
                raise UserError(f"{path}: its audio holds numbers that are not finite; export it again")
            samples = np.where(np.abs(samples) <= MAX_AMPLITUDE, samples, np.float32(0))
            kept = samples[num_skipped:]
            num_skipped -= len(samples) - len(kept)
            num_samples += len(kept)
            yield kept

    try:
        for frame in audio_frames(container, source.track):
            time = times(frame.time) if frame.time is not None else expected_time
            if resampler is None or time - expected_time > MIN_PAUSE_S:
                yield from resample(None)
                if origin is None:
                    origin = time
                if resampler is not None:
                    check_pause(path, expected_time - origin, time - expected_time)
                layout = "mono" if source.channel is None else frame.layout
                resampler = av.AudioResampler(format="fltp", layout=layout, rate=sample_rate)
                gap = round((time - origin) * sample_rate) - num_samples
                num_skipped, expected_time = max(-gap, 0), time
                for part in chunk_slices(gap, SAMPLES_PER_MINUTE):
                    num_samples += part.stop - part.start
                    yield np.zeros(part.stop - part.start, np.float32)
            frame.sample_rate = round(frame.sample_rate * source.speed)
            expected_time += frame.samples / frame.sample_rate
            frame.pts = None  # the time stamp has been applied above; the resampler must not apply it again
            yield from resample(frame)
    except FFmpegError:
        if resampler is None:
            raise
    yield from resample(None)


def write_wav(path: Path, audio: Float32[np.ndarray, " S"]) -> None:
    """Writes mono samples in [-1, 1] atomically as 16 bit PCM at 16 kHz."""
    with atomic_write(path) as partial, wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for part in chunk_slices(len(audio), SAMPLES_PER_MINUTE):
            file.writeframes(np.round(np.clip(audio[part], -1, 1) * PCM16_MAX).astype("<i2").tobytes())


def read_wav(path: Path, start: int = 0, stop: int | None = None) -> Float32[np.ndarray, " S"]:
    """Samples from `start` to before `stop`, or to the end of the file, of a file written by `write_wav`.

    Raises:
        UserError: if the file is missing or damaged.
    """
    try:
        with wave.open(str(path), "rb") as file:
            length = file.getnframes()
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, SAMPLE_RATE):
                raise wave.Error(f"not mono, 16 bit, {SAMPLE_RATE} Hz")
            start = min(start, length)
            file.setpos(start)
            samples = np.frombuffer(file.readframes(max((length if stop is None else stop) - start, 0)), "<i2")
    except (OSError, EOFError, ValueError, RuntimeError, wave.Error) as error:  # half a sample; a chunk of a wrong size
        raise UserError(f"{path}: unreadable ({error or 'it ends too early'}); run dfa-process again") from None
    return samples.astype(np.float32) / PCM16_MAX


def waveform_envelope(path: Path, bin_size: int) -> Float32[np.ndarray, " N"]:
    """Minimum and maximum of every `bin_size` samples, alternating, of a file written by `write_wav`."""
    step, start, parts = SAMPLES_PER_MINUTE // bin_size * bin_size, 0, []
    while len(samples := read_wav(path, start, start + step)):
        bins = np.pad(samples, (0, -len(samples) % bin_size), mode="edge").reshape(-1, bin_size)
        parts.append(np.stack([bins.min(1), bins.max(1)], 1).reshape(-1))
        start += step
    return np.concatenate([*parts, np.zeros(0, np.float32)])
