"""Video frames without holding them in memory: rendered ones on disk, those of a video file decoded anew."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from dfa_nerfstudio.atomic_write import full_disk_errors

Image = UInt8[np.ndarray, "H W 3"]


class Frames(Protocol):
    """T frames of one size, which can be read in order any number of times, and singly."""

    @property
    def shape(self) -> tuple[int, ...]:
        """T, height, width, 3."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Image]: ...

    def __getitem__(self, index: int, /) -> Image: ...


def frames_on_disk(frames: Iterable[Image]) -> Frames:
    """Frames of one size as a memory-mapped array in an unnamed temporary file; TMPDIR names its folder.

    Raises:
        UserError: if there is no room for them.
    """
    shape, count = (0, 0, 3), 0
    with full_disk_errors(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        for frame in frames:
            shape, count = frame.shape, count + 1
            file.write(np.ascontiguousarray(frame).tobytes())
        file.flush()
        return np.memmap(file, np.uint8, "r", shape=(count, *shape))


class VideoFrames:
    """Frames of a video file, decoded whenever they are read: raw frames of a long video would fill the disk.

    Single frames are cheapest in ascending order.
    """

    def __init__(self, decode: Callable[[], Iterator[Image]], count: int | None = None) -> None:
        """
        Args:
            decode: begins to decode the video at its first frame.
            count: number of frames that are used; by default all, which are counted.
        """
        self._decode = decode
        self._next, self._position, self._current = decode(), -1, next(decode())
        self._count = sum(1 for _ in decode()) if count is None else count

    @property
    def shape(self) -> tuple[int, ...]:
        """T, height, width, 3."""
        return self._count, *self._current.shape

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Image]:
        return islice(self._decode(), self._count)

    def __getitem__(self, index: int) -> Image:
        if not 0 <= index < self._count:
            raise IndexError(index)
        if index < self._position:
            self._next, self._position = self._decode(), -1
        while self._position < index:
            self._current, self._position = next(self._next), self._position + 1
        return self._current

    def first(self, count: int) -> VideoFrames:
        """The first `count` frames."""
        return VideoFrames(self._decode, count)
