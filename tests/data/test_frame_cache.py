"""Frames that take turns in a small memory."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np

from dfa_nerfstudio.data.frame_cache import FrameCache


def _read(number: int) -> np.ndarray:
    return np.full((4, 4, 3), number, np.uint8)


def test_all_frames_are_kept_where_there_is_room():
    pool = FrameCache(_read, 10, gib=1.0)
    pool.advance()
    assert pool.numbers.tolist() == list(range(10))
    assert (pool.frames[:, 0, 0, 0] == pool.numbers).all()


def test_frames_take_turns_in_a_small_memory():
    count, places = 12, 5
    pool = FrameCache(_read, count, gib=(places + 0.5) * 48 / 2**30)
    assert pool.frames.shape == (places, 4, 4, 3)
    seen: Counter[int] = Counter()
    arrivals = 0
    while arrivals < 10 * count:
        before = pool.numbers.clone()
        pool.advance()
        assert (pool.frames[:, 0, 0, 0] == pool.numbers).all(), "a frame under another's number"
        assert len(set(pool.numbers.tolist())) == places, "a frame twice"
        if (before != pool.numbers).any():
            arrivals += 1
            seen.update(pool.numbers.tolist())
        else:
            time.sleep(1e-4)  # being decoded
    assert set(seen) == set(range(count))
    assert max(seen.values()) - min(seen.values()) <= 2 * places, "some frames are seen more than others"
