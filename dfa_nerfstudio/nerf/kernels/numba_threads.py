"""Threads for compiled functions, which release the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import TypeVar

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

T = TypeVar("T")
R = TypeVar("R")

MIN_PART = 2048
"""Fewest rays of an image, or single samples, for which a thread is worth its start."""
_num_threads: int | None = None
"""Threads of compiled functions within `torch_in_one_thread`; elsewhere they use as many as torch."""


@contextmanager
def torch_in_one_thread() -> Iterator[None]:
    """Leaves torch's threads to compiled functions, and computes in torch with one.

    After each operation, torch's threads stay awake for the next and would take the compiled functions' cores.
    """
    global _num_threads
    before = torch.get_num_threads()
    _num_threads = before
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _num_threads = None
        torch.set_num_threads(before)


@cache
def _pool() -> ThreadPoolExecutor:
    import_module("scipy.linalg.cython_blas")  # by which numba multiplies matrices
    # its own threads would wait for each other
    for library in ThreadpoolController().lib_controllers:
        if "scipy" in str(library.filepath):
            library.set_num_threads(1)
    return ThreadPoolExecutor(thread_name_prefix="compiled")


def divide(count: int, smallest: int = MIN_PART) -> list[slice]:
    """Consecutive parts of `count` rows, as many as there are threads, but none of fewer than `smallest` rows."""
    num_parts = max(min(_num_threads or torch.get_num_threads(), count // smallest), 1)
    borders = [count * number // num_parts for number in range(num_parts + 1)]
    return list(map(slice, borders, borders[1:]))


def in_threads(work: Callable[[T], R], parts: Sequence[T]) -> list[R]:
    """Results of parts of a task, in order, each computed in a thread of its own."""
    waiting = [_pool().submit(work, part) for part in parts[1:]]
    return [work(parts[0]), *(future.result() for future in waiting)]


def array(values: Tensor) -> np.ndarray:
    """A tensor's numbers as a contiguous array, without a copy where possible."""
    return values.detach().contiguous().numpy()
