"""Video frames as arrays that are kept on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

Frames = UInt8[np.ndarray, "T H W 3"]


def frames_on_disk(frames: Iterable[UInt8[np.ndarray, "H W 3"]]) -> Frames:
    """Frames of one size as a memory-mapped array in an unnamed temporary file.

    They stay on disk because minutes of large frames do not fit into memory.
    """
    shape, count = (0, 0, 3), 0
    with tempfile.TemporaryFile() as file:
        for frame in frames:
            shape, count = frame.shape, count + 1
            file.write(np.ascontiguousarray(frame).tobytes())
        file.flush()
        return np.memmap(file, np.uint8, "r", shape=(count, *shape))
