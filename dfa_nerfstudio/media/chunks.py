"""Rows that arrive piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor


def sliding_windows(
    pieces: Iterable[Shaped[Tensor, "n ..."]], before: int, length: int, every: int = 1
) -> Iterator[Shaped[Tensor, "m ... length"]]:
    """The window around every so many-th row, as soon as all of it has arrived; the ends are extended by their rows.

    Args:
        pieces: of rows, of any length, empty ones too.
        before: rows of a window that lie before its own.
        length: of a window.
        every: rows from one window's to the next; what is left over at the end has none.

    Example:
        >>> [piece.tolist() for piece in windows([torch.arange(2), torch.arange(2, 4)], 1, 3)]
        [[[0, 0, 1]], [[0, 1, 2], [1, 2, 3]], [[2, 3, 3]]]
    """
    held: Tensor | None = None  # rows that windows to come reach into
    rows = made = 0
    for piece in chain(pieces, [None]):
        if piece is not None:
            if not len(piece):
                continue
            rows += len(piece)
            held = torch.cat([_repeated(piece[:1], before), piece] if held is None else [held, piece])
        elif held is not None:
            held = torch.cat([held, _repeated(held[-1:], length)])
        if held is None:
            return
        ready = (len(held) - length) // every + 1
        if piece is None:
            ready = min(ready, rows // every - made)
        if ready > 0:
            yield held.unfold(0, length, every)[:ready]
            held, made = held[ready * every :], made + ready


def _repeated(row: Shaped[Tensor, "1 ..."], times: int) -> Shaped[Tensor, "times ..."]:
    return row.expand(times, *row.shape[1:])


def zip_chunks(*streams: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Pieces of equal length of several streams of tensors or arrays; ends with the shortest.

    Example:
        >>> streams = [torch.arange(3), torch.arange(3, 4)], [torch.zeros(1), torch.zeros(5)]
        >>> [len(first) for first, _ in aligned(*streams)]
        [1, 2, 1]
    """
    sources = [iter(stream) for stream in streams]
    held: list[Any] = [None] * len(sources)
    while True:
        for number, source in enumerate(sources):
            while held[number] is None:
                piece = next(source, None)
                if piece is None:
                    return
                held[number] = piece if len(piece) else None
        length = min(map(len, held))
        yield tuple(part[:length] for part in held)
        held = [part[length:] if len(part) > length else None for part in held]
