"""Streaming the frames of any video at a constant frame rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import EOFError as EndOfFile
from av.error import FFmpegError, InvalidDataError
from jaxtyping import UInt8

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.container import (
    MAX_PAUSE_S,
    Clock,
    ContinuousTime,
    check_pause,
    open_media,
    video_stream,
)
from dfa_nerfstudio.media.frame_normalizer import FrameNormalizer
from dfa_nerfstudio.media.rates import FRAME_RATE

MIN_TRUNCATION_S = 0.5
"""Minimum difference in seconds between a file's stated and decoded duration for which it counts as truncated."""
MAX_HOLD_S = 0.5
"""Longest time in seconds for which a frame may stay on screen and still count as recorded."""
MIN_FRAME_RATE = 15
"""Lowest frame rate of a video that is accepted without a warning."""
MAX_KEYFRAMES = 200
"""Number of key frames from which the frame size is determined."""
ROTATIONS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
"""OpenCV's rotation for each angle of a display matrix, in degrees counter-clockwise."""


@dataclass
class Video:
    """A video file; each call of `frames()` reads it from the start.

    Example:
        >>> for frame in Video(Path("me.mp4")).frames():  # doctest: +SKIP
        ...     show(to_rgb(frame))
    """

    path: Path
    frame_rate: float = FRAME_RATE
    """Frames per second that the video is converted to."""
    warnings: list[str] = field(default_factory=list)
    """Faults of the file and conversions that were applied, for the report."""
    pauses: list[range] = field(default_factory=list)
    """Numbers of the frames that repeat another one for longer than `MAX_HOLD_S`, because the file has none at their
    time; filled by `frames()`."""
    frame_times: list[float] = field(default_factory=list)
    """Presentation time of each frame, in seconds after the first; filled by `frames()`."""

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such file")
        try:
            with open_media(self.path) as container:
                stream = video_stream(container)
                if stream is None:
                    raise UserError(f"{self.path}: not a video (it has no video stream)")
                self.source_frame_rate = float(stream.average_rate or 0)
                self.has_audio = bool(container.streams.audio)
            self._clock = Clock.scan(self.path)
            if abs(self.source_frame_rate - self._clock.frame_rate) > 0.2 * self._clock.frame_rate > 0:
                self.source_frame_rate = self._clock.frame_rate  # the header is wrong
            self._size = _most_common_size(self.path)
        except FFmpegError as error:
            raise UserError(f"{self.path}: not a video, or not a complete one ({error.strerror})") from None
        if 0 < self.source_frame_rate < MIN_FRAME_RATE:
            self._warn(
                f"it has only {self.source_frame_rate:.3g} frames/s: lips and blinks cannot be learnt well from it; "
                f"record {FRAME_RATE:g} or more"
            )
        for joint in self._clock.joints:
            self._warn(f"its time stamps restart at {joint:.1f} s: recordings were joined there")

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames at `frame_rate`: number i is the one whose presentation time is nearest to i / `frame_rate` after
        the first. A truncated file ends early, with a warning.

        Raises:
            UserError: if no frame can be decoded, or the time stamps jump by more than `MAX_PAUSE_S`.
        """
        count, rate = 0, self.frame_rate
        previous: av.VideoFrame | None = None
        start = previous_time = 0.0
        gap = 1 / rate
        times = ContinuousTime(self._clock)
        for frame in self._decode():
            time = times(frame.time) if frame.time is not None else previous_time + gap
            if previous is None:
                start = time
            elif time <= previous_time:
                continue  # a frame whose time stamp does not advance is never shown
            else:
                gap = time - previous_time
                check_pause(self.path, previous_time - start, gap)
                while start + count / rate < (previous_time + time) / 2:
                    self._record_time(count, previous_time - start)
                    yield previous
                    count += 1
                pause = range(math.floor((previous_time - start) * rate) + 1, math.ceil((time - start) * rate))
                if gap > MAX_HOLD_S and pause not in self.pauses:
                    self.pauses.append(pause)
            previous, previous_time = frame, time
        if previous is None:
            raise UserError(f"{self.path}: no frame can be decoded; give another copy of the video")
        while start + count / rate < previous_time + gap - 0.5 / rate:  # the last frame lasts `gap` too
            self._record_time(count, previous_time - start)
            yield previous
            count += 1

    def _record_time(self, number: int, seconds: float) -> None:
        if number == len(self.frame_times):  # otherwise an earlier pass recorded it
            self.frame_times.append(seconds)

    def _decode(self) -> Iterator[av.VideoFrame]:
        """All undamaged frames, normalized, at their own times."""
        with open_media(self.path) as container:
            stream = video_stream(container)
            assert stream is not None
            stream.thread_type = "AUTO"
            normalizer = FrameNormalizer(stream.sample_aspect_ratio or Fraction(1), self._size, self.warnings)
            yield from normalizer.normalize(self._undamaged_frames(container, stream))

    def _undamaged_frames(self, container: InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        last_time, damaged, times = 0.0, False, ContinuousTime(self._clock)
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                for frame in packet.decode():
                    assert isinstance(frame, av.VideoFrame)
                    if frame.is_corrupt:
                        damaged = True
                        continue
                    last_time = times(frame.time) if frame.time is not None else last_time
                    yield frame
            except EndOfFile:
                break
            except InvalidDataError:  # in one packet; the next one may be undamaged
                damaged = True
            except FFmpegError as error:  # in the file
                self._warn(f"the file is damaged and was read only up to {last_time:.1f} s ({error.strerror})")
                return
        if damaged:
            self._warn("some of its frames are damaged; each is replaced by a neighbouring frame")
        if last_time < (duration := _stated_duration(stream)) - MIN_TRUNCATION_S:
            self._warn(f"the file breaks off at {last_time:.1f} s of {duration:.1f} s; the rest is missing")

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)


def _stated_duration(stream: av.VideoStream) -> float:
    """The time in seconds at which the stream ends according to the file; 0 where the file does not state it."""
    if stream.duration and stream.time_base:
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    try:  # Matroska's tag, as hours:minutes:seconds
        hours, minutes, seconds = map(float, stream.metadata.get("DURATION", "0:0:0").split(":"))
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + seconds


def _most_common_size(path: Path) -> tuple[int, int]:
    """Width and height that most of the first `MAX_KEYFRAMES` key frames have, by the time until the next one.

    The size changes within a file where a conference adapts it to the network.
    """
    seconds, previous = dict[tuple[int, int], float](), None
    with open_media(path) as container:
        stream = video_stream(container)
        assert stream is not None
        stream.codec_context.skip_frame = "NONKEY"
        try:
            for _, frame in zip(range(MAX_KEYFRAMES), container.decode(stream), strict=False):
                time = frame.time or 0.0
                if previous is not None:
                    seconds[previous[0]] += min(max(time - previous[1], 0.0), MAX_PAUSE_S)
                previous = (frame.width, frame.height), time
                seconds.setdefault(previous[0], 0.0)
            if previous is not None and stream.duration and stream.time_base:
                end = (stream.start_time or 0) + stream.duration
                seconds[previous[0]] += max(float(end * stream.time_base) - previous[1], 0.0)
        except FFmpegError:
            pass  # the pass over all frames reports the damage
        return max(seconds, key=lambda size: seconds[size], default=(stream.width, stream.height))


def to_rgb(frame: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
    """A frame as an RGB image, rotated upright according to its display matrix."""
    return rotate_upright(frame.to_ndarray(format="rgb24"), frame)


def rotate_upright(image: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Rotates an image [H, W, ...] that was computed from `frame` according to the frame's display matrix."""
    rotation = ROTATIONS.get(round(frame.rotation) % 360)
    return image if rotation is None else cv2.rotate(image, rotation)
