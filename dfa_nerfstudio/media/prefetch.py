"""Reading ahead in a background thread."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterator[T], batch_size: int = 32) -> Iterator[list[T]]:
    """The same items in batches, each produced in another thread while the caller processes the one before.

    One background thread, because two threads use two cores better than three do: the steps are so short that a third
    thread mostly waits for Python's interpreter lock.

    Example:
        >>> list(prefetch(iter("abc"), batch_size=2))
        [['a', 'b'], ['c']]
    """

    def next_batch() -> list[T]:
        return list(islice(items, batch_size))

    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(next_batch)
        while batch := future.result():
            future = executor.submit(next_batch)
            yield batch
