"""Frames of any video at a constant 25 frames/s, streamed."""

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
from dfa_nerfstudio.media.frame_normalizer import Normaliser
from dfa_nerfstudio.media.rates import FRAME_RATE

LEAST_LOSS = 0.5
"""Seconds by which a file must be shorter than it says to count as broken off."""
ROTATIONS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


@dataclass
class Video:
    """A video file, read from the start as often as one iterates over `frames()`.

    Example:
        >>> for frame in Video(Path("me.mp4")).frames():  # doctest: +SKIP
        ...     show(to_rgb(frame))
    """

    path: Path
    warnings: list[str] = field(default_factory=list)
    """What was wrong with the file or had to be converted, for the report."""

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such file")
        try:
            with av.open(str(self.path)) as container:
                stream = _moving_picture(container)
                if stream is None:
                    raise UserError(f"{self.path}: not a video (no moving picture in it)")
                self.source_rate = float(stream.average_rate or 0)
                self.has_sound = bool(container.streams.audio)
        except FFmpegError as error:
            raise UserError(f"{self.path}: not a video, or not a complete one ({error.strerror})") from None

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames at 25 frames/s: number i is the one whose presentation time is nearest to i / 25 s after the
        first. A file that breaks off in the middle ends there, with a warning.

        Raises:
            UserError: if not one frame can be decoded.
        """
        count = 0
        before: av.VideoFrame | None = None
        start = time_before = 0.0
        gap = 1 / FRAME_RATE
        for frame in self._decode():
            time = frame.time if frame.time is not None else time_before + gap
            if before is None:
                start = time
            elif time <= time_before:
                continue  # a time stamp that does not advance shows nothing
            else:
                gap = time - time_before
                while start + count / FRAME_RATE < (time_before + time) / 2:
                    yield before
                    count += 1
            before, time_before = frame, time
        if before is None:
            raise UserError(f"{self.path}: not one frame can be decoded")
        while start + count / FRAME_RATE < time_before + gap - 0.5 / FRAME_RATE:  # the last one is shown for `gap` too
            yield before
            count += 1

    def _decode(self) -> Iterator[av.VideoFrame]:
        """All frames that can be decoded and are whole, as plain pictures at their own times."""
        with av.open(str(self.path)) as container:
            stream = _moving_picture(container)
            assert stream is not None
            stream.thread_type = "AUTO"
            pictures = Normaliser(stream.sample_aspect_ratio or Fraction(1), self.warnings)
            yield from pictures.frames(self._whole_frames(container, stream))

    def _whole_frames(self, container: InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        last, damaged = 0.0, False
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
                    last = frame.time if frame.time is not None else last
                    yield frame
            except EndOfFile:
                break
            except InvalidDataError:  # of a packet; the next may be whole
                damaged = True
            except FFmpegError as error:  # of the file
                self._warn(f"the file is damaged and was read only up to {last:.1f} s ({error.strerror})")
                return
        if damaged:
            self._warn("some of its frames are damaged; they are left out, and their neighbours stand in for them")
        if last < (length := _end(stream)) - LEAST_LOSS:
            self._warn(f"the file breaks off at {last:.1f} s of {length:.1f} s; what is there is used")

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)


def _end(stream: av.VideoStream) -> float:
    """When the stream ends in seconds, as the file says; 0 where it does not."""
    if stream.duration and stream.time_base:
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    try:  # Matroska's, as hours:minutes:seconds
        hours, minutes, seconds = map(float, stream.metadata.get("DURATION", "0:0:0").split(":"))
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + seconds


def _moving_picture(container: InputContainer) -> av.VideoStream | None:
    """The first video stream that is no cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def to_rgb(frame: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
    """A frame upright: turned as its display matrix says."""
    return turned_upright(frame.to_ndarray(format="rgb24"), frame)


def turned_upright(image: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Turns any picture [H, W, ...] made of `frame` as the frame's display matrix says."""
    turn = ROTATIONS.get(round(frame.rotation) % 360)
    return image if turn is None else cv2.rotate(image, turn)
