"""The ordered parallel map: order, overlap, errors and backpressure."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from dfa_nerfstudio.talk.ordered_parallel_map import ordered_parallel_map

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_are_in_order_and_work_overlaps():
    both_running = threading.Barrier(2, timeout=10)

    def work(number: int) -> int:
        both_running.wait()  # passes only while another item is processed
        time.sleep(0.02 if number % 2 == 0 else 0.0)
        return number * number

    assert list(ordered_parallel_map(work, range(20), CPU)) == [number * number for number in range(20)]
    assert torch.get_num_threads() == 2


def test_a_result_does_not_wait_for_the_next_item():
    released = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        assert released.wait(10)
        yield 2

    results = ordered_parallel_map(lambda number: number, items(), CPU)
    assert next(results) == 1
    released.set()
    assert list(results) == [2]


def test_errors_of_the_function_and_of_the_items_are_raised():
    def failing_items() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(ordered_parallel_map(lambda number: number, failing_items(), CPU))
    with pytest.raises(ZeroDivisionError):
        list(ordered_parallel_map(lambda number: 1 // number, [1, 0], CPU))


def test_few_items_are_taken_ahead():
    taken: list[int] = []
    results = ordered_parallel_map(lambda number: number, (taken.append(n) or n for n in range(1000)), CPU)
    next(results)
    time.sleep(0.2)
    assert len(taken) < 10
    results.close()
