"""Films as arrays that do not fill the memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

Pictures = UInt8[np.ndarray, "T H W 3"]


def on_disk(frames: Iterable[UInt8[np.ndarray, "H W 3"]]) -> Pictures:
    """Frames of one size as an array in a nameless file: minutes of large pictures do not fit into memory."""
    shape, count = (0, 0, 3), 0
    with tempfile.TemporaryFile() as file:
        for frame in frames:
            shape, count = frame.shape, count + 1
            file.write(np.ascontiguousarray(frame).tobytes())
        file.flush()
        return np.memmap(file, np.uint8, "r", shape=(count, *shape))
