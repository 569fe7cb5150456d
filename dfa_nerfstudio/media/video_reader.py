"""Streaming the frames of any video at a constant 25 frames/s."""

from __future__ import annotations

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
from av.stream import Disposition
from jaxtyping import UInt8

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.frame_normalizer import FrameNormalizer
from dfa_nerfstudio.media.rates import FRAME_RATE

MIN_TRUNCATION_S = 0.5
"""Minimum difference in seconds between a file's stated and decoded duration for which it counts as truncated."""
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
    warnings: list[str] = field(default_factory=list)
    """Faults of the file and conversions that were applied, for the report."""

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such file")
        try:
            with av.open(str(self.path)) as container:
                stream = _video_stream(container)
                if stream is None:
                    raise UserError(f"{self.path}: not a video (it has no video stream)")
                self.source_frame_rate = float(stream.average_rate or 0)
                self.has_audio = bool(container.streams.audio)
        except FFmpegError as error:
            raise UserError(f"{self.path}: not a video, or not a complete one ({error.strerror})") from None

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames at 25 frames/s: number i is the one whose presentation time is nearest to i / 25 s after the
        first. A truncated file ends early, with a warning.

        Raises:
            UserError: if no frame can be decoded.
        """
        count = 0
        previous: av.VideoFrame | None = None
        start = previous_time = 0.0
        gap = 1 / FRAME_RATE
        for frame in self._decode():
            time = frame.time if frame.time is not None else previous_time + gap
            if previous is None:
                start = time
            elif time <= previous_time:
                continue  # a frame whose time stamp does not advance is never shown
            else:
                gap = time - previous_time
                while start + count / FRAME_RATE < (previous_time + time) / 2:
                    yield previous
                    count += 1
            previous, previous_time = frame, time
        if previous is None:
            raise UserError(f"{self.path}: no frame can be decoded; give another copy of the video")
        while start + count / FRAME_RATE < previous_time + gap - 0.5 / FRAME_RATE:  # the last frame lasts `gap` too
            yield previous
            count += 1

    def _decode(self) -> Iterator[av.VideoFrame]:
        """All undamaged frames, normalized, at their own times."""
        with av.open(str(self.path)) as container:
            stream = _video_stream(container)
            assert stream is not None
            stream.thread_type = "AUTO"
            normalizer = FrameNormalizer(stream.sample_aspect_ratio or Fraction(1), self.warnings)
            yield from normalizer.normalize(self._undamaged_frames(container, stream))

    def _undamaged_frames(self, container: InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        last_time, damaged = 0.0, False
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
                    last_time = frame.time if frame.time is not None else last_time
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


def _video_stream(container: InputContainer) -> av.VideoStream | None:
    """The first video stream that is not cover art."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def to_rgb(frame: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
    """A frame as an RGB image, rotated upright according to its display matrix."""
    return rotate_upright(frame.to_ndarray(format="rgb24"), frame)


def rotate_upright(image: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Rotates an image [H, W, ...] that was computed from `frame` according to the frame's display matrix."""
    rotation = ROTATIONS.get(round(frame.rotation) % 360)
    return image if rotation is None else cv2.rotate(image, rotation)
