"""Choice of the track and the channel of a file that carry speech, and the speed of the audio's clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from jaxtyping import Float32

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.container import Clock, ContinuousTime, open_media, video_stream
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME, SAMPLE_RATE
from dfa_nerfstudio.media.vad import voice_activity

MAX_SCAN_S = 600.0
"""Seconds at the start of a track that the choice looks at."""
MIN_SAMPLE_RATE = 1000
"""Lowest sample rate in Hz that is resampled; that of a damaged header would make hours of a few samples."""
MIN_SOUND_S = 20.0
"""Seconds of sound after which the channels of a track are known."""
SILENCE = 1e-4
"""Largest amplitude, relative to full scale, that counts as silence."""
MAX_CANCELLATION = 0.1
"""Power of the mean of all channels, relative to that of the loudest one, below which channels cancel each other."""
MIN_PAUSE_S = 0.02
"""Shortest jump of the time stamps, in seconds, that counts as a pause; shorter ones are rounding of time stamps."""
MIN_DRIFT_S = 0.02
"""Smallest distance, in seconds, that the samples of the scanned part drift from their time stamps if the clock counts
as wrong."""
MAX_DRIFT = 0.1
"""Largest relative error of a clock that is corrected; a larger one is a fault of the time stamps."""


@dataclass(frozen=True)
class AudioSelection:
    """The part of a file that `stream_audio` decodes."""

    track: int = 0
    """Number of the audio stream, from 0."""
    channel: int | None = None
    """Number of the channel, from 0; None for the mean of all channels."""
    speed: float = 1.0
    """Samples per second by the time stamps, relative to the stated sample rate."""
    clock: Clock = field(default_factory=Clock)
    """Continuous time of the file."""
    first_frame_time: float | None = None
    """Continuous time of the first video frame, in seconds; None where there is no video."""
    notes: tuple[str, ...] = ()
    """What is unusual about the audio, for the user."""


def find_speech(path: Path, track: int | None = None) -> AudioSelection:
    """Finds the track with the most speech, a channel if the channels cancel each other, and the speed of the clock.

    Args:
        path: an audio or video file.
        track: number of the track, from 1, if it is given by the user.

    Raises:
        UserError: if there is no such file or track, it is neither audio nor video, or it has no audio stream.
    """
    try:
        stat = path.stat()
        if not path.is_file():
            raise UserError(f"{path}: not a file; give an audio or video file")
        return _find_speech(path, track, stat.st_mtime_ns, stat.st_size)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except FFmpegError as error:
        raise UserError(f"{path}: not a readable audio or video file ({error.strerror})") from None


@lru_cache(maxsize=64)
def _find_speech(path: Path, track: int | None, _modified: int, _size: int) -> AudioSelection:
    """Modification time and size are arguments, because they are part of the cache's key."""
    with open_media(path) as container:
        tracks = container.streams.audio
        if not tracks:
            raise UserError(f"{path}: has no audio stream; a talking head needs speech")
        if track is not None and not 1 <= track <= len(tracks):
            raise UserError(f"{path}: has {len(tracks)} audio tracks; `audio_track={track}` is not one of them")
        has_video, num_channels = video_stream(container) is not None, [stream.channels for stream in tracks]
        rates = [stream.sample_rate for stream in tracks]
    clock = Clock.scan(path)
    origin = _first_frame_time(path, clock) if has_video else None
    notes = list[str]()
    if track is None and len(num_channels) > 1:
        chosen = int(np.argmax([_count_voiced_rows(path, number) for number in range(len(num_channels))]))
        notes.append(
            f"it has {len(num_channels)} audio tracks; track {chosen + 1} has the most speech and is used "
            "(`audio_track` chooses another one)"
        )
    else:
        chosen = (track or 1) - 1
    if 0 < rates[chosen] < MIN_SAMPLE_RATE:
        raise UserError(f"{path}: has a sample rate of {rates[chosen]} Hz; save the audio at 16000 Hz or more")
    channel = _find_channel(path, chosen, notes) if num_channels[chosen] > 1 else None
    speed = _clock_speed(path, chosen, clock) if has_video else 1.0
    if speed != 1:
        notes.append(
            f"its audio clock is {100 * (speed - 1):+.2f} % off the time stamps; the audio is resampled to them"
        )
    return AudioSelection(chosen, channel, speed, clock, origin, tuple(notes))


def audio_frames(container: InputContainer, track: int) -> Iterator[av.AudioFrame]:
    """The decodable frames of an audio stream."""
    for packet in container.demux(container.streams.audio[track]):
        try:
            frames = packet.decode()
        except InvalidDataError:
            continue
        yield from (frame for frame in frames if isinstance(frame, av.AudioFrame))


def _first_frame_time(path: Path, clock: Clock) -> float | None:
    with open_media(path) as container:
        if stream := video_stream(container):
            for frame in container.decode(stream):
                if not frame.is_corrupt and frame.time is not None:
                    return ContinuousTime(clock)(frame.time)
    return None


def _channels(path: Path, track: int) -> Iterator[Float32[np.ndarray, "C n"]]:
    """The channels of the first `MAX_SCAN_S` of a track at 16 kHz; up to the first error in the file."""
    with open_media(path) as container:
        resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
        seconds = 0.0
        try:
            for frame in audio_frames(container, track):
                seconds += frame.samples / frame.sample_rate
                if seconds > MAX_SCAN_S:
                    break
                frame.pts = None
                for part in resampler.resample(frame):
                    yield part.to_ndarray()
        except (FFmpegError, ValueError):  # damaged, or another number of channels
            return


def _count_voiced_rows(path: Path, track: int) -> int:
    mono = np.concatenate([np.zeros(0, np.float32), *(part.mean(0) for part in _channels(path, track))])
    num_rows = len(mono) * 100 // SAMPLE_RATE // MFCC_PER_FRAME * MFCC_PER_FRAME
    if not num_rows or np.abs(mono).max() < SILENCE:
        return 0
    return int(voice_activity(mono, num_rows, num_rows).sum())


def _find_channel(path: Path, track: int, notes: list[str]) -> int | None:
    """The loudest channel if the mean of all channels is nearly silent, as for a microphone that is wired in
    antiphase; None otherwise."""
    power, mean_power, seconds = np.zeros(1), 0.0, 0.0
    for part in _channels(path, track):
        power = power + np.square(part).sum(1)
        mean_power += float(np.square(part.mean(0)).sum())
        seconds += part.shape[1] / SAMPLE_RATE * (np.abs(part).max() > SILENCE)
        if seconds > MIN_SOUND_S:
            break
    if mean_power >= MAX_CANCELLATION * power.max():
        return None
    channel = int(power.argmax())
    notes.append(f"its audio channels cancel each other; channel {channel + 1} alone is used")
    return channel


def _clock_speed(path: Path, track: int, clock: Clock) -> float:
    """Samples per second by the time stamps, relative to the stated rate, in the longest run without a pause."""
    runs, start, seconds, previous = [(0.0, 0.0)], 0.0, 0.0, None
    with open_media(path) as container:
        times = ContinuousTime(clock)
        try:
            for frame in audio_frames(container, track):
                if frame.time is None:
                    continue
                time = times(frame.time)
                if previous is None or abs(time - sum(previous)) > MIN_PAUSE_S:
                    start, seconds = time, 0.0
                runs.append((time - start, seconds))  # by the time stamps, by the samples before this frame
                if time - start > MAX_SCAN_S:
                    break
                previous = time, frame.samples / frame.sample_rate
                seconds += previous[1]
        except FFmpegError:
            pass
    stamped, counted = max(runs)
    if not stamped or abs(counted - stamped) < MIN_DRIFT_S or abs(counted / stamped - 1) > MAX_DRIFT:
        return 1.0
    return counted / stamped
