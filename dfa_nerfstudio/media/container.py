"""Opening media files, and one continuous clock for all streams of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from dfa_nerfstudio.errors import UserError

RESTART_S = 0.5
"""Step back of a stream's time stamps, in seconds, at which they count as restarted."""
MAX_PAUSE_S = 600.0
"""Longest pause in the time stamps, in seconds, that is filled; a longer one is a fault of the file."""


def check_pause(path: Path, time: float, pause: float) -> None:
    """Raises a `UserError` if a pause of a file, in seconds, that begins at `time` is longer than `MAX_PAUSE_S`."""
    if pause > MAX_PAUSE_S:
        raise UserError(
            f"{path}: its time stamps jump by {pause:.0f} s at {time:.1f} s; record it again, or cut it there with "
            "ffmpeg"
        )


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Opens a file for reading, whatever its name: ffmpeg takes `s1:line.wav` for an address."""
    with av.open(f"file:{path}") as container:
        yield container


def video_stream(container: InputContainer) -> av.VideoStream | None:
    """The first video stream that is not cover art."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


@dataclass(frozen=True)
class Clock:
    """Maps the time stamps of a file to one continuous time.

    Time stamps restart where recordings were joined without conversion, as `cat` joins MPEG-TS files. The file then
    consists of sections; each begins where all streams of the one before have ended. Within a section, the streams keep
    their time stamps relative to each other.
    """

    offsets: tuple[float, ...] = (0.0,)
    """What is added to the time stamps of each section, in seconds."""
    joints: tuple[float, ...] = field(default=())
    """Continuous time at which each section but the first one begins, in seconds."""
    frame_rate: float = 0.0
    """Usual number of video frames per second by the time stamps; a file's header can state another one. 0 without a
    video."""

    @classmethod
    def scan(cls, path: Path) -> Clock:
        """Reads all packets of video and audio, without decoding them.

        Raises:
            FFmpegError: if the file cannot be opened. A file that is damaged further on is read up to there.
        """
        offsets, joints = [0.0], list[float]()
        end, last, section = 0.0, dict[int, float](), dict[int, int]()
        distances = list[float]()
        with open_media(path) as container:
            video = video_stream(container)
            streams = [*([video] if video else []), *container.streams.audio]
            try:
                for packet in container.demux(*streams) if streams else ():
                    if packet.dts is None or packet.time_base is None:
                        continue
                    time, index = float(packet.dts * packet.time_base), packet.stream.index
                    if time < last.get(index, time) - RESTART_S:
                        section[index] = section.get(index, 0) + 1
                        if section[index] == len(offsets):
                            offsets.append(end - time)
                            joints.append(end)
                    if video and index == video.index and time > last.get(index, time):
                        distances.append(time - last[index])
                    last[index] = time
                    duration = float((packet.duration or 0) * packet.time_base)
                    end = max(end, time + offsets[section.get(index, 0)] + duration)
            except FFmpegError:
                pass
        return cls(tuple(offsets), tuple(joints), 1 / median(distances) if distances else 0.0)


class ContinuousTime:
    """Continuous times of one stream's frames, which are passed in the order of presentation."""

    def __init__(self, clock: Clock) -> None:
        self._offsets = clock.offsets
        self._section, self._last = 0, -float("inf")

    def __call__(self, time: float) -> float:
        """The continuous time of the next frame, in seconds."""
        if time < self._last - RESTART_S and self._section < len(self._offsets) - 1:
            self._section += 1
        self._last = time
        return time + self._offsets[self._section]
