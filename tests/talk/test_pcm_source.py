"""Audio that is still arriving: pauses, chunks of any size, and who may send it."""

from __future__ import annotations

import socket
from itertools import pairwise
from queue import Empty, Queue

import numpy as np
import pytest

from dfa_nerfstudio.talk import pcm_source
from dfa_nerfstudio.talk.pcm_source import MAX_LATE_S, decode_pcm, fill_pauses, websocket_bytes


class TimedQueue(Queue):
    """A queue into which chunks are put at times of a clock of its own, which waiting moves on."""

    def __init__(self, arrivals: list[tuple[float, np.ndarray | None]]) -> None:
        super().__init__()
        self.arrivals, self.now = list(arrivals), 100.0

    def get(self, block: bool = True, timeout: float | None = None) -> np.ndarray | None:
        time, chunk = self.arrivals[0]
        if timeout is not None and 100 + time > self.now + timeout:
            self.now += timeout + 1e-6
            raise Empty
        self.now = max(self.now, 100 + time)
        del self.arrivals[0]
        return chunk


def speech(seconds: float) -> np.ndarray:
    return np.ones(round(16_000 * seconds), np.float32)


@pytest.mark.parametrize("step", [0.02, 0.1, 1.0])
def test_silence_fills_a_pause_by_the_clock(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    first = np.arange(0, 3, step)
    arrivals = [(time, speech(step)) for time in [*first, *(first + 9.0)]]  # 6 s without audio
    queue = TimedQueue([*arrivals, (12.0, None)])
    monkeypatch.setattr(pcm_source.time, "monotonic", lambda: queue.now)
    received, late = [], []
    for chunk in fill_pauses(queue):
        late.append(queue.now - 100 - sum(map(len, received)) / 16_000)
        received.append(chunk)
    audio = np.concatenate(received)
    assert audio.sum() == 6 * 16_000, "no sample is lost"
    assert abs(len(audio) - 12 * 16_000) <= 640, "300 frames"
    assert (audio[: 3 * 16_000] == 1).all() and (audio[-3 * 16_000 :] == 1).all()
    assert max(late) < MAX_LATE_S + 0.05


def test_late_chunks_within_the_tolerance_are_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    late = np.random.default_rng(0).uniform(0, MAX_LATE_S - 0.01, 100)
    queue = TimedQueue([*((0.1 * n + late[n] * (n > 0), speech(0.1)) for n in range(100)), (10.2, None)])
    monkeypatch.setattr(pcm_source.time, "monotonic", lambda: queue.now)
    assert np.concatenate(list(fill_pauses(queue))).all()


def test_chunks_of_any_number_of_bytes_give_the_same_samples() -> None:
    rng = np.random.default_rng(0)
    pcm = rng.integers(-20_000, 20_000, 70_001).astype("<i2").tobytes() + b"x"  # an odd byte at the end
    whole = np.concatenate(list(decode_pcm([pcm], 22_050)))
    cuts = [0, *np.sort(rng.integers(0, len(pcm), 40)), len(pcm)]
    parts = np.concatenate(list(decode_pcm([pcm[a:b] for a, b in pairwise(cuts)], 22_050)))
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert abs(len(whole) - 70_001 / 22_050 * 16_000) < 40


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_message_that_is_too_large_ends_the_stream(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size before compression counts. Empty messages change nothing."""
    from websockets.sync.client import connect

    monkeypatch.setattr(pcm_source, "MAX_MESSAGE_BYTES", 1 << 20)
    with websocket_bytes(port := free_port(), 32_000) as messages, connect(f"ws://127.0.0.1:{port}") as client:
        for message in (b"12", b"", b"34", bytes(2 << 20)):
            client.send(message)
        assert list(messages) == [b"12", b"34"]
    assert "a message had more than 1 MiB; the stream ends" in capsys.readouterr().err


def test_one_local_client_may_send(capsys: pytest.CaptureFixture[str]) -> None:
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect

    port = free_port()
    address = f"ws://127.0.0.1:{port}"
    with websocket_bytes(port, 32_000) as messages:
        with pytest.raises(InvalidStatus), connect(address, origin="https://example.org"):
            pass
        with connect(address, origin="http://localhost:8000") as client:
            client.send(b"1" * (40 * 32_000))  # 40 s in one message
            assert len(next(messages)) == 40 * 32_000
            with connect(address) as second, pytest.raises(ConnectionClosed, match="another client"):
                second.recv(timeout=10)
            client.send("end")
        assert list(messages) == []
    assert f"listening on {address}" in capsys.readouterr().err
