"""Sound of any audio or video file as 16 kHz mono samples, aligned to the video's first frame."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition
from jaxtyping import Float32

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import SAMPLE_RATE

PAUSE = 0.02
"""Seconds that time stamps must jump to count as a pause; less is the rounding of coarse time stamps."""
MINUTE = 60 * SAMPLE_RATE
FULL_SCALE = 32767


def read_audio(path: Path) -> Float32[np.ndarray, " S"]:
    """Decodes the first sound stream to mono float32 at 16 kHz, full scale 1; see `stream_audio`.

    Raises:
        UserError: if there is no such file, it is neither audio nor video, or it has no sound or no samples.
    """
    audio = np.concatenate([np.zeros(0, np.float32), *stream_audio(path)])
    if not len(audio):
        raise UserError(f"{path}: its sound stream is empty")
    return audio


def stream_audio(path: Path, rate: int = SAMPLE_RATE) -> Iterator[Float32[np.ndarray, " n"]]:
    """The first sound stream as mono float32 at 16 kHz, or another rate, full scale 1, in pieces of a second or more.

    Of a video the first sample belongs to the moment at which the first frame is shown: sound that starts late is
    preceded by silence, sound that starts early is cut. Pauses in the stream's time stamps become silence too.

    Raises:
        UserError: if there is no such file, it is neither audio nor video, or it has no sound.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise UserError(f"{path}: has no sound; a talking head needs speech")
            video_start = _first_frame_time(container)
        with av.open(str(path)) as container:
            yield from _in_blocks(_decode(container, video_start, rate), rate)
    except FFmpegError as error:
        raise UserError(f"{path}: not a readable audio or video file ({error.strerror})") from None


def audio_duration(path: Path) -> float:
    """How long the sound is in seconds, as the file says; decoded where it does not.

    Raises:
        UserError: see `stream_audio`.
    """
    try:
        with av.open(str(path)) as container:
            for stream in container.streams.audio[:1]:
                if stream.duration and stream.time_base:
                    return float(stream.duration * stream.time_base)
    except (FFmpegError, OSError):
        pass  # said by whoever reads it
    return sum(map(len, stream_audio(path))) / SAMPLE_RATE


def cut(
    pieces: Iterable[Float32[np.ndarray, " n"]], start: int, stop: int | None
) -> Iterator[Float32[np.ndarray, " n"]]:
    """The samples from `start` to before `stop` of sound that comes piece by piece."""
    first = 0
    for piece in pieces:
        kept = piece[max(start - first, 0) : None if stop is None else max(stop - first, 0)]
        first += len(piece)
        if len(kept):
            yield kept
        if stop is not None and first >= stop:
            return


def _in_blocks(pieces: Iterable[Float32[np.ndarray, " n"]], least: int) -> Iterator[Float32[np.ndarray, " m"]]:
    """The same samples in pieces that are long enough to be worked on at a time; the last one may be shorter."""
    held: list[Float32[np.ndarray, " n"]] = []
    for piece in pieces:
        held.append(piece)
        if sum(map(len, held)) >= least:
            yield np.concatenate(held)
            held.clear()
    if held:
        yield np.concatenate(held)


def _first_frame_time(container: InputContainer) -> float | None:
    """When the first frame is shown, in seconds of the container's clock; None when there is no moving picture."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            for frame in container.decode(stream):
                if not frame.is_corrupt:
                    return frame.time
    return None


def _frames(container: InputContainer) -> Iterator[av.AudioFrame]:
    """What of the first sound stream can be decoded."""
    for packet in container.demux(container.streams.audio[0]):
        try:
            frames = packet.decode()
        except InvalidDataError:
            continue
        yield from (frame for frame in frames if isinstance(frame, av.AudioFrame))


def _decode(container: InputContainer, origin: float | None, rate: int) -> Iterator[Float32[np.ndarray, " n"]]:
    """Resamples every unbroken run of sound and lays it where its time stamp says, counted from `origin` in seconds
    (None: from the first sample). A stream that breaks off is read as far as it goes, damaged parts are silent."""
    resampler: av.AudioResampler | None = None
    due = 0.0  # when the next sample is to come, if the sound goes on without a pause
    made = surplus = 0  # samples that are out; samples of the run that come too early for any place

    def place(frame: av.AudioFrame | None) -> Iterator[Float32[np.ndarray, " n"]]:
        nonlocal made, surplus
        for part in resampler.resample(frame) if resampler else ():
            samples = part.to_ndarray().reshape(-1)
            kept = samples[surplus:]
            surplus -= len(samples) - len(kept)
            made += len(kept)
            yield kept

    try:
        for frame in _frames(container):
            time = frame.time if frame.time is not None else due
            if resampler is None or time - due > PAUSE:
                yield from place(None)
                origin = time if origin is None else origin
                resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
                missing = round((time - origin) * rate) - made
                surplus, due = max(-missing, 0), time
                while missing > 0:
                    yield np.zeros(min(missing, MINUTE), np.float32)
                    made, missing = made + min(missing, MINUTE), missing - MINUTE
            due += frame.samples / frame.sample_rate
            frame.pts = None  # what a time stamp says is settled here, not guessed again by the resampler
            yield from place(frame)
    except FFmpegError:
        if resampler is None:
            raise
    yield from place(None)


def write_wav(path: Path, audio: Float32[np.ndarray, " S"]) -> None:
    """Writes mono samples in [-1, 1] as 16 bit PCM at 16 kHz, whole or not at all."""
    with atomic_write(path) as partial, wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for start in range(0, len(audio), MINUTE):
            samples = np.round(np.clip(audio[start : start + MINUTE], -1, 1) * FULL_SCALE).astype("<i2")
            file.writeframes(samples.tobytes())


def read_wav(path: Path, first: int = 0, last: int | None = None) -> Float32[np.ndarray, " S"]:
    """Samples `first` to `last`, as far as there are any, of a file that `write_wav` has written."""
    with wave.open(str(path), "rb") as file:
        length = file.getnframes()
        first = min(first, length)
        file.setpos(first)
        samples = np.frombuffer(file.readframes(max((length if last is None else last) - first, 0)), "<i2")
    return samples.astype(np.float32) / FULL_SCALE


def wav_extremes(path: Path, width: int) -> Float32[np.ndarray, " N"]:
    """The least and the greatest sample of every `width`, in turn: a waveform to draw, read minute by minute."""
    minute, start, parts = MINUTE // width * width, 0, []
    while len(samples := read_wav(path, start, start + minute)):
        blocks = np.pad(samples, (0, -len(samples) % width), mode="edge").reshape(-1, width)
        parts.append(np.stack([blocks.min(1), blocks.max(1)], 1).reshape(-1))
        start += minute
    return np.concatenate([*parts, np.zeros(0, np.float32)])
