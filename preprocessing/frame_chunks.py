"""A long film is worked on piece by piece, so that only results are as long as it is."""

from __future__ import annotations

BLOCK = 1000
"""Frames of a piece."""


def blocks(count: int) -> list[slice]:
    """Pieces of so many frames, one after the other."""
    return [slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
