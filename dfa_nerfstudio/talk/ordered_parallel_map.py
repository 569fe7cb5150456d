"""Maps a function over a stream in several threads and yields the results in order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from threading import Event, Semaphore, Thread
from typing import TypeVar

import torch

from dfa_nerfstudio.media.library_threads import SWITCH_INTERVAL_S

T = TypeVar("T")
R = TypeVar("R")

MAX_WORKERS = 8
"""Maximum number of worker threads; with more, the parts that are not torch's wait for Python's interpreter lock."""


def ordered_parallel_map(
    function: Callable[[T], R], items: Iterable[T], device: torch.device, queue_size: int | None = None
) -> Iterator[R]:
    """Yields `function(item)` for each item, in order.

    On a CPU, each worker thread has its own share of the cores, because layers are so narrow that two cores compute
    one of them hardly faster than one core does. A separate thread takes the items as they arrive, so that a result
    never waits for the next item. On a GPU, items are processed one after the other in the calling thread.

    Args:
        function: called in several threads; its inputs must not change meanwhile.
        items: each is taken only when a worker will soon be free.
        device: device of the computation.
        queue_size: maximum number of queued items and unread results beside the items being processed; by default the
            number of workers, which keeps every core busy.

    Raises:
        Exception: what `function` or `items` raise.

    Example:
        >>> list(ordered_parallel_map(lambda number: number**2, [1, 2, 3], torch.device("cpu")))
        [1, 4, 9]
    """
    num_threads, switch_interval = torch.get_num_threads(), sys.getswitchinterval()
    num_workers = min(num_threads, MAX_WORKERS)
    if device.type != "cpu" or num_workers < 2:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(num_workers, initializer=torch.set_num_threads, initargs=(num_threads // num_workers,))
    pending: Queue[Future[R] | BaseException | None] = Queue()
    free_slots, stopped = Semaphore(num_workers + (num_workers if queue_size is None else queue_size)), Event()

    def submit_items() -> None:
        try:
            remaining = iter(items)
            while free_slots.acquire() and not stopped.is_set():
                pending.put(pool.submit(function, next(remaining)))
        except StopIteration:
            pending.put(None)
        except BaseException as error:  # raised again in the thread that reads the results
            pending.put(error)

    Thread(target=submit_items, daemon=True).start()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        while (entry := pending.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            result = entry.result()
            free_slots.release()
            yield result
    finally:
        stopped.set()
        free_slots.release()
        pool.shutdown(wait=False, cancel_futures=True)
        sys.setswitchinterval(switch_interval)
        torch.set_num_threads(num_threads)
