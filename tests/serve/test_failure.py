"""A session that fails says why, and its place is free again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import torch

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.serve.live_session import LiveSession
from dfa_nerfstudio.serve.metrics import Metrics
from dfa_nerfstudio.serve.speech_queue import SpeechQueue


class Output:
    stopped = closed = False

    def write(self, *_: Any) -> None:
        raise AssertionError("there is no frame")

    def close(self) -> None:
        self.closed = True


def test_a_session_that_cannot_be_driven_ends_with_its_reason():
    def refuse(*_: Any, **__: Any) -> None:
        raise UserError("restore the folder or train again")

    model = SimpleNamespace(closed_mouth_feature=torch.zeros(3))
    pool = SimpleNamespace(renderer=SimpleNamespace(model=model, driver=refuse))
    events: list[dict[str, Any]] = []
    metrics = Metrics(frame_rate=25.0, max_clients=1)
    session = LiveSession(cast(Any, pool), SpeechQueue(16_000, 0.06, 10.0), 0, metrics, events.append)
    output, late = Output(), Output()
    session.add_output(output)
    session.start()
    session.join()
    session.add_output(late)
    assert [event["event"] for event in events] == ["error", "closed"]
    assert "restore the folder" in events[0]["reason"]
    assert output.closed and late.closed and metrics.failed_total == 1
