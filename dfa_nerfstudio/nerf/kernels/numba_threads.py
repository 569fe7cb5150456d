"""Threads for compiled functions, which release the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from typing import TypeVar

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

R = TypeVar("R")

MIN_PART = 2048
"""Fewest rays or samples for which a thread is worth its start."""


@cache
def _pool() -> ThreadPoolExecutor:
    import_module("scipy.linalg.cython_blas")  # by which numba multiplies matrices
    # its own threads would wait for each other
    for library in ThreadpoolController().lib_controllers:
        if "scipy" in str(library.filepath):
            library.set_num_threads(1)
    return ThreadPoolExecutor(thread_name_prefix="compiled")


def in_threads(work: Callable[[slice], R], count: int) -> list[R]:
    """Results of consecutive parts of `count` rows, in order, computed in as many threads as torch uses."""
    pool, num_parts = _pool(), max(min(torch.get_num_threads(), count // MIN_PART), 1)
    borders = [count * number // num_parts for number in range(num_parts + 1)]
    parts = list(map(slice, borders, borders[1:]))
    waiting = [pool.submit(work, part) for part in parts[1:]]
    return [work(parts[0]), *(future.result() for future in waiting)]


def array(values: Tensor) -> np.ndarray:
    """A tensor's numbers as a contiguous array, without a copy where possible."""
    return values.detach().contiguous().numpy()
