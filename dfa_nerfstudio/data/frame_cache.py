"""A cache of decoded frames with limited memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor


class FrameCache:
    """Holds as many decoded frames as memory allows; if not all frames fit, they are exchanged in turn.

    The frame that has been cached longest is replaced, so that all frames are cached equally often over time. A thread
    decodes the next frame during training; `advance` only copies it when it is ready.
    """

    frames: UInt8[Tensor, "P H W C"]
    """Cached frames, one per slot."""
    frame_numbers: Int[Tensor, " P"]
    """Frame number of each slot."""

    def __init__(
        self,
        read: Callable[[int], UInt8[np.ndarray, "H W C"]],
        num_frames: int,
        gib: float,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        """
        Args:
            read: decodes a frame by its number; called from threads.
            num_frames: number of frames of the clip.
            gib: memory limit of the decoded frames in GiB; at least one frame is kept.
            device: device of the cached frames.
            seed: seed of the order in which frames are exchanged.
        """
        first = read(0)
        num_slots = min(num_frames, max(1, int(gib * 2**30 / first.nbytes)))
        order = torch.randperm(num_frames, generator=torch.Generator().manual_seed(seed))
        cached = order[:num_slots].sort().values if num_slots < num_frames else torch.arange(num_frames)
        self.frame_numbers = cached.to(device)
        self.frames = torch.empty(num_slots, *first.shape, dtype=torch.uint8, device=device)
        self._threads = ThreadPoolExecutor()
        for slot, frame in enumerate(self._threads.map(read, cached.tolist())):
            self.frames[slot] = torch.from_numpy(frame)
        self._read, self._slot = read, 0
        in_cache = set(cached.tolist())
        self._waiting = [number for number in order.tolist() if number not in in_cache]
        self._pending: tuple[int, Future[UInt8[np.ndarray, "H W C"]]] | None = None

    def advance(self) -> None:
        """Replaces the oldest frame by the next one, if that is decoded."""
        if not self._waiting:
            return
        if self._pending is None:
            number = self._waiting.pop(0)
            self._pending = number, self._threads.submit(self._read, number)
        number, frame = self._pending
        if frame.done():
            self.frames[self._slot] = torch.from_numpy(frame.result())
            self._waiting.append(int(self.frame_numbers[self._slot]))
            self.frame_numbers[self._slot] = number
            self._slot = (self._slot + 1) % len(self.frames)
            self._pending = None
