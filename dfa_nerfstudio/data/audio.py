"""Sound of any audio or video file as 16 kHz mono samples, aligned to the video's first frame."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition
from jaxtyping import Float32

from dfa_nerfstudio.data.dataset_folder import SAMPLE_RATE
from dfa_nerfstudio.data.files import written_whole
from dfa_nerfstudio.errors import UserError

PAUSE = 0.02
"""Seconds that time stamps must jump to count as a pause; less is the rounding of coarse time stamps."""


def read_audio(path: Path) -> Float32[np.ndarray, " S"]:
    """Decodes the first sound stream to mono float32 at 16 kHz, full scale 1.

    Of a video the first sample belongs to the moment at which the first frame is shown: sound that starts late is
    preceded by silence, sound that starts early is cut. Pauses in the stream's time stamps become silence too.

    Raises:
        UserError: if there is no such file, it is neither audio nor video, or it has no sound or no samples.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise UserError(f"{path}: has no sound; a talking head needs speech")
            video_start = _first_frame_time(container)
        with av.open(str(path)) as container:
            audio = _decode(container, video_start)
    except FFmpegError as error:
        raise UserError(f"{path}: not a readable audio or video file ({error.strerror})") from None
    if not len(audio):
        raise UserError(f"{path}: its sound stream is empty")
    return audio


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


def _decode(container: InputContainer, origin: float | None) -> Float32[np.ndarray, " S"]:
    """Resamples every unbroken run of sound and lays it where its time stamp says, counted from `origin` in seconds
    (None: from the first sample). A stream that breaks off is read as far as it goes, damaged parts are silent."""
    runs: list[tuple[float, list[np.ndarray]]] = []
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    expected: float | None = None  # when the next sample is due, if the sound goes on without a pause

    def resample(frame: av.AudioFrame | None) -> None:
        runs[-1][1].extend(part.to_ndarray().reshape(-1) for part in resampler.resample(frame))

    try:
        for frame in _frames(container):
            time = frame.time if frame.time is not None else expected or 0.0
            if expected is None or time - expected > PAUSE:
                if runs:
                    resample(None)
                    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
                runs.append((time, []))
                expected = time
            expected += frame.samples / frame.sample_rate
            frame.pts = None  # what a time stamp says is settled here, not guessed again by the resampler
            resample(frame)
    except FFmpegError:
        if not runs:
            raise
    if not runs:
        return np.zeros(0, np.float32)
    resample(None)

    origin = runs[0][0] if origin is None else origin
    placed = [(round((time - origin) * SAMPLE_RATE), parts) for time, parts in runs]
    audio = np.zeros(max(0, *(start + sum(map(len, parts)) for start, parts in placed)), np.float32)
    for start, parts in placed:
        for samples in parts:
            audio[max(start, 0) : max(start + len(samples), 0)] = samples[max(-start, 0) :]
            start += len(samples)
    return audio


def write_wav(path: Path, audio: Float32[np.ndarray, " S"]) -> None:
    """Writes mono samples in [-1, 1] as 16 bit PCM at 16 kHz, whole or not at all."""
    minute = 60 * SAMPLE_RATE
    with written_whole(path) as partial, wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for start in range(0, len(audio), minute):
            samples = np.round(np.clip(audio[start : start + minute], -1, 1) * 32767).astype("<i2")
            file.writeframes(samples.tobytes())
