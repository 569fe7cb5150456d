"""The server with the trained demo subject, over real sockets."""

from __future__ import annotations

import contextlib
import io
import json
import time
import urllib.error
import urllib.request

import av
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.serve.app import MAX_MESSAGE_BYTES
from tests.pipeline_fixture import PipelineRun
from tests.serve.conftest import Client, frames_and_audio

MAX_INTERRUPTION_S = 0.4


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
        return reply.read().decode()


def loud(audio: np.ndarray, rate: int) -> np.ndarray:
    """Whether each 10 ms are louder than silence."""
    size = rate // 100
    return np.abs(audio[: len(audio) // size * size]).reshape(-1, size).max(-1) > 0.01


def test_speech_becomes_a_video_with_idle_motion_before_and_after_it(client: Client, demo: PipelineRun):
    speech = read_audio(demo.speech)[:32_000]
    start = time.monotonic()
    time.sleep(1.0)
    client.speak(speech)
    client.connection.send("end")
    speaking, finished = client.wait_for("speaking"), client.wait_for("finished")
    time.sleep(1.0)
    video, seconds = client.close(), time.monotonic() - start
    frames, audio, rate = frames_and_audio(video)
    assert abs(len(frames) / 25 - seconds) < 1.0 and abs(len(audio) / rate - len(frames) / 25) < 0.1
    assert finished["time"] - speaking["time"] == pytest.approx(2.0, abs=0.01)
    assert finished["sample"] == 32_000
    first, last = np.flatnonzero(loud(audio, rate))[[0, -1]] / 100
    assert speaking["time"] <= first + 0.05 and last <= finished["time"] + 0.1
    sent, received = speech / np.abs(speech).max(), audio[round(speaking["time"] * rate) :][: 2 * rate : rate // 16_000]
    similarity = np.correlate(received, sent[: len(received) - 1600], "valid").max()
    assert similarity > 0.9 * np.linalg.norm(received) * np.linalg.norm(sent[: len(received) - 1600]), "another sound"
    idle = frames[: int(25 * speaking["time"])].astype(float)
    assert np.abs(np.diff(idle, axis=0)).mean((1, 2, 3)).max() > 0.05, "the idle head does not move"
    with av.open(io.BytesIO(video)) as container:
        assert container.metadata["comment"].startswith("Synthetic")


def test_an_interruption_is_heard_at_once_and_the_next_words_are_spoken(client: Client, demo: PipelineRun):
    speech = np.resize(read_audio(demo.speech)[:16_000], 64_000)
    client.speak(speech)
    client.wait_for("speaking")
    time.sleep(1.0)
    interrupted = time.monotonic()
    client.connection.send("interrupt")
    event = client.wait_for("interrupted")
    assert 8_000 < event["sample"] < 32_000, "what was heard"
    time.sleep(0.8)
    client.speak(speech[:8_000])
    client.connection.send("end")
    client.wait_for("finished")
    video = client.close()
    with av.open(io.BytesIO(video)) as container:
        packets = [(packet.pos, packet.decode()) for packet in container.demux(audio=0) if packet.pos]
    ends = np.cumsum([len(data) for _, data in client.messages])
    heard = [
        client.messages[int(np.searchsorted(ends, position, "right"))][0]
        for position, decoded in packets
        if decoded and np.abs(decoded[0].to_ndarray()).max() > 0.01
    ]
    before = [time for time in heard if time < interrupted + 0.8]
    assert max(before) - interrupted < MAX_INTERRUPTION_S
    assert max(heard) > interrupted + 0.8, "the next words are not heard"
    assert client.wait_for("speaking")["utterance"] == 2 and client.wait_for("speaking")["sample"] == 64_000


def test_a_second_client_is_refused_and_the_place_is_free_again(client: Client, port: int):
    session = json.loads(get(port, "/health"))
    assert session["status"] == "ok" and session["sessions"] == session["max_sessions"] == 1
    with connect(f"ws://127.0.0.1:{port}/live") as second, pytest.raises(ConnectionClosed) as refusal:
        second.recv(timeout=10)
    assert refusal.value.rcvd.code == 1013 and "places for 1 client" in refusal.value.rcvd.reason
    client.wait_for("statistics")
    lines = dict(line.rsplit(" ", 1) for line in get(port, "/metrics").splitlines() if line[0] != "#")
    assert lines["dfa_sessions"] == "1" and float(lines["dfa_frames_total"]) > 20
    assert float(lines["dfa_sessions_refused_total"]) >= 1
    assert 0.1 < float(lines['dfa_frame_latency_seconds{quantile="0.5"}']) < 2
    client.close()


def test_bad_input_is_answered_and_harms_nobody(client: Client, port: int):
    client.connection.send("{garbage")
    assert "send PCM" in client.wait_for("error")["reason"]
    client.connection.send(b"\x00" * 333)
    client.connection.send(b"\x00")
    client.connection.send("end")
    client.wait_for("finished")
    with contextlib.suppress(ConnectionClosed):  # while it is being sent
        client.connection.send(bytes(MAX_MESSAGE_BYTES + 1))
    client.wait_for_end()
    for query, reason in (
        ("rate=1", "4000 to 192000"),
        ("rate=x", "sample rate"),
        ("video=gif", "mp4, mpegts or none"),
    ):
        with connect(f"ws://127.0.0.1:{port}/live?{query}") as other, pytest.raises(ConnectionClosed, match=reason):
            other.recv(timeout=10)


def test_a_player_may_join(port: int):
    with connect(f"ws://127.0.0.1:{port}/live?video=none") as connection:
        name = json.loads(connection.recv(timeout=10)).get("session")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/sessions/{name}/video.ts", timeout=10) as reply:
            assert reply.headers["Content-Type"] == "video/mp2t"
            video = b""
            while len(video) < 40_000:
                video += reply.read1(4096)
        frames, audio, rate = frames_and_audio(video)
        assert len(frames) > 3 and frames.shape[1:] == (32, 32, 3) and rate == 48_000 and len(audio)
        for path, body, code in (
            ("/sessions/unknown/video.ts", None, 404),
            (f"/sessions/{name}/video.avi", None, 404),
            (f"/sessions/{name}/offer", b"{", 400),
            (f"/sessions/{name}/offer", b'{"sdp": "v=0"}', 400),
            (f"/sessions/{name}/offer", bytes(100_000), 413),
        ):
            with pytest.raises(urllib.error.HTTPError) as refusal:
                urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", body), timeout=10)
            assert refusal.value.code == code, path
