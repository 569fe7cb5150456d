"""One thread to a library: what runs side by side are the stages of the work, each in a thread of its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

T = TypeVar("T")

SWITCH = 5e-4
"""Seconds after which a thread that waits for the interpreter gets it; Python's own 5 ms are longer than most steps of
ours take, whose next one then starts late."""
KEPT = 31 * 2**20
"""Bytes: freed memory up to this size stays with the process. glibc raises its limit to the largest block that it has
seen freed, at most to 32 MiB; until then every picture's memory is fetched from the kernel, page by page, and given
back, which costs as much as working on it."""


@contextlib.contextmanager
def single_threaded_libraries() -> Iterator[None]:
    """OpenCV and linear algebra work in the thread that calls them for the time of the block.

    Their tasks here last microseconds. Shared out over as many threads as there are cores, in each of several threads
    of ours, a third of all time went into threads that wait for each other.
    """
    threads, switch = cv2.getNumThreads(), sys.getswitchinterval()
    np.empty(KEPT, np.uint8)
    cv2.setNumThreads(1)
    sys.setswitchinterval(SWITCH)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(threads)
        sys.setswitchinterval(switch)


def ahead(items: Iterator[T], at_a_time: int = 32) -> Iterator[list[T]]:
    """The same items in lists, each made in another thread while the one before is worked on.

    Two threads share out two cores better than three: the steps are so short that a third one mostly waits for Python's
    interpreter.
    """

    def next_ones() -> list[T]:
        return list(islice(items, at_a_time))

    with ThreadPoolExecutor(1) as other:
        coming = other.submit(next_ones)
        while made := coming.result():
            coming = other.submit(next_ones)
            yield made
