"""Limiting OpenCV and linear algebra to one thread each, for code that runs its own threads."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

SWITCH_INTERVAL_S = 5e-4
"""Seconds after which a thread releases the interpreter lock to a waiting one. Python's default of 5 ms is longer than
most processing steps, and delays the next step of the waiting thread."""
RETAINED_BLOCK_BYTES = 31 * 2**20
"""Size up to which freed memory stays with the process. glibc raises this threshold to the largest block that has been
freed, at most to 32 MiB. Below it, every image's memory is requested from the kernel page by page and returned, which
costs as much time as the processing."""


@contextlib.contextmanager
def single_threaded_libraries() -> Iterator[None]:
    """Makes OpenCV and linear algebra run in the calling thread within the block.

    Their tasks last microseconds here. When each of several threads distributed them over all cores, a third of the
    time was spent in threads waiting for each other.
    """
    threads, switch_interval = cv2.getNumThreads(), sys.getswitchinterval()
    np.empty(RETAINED_BLOCK_BYTES, np.uint8)  # freed at once, which raises glibc's threshold
    cv2.setNumThreads(1)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(threads)
        sys.setswitchinterval(switch_interval)
