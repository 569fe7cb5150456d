"""A server of the trained demo subject, and a client of it."""

from __future__ import annotations

import io
import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import av
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.serve.app import create_app, create_server
from dfa_nerfstudio.serve.metrics import Metrics
from dfa_nerfstudio.serve.render_pool import RenderPool
from dfa_nerfstudio.serve.serve_config import ServeConfig
from dfa_nerfstudio.talk.load_model import load_model
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig
from dfa_nerfstudio.talk.video_renderer import TalkingVideoRenderer
from tests.pipeline_fixture import PipelineRun


@pytest.fixture(scope="session")
def server(demo: PipelineRun) -> Iterator[int]:
    """Port of a server with a place for one client."""
    config = ServeConfig(size=32)
    renderer = TalkingVideoRenderer(
        demo.config, load_model(demo.config), config.video(FRAME_RATE), MotionConfig(), AudioConditioningConfig()
    )
    renderer.warm_up()
    pool = RenderPool(renderer)
    server = create_server(create_app(pool, config, Metrics(frame_rate=25.0, max_clients=1)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()
    pool.close()


@pytest.fixture
def port(server: int) -> int:
    """Port of the server, when the session of the test before has ended."""
    for _ in range(200):
        with urllib.request.urlopen(f"http://127.0.0.1:{server}/health", timeout=10) as reply:
            if not json.load(reply)["sessions"]:
                return server
        time.sleep(0.05)
    raise AssertionError("the session does not end")


@dataclass
class Client:
    """A client that keeps everything it receives, with the time of its arrival."""

    connection: ClientConnection
    messages: list[tuple[float, bytes]] = field(default_factory=list)
    """Video."""
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._thread = Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        try:
            for message in self.connection:
                if isinstance(message, bytes):
                    self.messages.append((time.monotonic(), message))
                else:
                    self.events.append(json.loads(message))
        except ConnectionClosed:
            pass

    def speak(self, samples: np.ndarray) -> None:
        """Sends 16 kHz audio at once."""
        self.connection.send((samples * 32767).astype("<i2").tobytes())

    def wait_for(self, event: str, timeout: float = 20.0) -> dict[str, Any]:
        """Returns the latest event of a name, when it has come."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for one in reversed(self.events):
                if one["event"] == event:
                    return one
            time.sleep(0.01)
        raise AssertionError(f"no {event} within {timeout} s: {self.events}")

    def wait_for_end(self) -> None:
        """Waits until the connection has ended."""
        self._thread.join(10)
        assert not self._thread.is_alive()

    def close(self) -> bytes:
        """Ends the session and returns its video."""
        self.connection.close()
        self.wait_for_end()
        return b"".join(data for _, data in self.messages)


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    """A client that receives mp4."""
    with connect(f"ws://127.0.0.1:{port}/live", max_size=None) as connection:
        yield Client(connection)


def frames_and_audio(video: bytes) -> tuple[np.ndarray, np.ndarray, int]:
    """Returns the frames [T, H, W, 3] and the samples of a video, and their rate."""
    with av.open(io.BytesIO(video)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with av.open(io.BytesIO(video)) as container:
        audio = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        rate = container.streams.audio[0].rate
    return frames, audio, rate
