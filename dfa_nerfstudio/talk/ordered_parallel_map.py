"""Work on several frames at a time, whose results come in order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from threading import Event, Semaphore, Thread
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

MOST = 8
"""Frames at a time: what is not torch's own has Python's interpreter to itself in turn."""
SWITCH = 5e-4
"""Seconds after which a thread that waits for the interpreter gets it; Python's own 5 ms are longer than most steps."""


def side_by_side(
    work: Callable[[T], R], items: Iterable[T], device: torch.device, waiting: int | None = None
) -> Iterator[R]:
    """What `work` makes of each item, in their order.

    On a CPU every core works on a frame of its own: layers are so narrow that two cores share one of them in hardly
    less time than one takes alone. Items are taken by a thread as they come, so that results do not wait for the next
    item. On a GPU one follows the other.

    Args:
        work: is called in several threads; what it reads must not change meanwhile.
        items: an item is taken only when it can be worked on soon.
        device: where the work is done.
        waiting: items that wait, or results that have not yet been taken, beside those that are worked on; by default
            as many as these, so that no core is ever idle.

    Raises:
        Exception: what `work` or `items` raise.
    """
    threads, switch = torch.get_num_threads(), sys.getswitchinterval()
    workers = min(threads, MOST)
    if device.type != "cpu" or workers < 2:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,))
    pending: Queue[Future[R] | BaseException | None] = Queue()
    free, stopped = Semaphore(workers + (workers if waiting is None else waiting)), Event()

    def take() -> None:
        try:
            remaining = iter(items)
            while free.acquire() and not stopped.is_set():
                pending.put(pool.submit(work, next(remaining)))
        except StopIteration:
            pending.put(None)
        except BaseException as error:  # is raised where the results are taken
            pending.put(error)

    Thread(target=take, daemon=True).start()
    sys.setswitchinterval(SWITCH)
    try:
        while (entry := pending.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            result = entry.result()
            free.release()
            yield result
    finally:
        stopped.set()
        free.release()
        pool.shutdown(wait=False, cancel_futures=True)
        sys.setswitchinterval(switch)
        torch.set_num_threads(threads)
