"""Frames are exchanged in a cache that is too small for all of them."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np

from dfa_nerfstudio.data.frame_cache import FrameCache


def _read(number: int) -> np.ndarray:
    return np.full((4, 4, 3), number, np.uint8)


def test_all_frames_are_cached_if_they_fit():
    cache = FrameCache(_read, 10, gib=1.0)
    cache.advance()
    assert cache.frame_numbers.tolist() == list(range(10))
    assert (cache.frames[:, 0, 0, 0] == cache.frame_numbers).all()


def test_frames_are_exchanged_in_turn_if_they_do_not_fit():
    num_frames, num_slots = 12, 5
    cache = FrameCache(_read, num_frames, gib=(num_slots + 0.5) * 48 / 2**30)
    assert cache.frames.shape == (num_slots, 4, 4, 3)
    seen: Counter[int] = Counter()
    num_exchanges = 0
    while num_exchanges < 10 * num_frames:
        before = cache.frame_numbers.clone()
        cache.advance()
        assert (cache.frames[:, 0, 0, 0] == cache.frame_numbers).all(), "a frame has another frame's number"
        assert len(set(cache.frame_numbers.tolist())) == num_slots, "a frame is cached twice"
        if (before != cache.frame_numbers).any():
            num_exchanges += 1
            seen.update(cache.frame_numbers.tolist())
        else:
            time.sleep(1e-4)  # waits for decoding
    assert set(seen) == set(range(num_frames))
    assert max(seen.values()) - min(seen.values()) <= 2 * num_slots, "some frames are cached more often than others"
