"""Which frames are rendered, who has read too slowly, and what is counted."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch

from dfa_nerfstudio.serve.metrics import Metrics
from dfa_nerfstudio.serve.outbox import MAX_WAITING, Outbox
from dfa_nerfstudio.serve.render_pool import RenderPool
from dfa_nerfstudio.talk.live_stream import MAX_LATENCY_S


def test_a_frame_that_is_too_late_is_dropped_unless_it_must_be_shown(torch_threads: None):
    image = np.zeros((2, 2, 3), np.uint8)
    model = SimpleNamespace(device=torch.device("cpu"), eval=lambda: None)
    pool = RenderPool(cast(Any, SimpleNamespace(model=model, render_portrait=lambda frame: image, watermark=None)))
    now = time.monotonic()
    late, in_time, first = (pool.submit(cast(Any, None), due) for due in (now - MAX_LATENCY_S - 0.1, now, None))
    assert late.result() is None and in_time.result() is image and first.result() is image
    pool.close()


def test_a_client_that_reads_too_slowly_is_given_up():
    async def overflow() -> tuple[int, bool]:
        outbox = Outbox()
        for _ in range(MAX_WAITING + 10):
            outbox.put(b"frame")
        await asyncio.sleep(0)
        return len([message async for message in outbox]), outbox.overflown

    assert asyncio.run(overflow()) == (MAX_WAITING, True)


def test_metrics_are_prometheus_text():
    metrics = Metrics(frame_rate=51.0, max_clients=2)
    assert "quantile" not in metrics.prometheus()
    for latency in (0.3, 0.4, 0.5):
        metrics.on_frame(latency, dropped=latency > 0.45)
    lines = metrics.prometheus().splitlines()
    for line in (
        "dfa_frames_total 3",
        "dfa_frames_dropped_total 1",
        'dfa_frame_latency_seconds{quantile="0.5"} 0.4000',
        "dfa_frame_latency_seconds_sum 1.2000",
        "dfa_render_frames_per_second 51.0",
    ):
        assert line in lines
