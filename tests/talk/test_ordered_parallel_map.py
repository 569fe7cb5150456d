"""Work on several frames at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from dfa_nerfstudio.talk.ordered_parallel_map import side_by_side

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_and_work_overlaps():
    together = threading.Barrier(2, timeout=10)

    def work(number: int) -> int:
        together.wait()  # passes only if another one is worked on
        time.sleep(0.02 if number % 2 == 0 else 0.0)
        return number * number

    assert list(side_by_side(work, range(20), CPU)) == [number * number for number in range(20)]
    assert torch.get_num_threads() == 2


def test_a_result_does_not_wait_for_the_next_item():
    released = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        assert released.wait(10)
        yield 2

    results = side_by_side(lambda number: number, items(), CPU)
    assert next(results) == 1
    released.set()
    assert list(results) == [2]


def test_errors_of_work_and_items_arrive_and_nothing_is_taken_far_ahead():
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(side_by_side(lambda number: number, broken(), CPU))
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda number: 1 // number, [1, 0], CPU))
    taken: list[int] = []
    results = side_by_side(lambda number: number, (taken.append(n) or n for n in range(1000)), CPU)
    next(results)
    time.sleep(0.2)
    assert len(taken) < 10
    results.close()
