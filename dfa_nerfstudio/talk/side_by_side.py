"""Work on several frames at a time, whose results come in order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

import torch

T, R = TypeVar("T"), TypeVar("R")

MOST = 8
"""Frames at a time: what is not torch's own has Python's interpreter to itself in turn."""
SWITCH = 5e-4
"""Seconds after which a thread that waits for the interpreter gets it; Python's own 5 ms are longer than most steps."""


def side_by_side(work: Callable[[T], R], items: Iterable[T], device: torch.device) -> Iterator[R]:
    """What `work` makes of each item, in their order.

    On a CPU every core works on a frame of its own: layers are so narrow that two cores share one of them in hardly
    less time than one takes alone. Items are taken by a thread as they come, so that results do not wait for the next
    item. On a GPU one follows the other.

    Args:
        work: is called in several threads; what it reads must not change meanwhile.
        items: as many are taken in advance as are worked on and wait, twice as many as there are cores.
        device: where the work is done.

    Raises:
        Exception: what `work` or `items` raise.
    """
    threads, switch = torch.get_num_threads(), sys.getswitchinterval()
    workers = min(threads, MOST)
    if device.type != "cpu" or workers < 2:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,))
    pending: Queue[Future[R] | BaseException | None] = Queue(2 * workers)
    stopped = Event()

    def put(entry: Future[R] | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return pending.put(entry, timeout=0.1)
            except Full:
                continue

    def take() -> None:
        try:
            for item in items:
                put(pool.submit(work, item))
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:  # is raised where the results are taken
            put(error)

    Thread(target=take, daemon=True).start()
    sys.setswitchinterval(SWITCH)
    try:
        while (entry := pending.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry.result()
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)
        sys.setswitchinterval(switch)
        torch.set_num_threads(threads)
