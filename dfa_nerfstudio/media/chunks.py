"""Splitting, joining and windowing sequences that are processed, or that arrive, in chunks along their first axis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

FRAMES_PER_CHUNK = 1000
"""Video frames that are processed at once, so that only the results grow with the length of a video."""


def chunk_slices(length: int, size: int = FRAMES_PER_CHUNK) -> list[slice]:
    """Consecutive slices of `size` elements that cover a sequence; the last one may be shorter.

    Example:
        >>> chunk_slices(5, 2)
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def slice_chunks(chunks: Iterable[Any], start: int, stop: int | None) -> Iterator[Any]:
    """The elements from `start` to before `stop` of a chunked sequence, without reading past `stop`.

    Example:
        >>> [chunk.tolist() for chunk in slice_chunks([np.arange(3), np.arange(3, 9)], 2, 5)]
        [[2], [3, 4]]
    """
    first = 0
    for chunk in chunks:
        kept = chunk[max(start - first, 0) : None if stop is None else max(stop - first, 0)]
        first += len(chunk)
        if len(kept):
            yield kept
        if stop is not None and first >= stop:
            return


def merge_chunks(
    chunks: Iterable[Shaped[np.ndarray, "n ..."]], min_length: int
) -> Iterator[Shaped[np.ndarray, "m ..."]]:
    """The same elements in chunks of at least `min_length`; the last one may be shorter."""
    pending: list[Shaped[np.ndarray, "n ..."]] = []
    for chunk in chunks:
        pending.append(chunk)
        if sum(map(len, pending)) >= min_length:
            yield np.concatenate(pending)
            pending.clear()
    if pending:
        yield np.concatenate(pending)


def zip_chunks(*streams: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Chunks of equal length of several streams of tensors or arrays; ends with the shortest stream.

    Example:
        >>> streams = [torch.arange(3), torch.arange(3, 4)], [torch.zeros(1), torch.zeros(5)]
        >>> [len(first) for first, _ in zip_chunks(*streams)]
        [1, 2, 1]
    """
    sources = [iter(stream) for stream in streams]
    pending: list[Any] = [None] * len(sources)
    while True:
        for number, source in enumerate(sources):
            while pending[number] is None:
                chunk = next(source, None)
                if chunk is None:
                    return
                pending[number] = chunk if len(chunk) else None
        length = min(map(len, pending))
        yield tuple(chunk[:length] for chunk in pending)
        pending = [chunk[length:] if len(chunk) > length else None for chunk in pending]


def sliding_windows(
    chunks: Iterable[Shaped[Tensor, "n ..."]], before: int, length: int, stride: int = 1
) -> Iterator[Shaped[Tensor, "m ... length"]]:
    """The window around every `stride`-th row, as soon as all of its rows have arrived.

    At both ends the first and the last row are repeated.

    Args:
        chunks: rows in chunks of any length, empty ones included.
        before: number of rows of a window before its own row.
        length: number of rows of a window.
        stride: rows from one window to the next; fewer rows left over at the end get no window.

    Example:
        >>> [chunk.tolist() for chunk in sliding_windows([torch.arange(2), torch.arange(2, 4)], 1, 3)]
        [[[0, 0, 1]], [[0, 1, 2], [1, 2, 3]], [[2, 3, 3]]]
    """
    pending: Tensor | None = None  # rows that later windows cover
    num_rows = num_windows = 0
    for chunk in chain(chunks, [None]):
        if chunk is not None:
            if not len(chunk):
                continue
            num_rows += len(chunk)
            pending = torch.cat([_repeat(chunk[:1], before), chunk] if pending is None else [pending, chunk])
        elif pending is not None and len(pending):
            pending = torch.cat([pending, _repeat(pending[-1:], length)])
        if pending is None:
            return
        ready = min((len(pending) - length) // stride + 1, num_rows // stride - num_windows)
        if ready > 0:
            yield pending.unfold(0, length, stride)[:ready]
            pending, num_windows = pending[ready * stride :], num_windows + ready


def context_chunks(
    chunks: Iterable[Shaped[Tensor, "n ..."]], before: int, after: int, stride: int = 1
) -> Iterator[Shaped[Tensor, "before+m+after ..."]]:
    """The rows in chunks that overlap by their context, as soon as it has arrived: the input of a convolutional network
    without padding.

    At both ends the first and the last row are repeated.

    Args:
        chunks: rows in chunks of any length, empty ones included.
        before: number of context rows before the own rows of a chunk.
        after: number of context rows after them.
        stride: a chunk has a multiple of `stride` own rows; fewer rows left over at the end get no chunk.

    Example:
        >>> [chunk.tolist() for chunk in context_chunks([torch.arange(2), torch.arange(2, 4)], 1, 1)]
        [[0, 0, 1], [0, 1, 2, 3], [2, 3, 3]]
    """
    pending: Tensor | None = None
    for chunk in chain(chunks, [None]):
        if chunk is not None:
            if not len(chunk):
                continue
            pending = torch.cat([_repeat(chunk[:1], before), chunk] if pending is None else [pending, chunk])
        elif pending is not None:
            pending = torch.cat([pending, _repeat(pending[-1:], after)])
        if pending is None:
            return
        ready = max(len(pending) - before - after, 0) // stride * stride
        if ready:
            yield pending[: before + ready + after]
            pending = pending[ready:]


def _repeat(row: Shaped[Tensor, "1 ..."], times: int) -> Shaped[Tensor, "times ..."]:
    return row.expand(times, *row.shape[1:])
