"""Decoded frames within a budget of memory, however long the clip."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor


class FrameCache:
    """As many decoded frames as the budget allows; when it is too small for all of them, they take turns.

    A frame that leaves has been there for as long as any other: over time all are seen equally often. Decoding goes on
    beside training in a thread; `advance` only copies what is ready.
    """

    frames: UInt8[Tensor, "P H W C"]
    numbers: Int[Tensor, " P"]
    """Which frame lies in each place."""

    def __init__(
        self,
        read: Callable[[int], UInt8[np.ndarray, "H W C"]],
        count: int,
        gib: float,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        """
        Args:
            read: decodes a frame; called from threads.
            count: number of frames there are.
            gib: memory that decoded frames may take; at least one frame is kept.
            device: where they lie.
            seed: of the order in which frames take turns.
        """
        first = read(0)
        places = min(count, max(1, int(gib * 2**30 / first.nbytes)))
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        numbers = order[:places].sort().values if places < count else torch.arange(count)
        self.numbers = numbers.to(device)
        self.frames = torch.empty(places, *first.shape, dtype=torch.uint8, device=device)
        self._threads = ThreadPoolExecutor()
        for place, frame in enumerate(self._threads.map(read, numbers.tolist())):
            self.frames[place] = torch.from_numpy(frame)
        self._read, self._place = read, 0
        inside = set(numbers.tolist())
        self._waiting = [number for number in order.tolist() if number not in inside]
        self._coming: tuple[int, Future[UInt8[np.ndarray, "H W C"]]] | None = None

    def advance(self) -> None:
        """Lets the next frame take its place, once it is decoded."""
        if not self._waiting:
            return
        if self._coming is None:
            number = self._waiting.pop(0)
            self._coming = number, self._threads.submit(self._read, number)
        number, frame = self._coming
        if frame.done():
            self.frames[self._place] = torch.from_numpy(frame.result())
            self._waiting.append(int(self.numbers[self._place]))
            self.numbers[self._place] = number
            self._place = (self._place + 1) % len(self.frames)
            self._coming = None
