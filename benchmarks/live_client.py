"""A client of `dfa-serve` that speaks in real time and notes when each frame and each sound of its avatar arrives."""

from __future__ import annotations

import io
import json
import time
from threading import Thread
from typing import Any

import av
import numpy as np
from jaxtyping import Float, Float32
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from dfa_nerfstudio.media.rates import SAMPLE_RATE

MESSAGE = SAMPLE_RATE // 50
"""Samples of a message: 20 ms."""
AUDIBLE = 0.01
"""Amplitude (full scale 1) from which audio counts as sound."""


class LiveClient:
    """One session, with its video as mp4.

    Args:
        port: port of the server on this machine.

    Raises:
        ConnectionClosed: if the server refuses the client.
    """

    def __init__(self, port: int) -> None:
        self._socket = connect(f"ws://127.0.0.1:{port}/live", max_size=None)
        self.events = [json.loads(self._socket.recv())]
        """Events of the session."""
        self._messages: list[tuple[float, bytes]] = []
        self._sent: list[tuple[int, float]] = []
        self._num_sent = 0
        self._thread = Thread(target=self._receive)
        self._thread.start()

    def _receive(self) -> None:
        try:
            for message in self._socket:
                if isinstance(message, bytes):
                    self._messages.append((time.monotonic(), message))
                else:
                    self.events.append(json.loads(message))
        except ConnectionClosed:
            pass

    def speak(self, speech: Float32[np.ndarray, " S"]) -> None:
        """Sends an utterance in real time, as a microphone would."""
        pcm, start = (speech * 32767).astype("<i2"), time.monotonic()
        for position in range(0, len(pcm), MESSAGE):
            time.sleep(max(start + position / SAMPLE_RATE - time.monotonic(), 0))
            self._sent.append((self._num_sent, time.monotonic()))
            self._socket.send(pcm[position : position + MESSAGE].tobytes())
            self._num_sent += len(pcm[position : position + MESSAGE])
        self._socket.send("end")

    def interrupt_speech(self, speech: Float32[np.ndarray, " S"], after: float) -> float:
        """Sends an utterance at once, interrupts it after some seconds; returns the time of the interruption."""
        self._num_sent += len(speech)
        self._socket.send((speech * 32767).astype("<i2").tobytes())
        time.sleep(after)
        start = time.monotonic()
        self._socket.send("interrupt")
        return start

    def close(self) -> None:
        """Ends the session."""
        self._socket.close()
        self._thread.join()

    def latencies(self) -> dict[int, Float[np.ndarray, " n"]]:
        """Returns the latency of each spoken frame in seconds, by utterance: from the moment its first sample was sent
        until the frame was received, encoded."""
        frames = self._arrivals("video")
        starts = [one for one in self.events if one["event"] == "speaking"]
        ends = [*(one["time"] for one in starts[1:]), np.inf]
        finished = {one["utterance"]: one["time"] for one in self.events if one["event"] == "finished"}
        numbers, times = np.array(self._sent).T
        result: dict[int, list[float]] = {}
        for start, end in zip(starts, ends, strict=True):
            end = min(end, finished.get(start["utterance"], np.inf))
            for time_of_frame, arrival, _ in frames:
                if start["time"] <= time_of_frame < end:
                    sample = start["sample"] + (time_of_frame - start["time"]) * SAMPLE_RATE
                    index = max(int(np.searchsorted(numbers, sample, "right")) - 1, 0)
                    result.setdefault(start["utterance"], []).append(arrival - times[index])
        return {utterance: np.array(values) for utterance, values in result.items()}

    def sounds(self) -> Float[np.ndarray, " n"]:
        """Returns the arrival time of each packet of audio (21 ms) that is not silent."""
        return np.array([arrival for _, arrival, peak in self._arrivals("audio") if peak > AUDIBLE])

    def statistics(self, name: str) -> list[Any]:
        """Returns a value of each `statistics` event."""
        return [one[name] for one in self.events if one["event"] == "statistics"]

    def _arrivals(self, kind: str) -> list[tuple[float, float, float]]:
        """Returns media time, arrival and largest value of each packet."""
        ends = np.cumsum([len(data) for _, data in self._messages])
        video, result = b"".join(data for _, data in self._messages), []
        with av.open(io.BytesIO(video)) as container:
            stream = container.streams.video[0] if kind == "video" else container.streams.audio[0]
            for packet in container.demux(stream):
                if packet.pts is None or packet.pos is None:
                    continue
                arrival = self._messages[int(np.searchsorted(ends, packet.pos, "right"))][0]
                decoded = packet.decode() if kind == "audio" else []
                peak = max((float(np.abs(frame.to_ndarray()).max()) for frame in decoded), default=0.0)
                result.append((float(packet.pts * packet.time_base), arrival, peak))
        return result
