"""One client's avatar: speaks the client's audio in real time, moves and blinks in between, and can be interrupted."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from queue import Queue
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.errors import UserError, brief
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.serve.interruption import Interruption
from dfa_nerfstudio.serve.metrics import Metrics
from dfa_nerfstudio.serve.render_pool import Image, RenderPool
from dfa_nerfstudio.serve.speech_queue import Boundary, SpeechQueue
from dfa_nerfstudio.serve.video_output import VideoOutput
from dfa_nerfstudio.talk.pcm_source import SAMPLES_PER_FRAME

TICK_SAMPLES = SAMPLES_PER_FRAME // 2
"""Samples at 16 kHz (20 ms) that are given to the attribute models at once."""
STATISTICS_FRAMES = round(FRAME_RATE)
"""Number of frames from one `statistics` event to the next."""

EventListener = Callable[[dict[str, Any]], None]
"""Receives the events of a session, from several threads."""


class LiveSession:
    """Renders without end, by the clock: frame n shows the 1/25 s of audio that was due at n / 25 s.

    Its first thread takes the audio that is due, generates the attribute track and has its frames rendered. Its second
    one takes the rendered frames in order, and gives them, with their audio, to the outputs. Times in events are media
    times: seconds since the first frame.

    Args:
        pool: renders the frames.
        queue: audio of the client.
        seed: random seed of the motion.
        metrics: counts the frames.
        on_event: receives the events; the last one is `closed`.
    """

    def __init__(
        self, pool: RenderPool, queue: SpeechQueue, seed: int, metrics: Metrics, on_event: EventListener
    ) -> None:
        self.pool, self.queue, self.seed, self.metrics, self._on_event = pool, queue, seed, metrics, on_event
        self._interruption = Interruption(pool.renderer.model.closed_mouth_feature.cpu())
        self._closed, self._lock = Event(), Lock()
        self._start = 0.0
        self._num_fed = self._num_encoded = 0
        self._fed = deque[Float32[np.ndarray, " n"]]()
        self._boundaries = deque[Boundary]()
        self._speech: Boundary | None = None
        self._frames: Queue[tuple[int, Future[Image | None]] | None] = Queue()
        self._outputs: list[VideoOutput] = []
        self._latencies, self._num_dropped = list[float](), 0
        self._threads = [Thread(target=self._run, args=(part,), daemon=True) for part in (self._drive, self._output)]

    def start(self) -> None:
        """Starts rendering."""
        for thread in self._threads:
            thread.start()

    def add_output(self, output: VideoOutput) -> None:
        """Gives the video, from the next frame on, to one more output; closes it if the session has ended."""
        with self._lock:
            if not self._closed.is_set():
                return self._outputs.append(output)
        output.close()

    @property
    def num_outputs(self) -> int:
        """Number of outputs that read the video."""
        return sum(not output.stopped for output in tuple(self._outputs))

    def write(self, pcm: bytes) -> None:
        """Queues audio; see `SpeechQueue.write`."""
        self.queue.write(pcm, time.monotonic())

    def end_utterance(self) -> None:
        """Ends the utterance with the audio that was sent so far."""
        self.queue.end_utterance()

    def interrupt(self) -> None:
        """Drops all audio that has not been encoded, queued or not; the next frame is silent and the mouth closes."""
        with self._lock:
            self.queue.interrupt()
            self._interruption.begin(self._num_fed)
            self._boundaries.clear()
            position = self._num_encoded * SAMPLES_PER_FRAME
            speech, self._speech = self._speech, None
        heard = None
        if speech is not None:
            heard = speech.sample + round((position - speech.position) * self.queue.rate / SAMPLE_RATE)
            heard = max(min(heard, self.queue.num_received), speech.sample)
        self.metrics.interruptions_total += 1
        self._on_event({"event": "interrupted", "time": position / SAMPLE_RATE, "sample": heard})

    def close(self) -> None:
        """Ends rendering and all outputs."""
        self._closed.set()

    def join(self) -> None:
        """Waits until everything has ended after `close`."""
        for thread in self._threads:
            thread.join()

    def _run(self, part: Callable[[], None]) -> None:
        """Runs one thread. An error ends the session, and is an event before the last one."""
        try:
            part()
        except Exception as error:
            self.metrics.failed_total += 1
            self._on_event({"event": "error", "reason": f"the session failed: {brief(error)}"})
            if not isinstance(error, UserError):
                raise
        finally:
            self._closed.set()
            if part == self._drive:
                self._frames.put(None)
            else:
                self._on_event({"event": "closed"})

    def _drive(self) -> None:
        """Generates the track from the audio that is due, and has its frames rendered."""
        renderer = self.pool.renderer
        driver = renderer.driver(live=True, seed=self.seed)
        self._start, number = time.monotonic(), 0
        for track in driver.stream(self._due_audio()):
            for index in range(len(track)):
                if self._closed.is_set():
                    return
                frame = self._interruption.close_mouth(track[index : index + 1], number)
                due = self._start + number / FRAME_RATE
                # the first one is never dropped, because there is none that could be repeated
                self._frames.put((number, self.pool.submit(frame, due if number else None)))
                number += 1

    def _due_audio(self) -> Iterator[Float32[np.ndarray, " n"]]:
        """Yields audio as it becomes due, until the session is closed."""
        while not self._closed.is_set():
            elapsed = time.monotonic() - self._start
            num_due = int(elapsed * SAMPLE_RATE) // TICK_SAMPLES * TICK_SAMPLES - self._num_fed
            if not num_due:
                self._closed.wait((self._num_fed + TICK_SAMPLES) / SAMPLE_RATE - elapsed)
                continue
            with self._lock:
                due = self.queue.take(num_due, time.monotonic())
                for boundary in due.boundaries:
                    self._boundaries.append(replace(boundary, position=boundary.position + self._num_fed))
                self._fed.append(due.samples)
                self._num_fed += num_due
            yield due.samples

    def _output(self) -> None:
        """Gives the frames in order to the outputs."""
        image: Image | None = None
        try:
            while (frame := self._frames.get()) is not None and not self._closed.is_set():
                number, future = frame
                rendered = future.result()
                image = image if rendered is None else rendered
                assert image is not None
                with self._lock:
                    start = number * SAMPLES_PER_FRAME
                    audio = self._interruption.silence(self._next_audio(), start)
                    self._num_encoded = number + 1
                    events = list(self._passed_boundaries(start + SAMPLES_PER_FRAME))
                for event in events:
                    self._on_event(event)
                self._write(number, image, audio)
                self._count(number, rendered is None)
        finally:
            with self._lock:  # no output is added from here on
                self._closed.set()
            with contextlib.ExitStack() as ending:  # all of them, even if one fails
                for output in self._outputs:
                    ending.callback(output.close)

    def _next_audio(self) -> Float32[np.ndarray, " n"]:
        """Returns the audio of the next frame."""
        parts, missing = [], SAMPLES_PER_FRAME
        while missing:
            chunk = self._fed.popleft()
            if len(chunk) > missing:
                self._fed.appendleft(chunk[missing:])
            parts.append(chunk[:missing])
            missing -= len(parts[-1])
        return np.concatenate(parts)

    def _passed_boundaries(self, end: int) -> Iterator[dict[str, Any]]:
        """Yields an event for each boundary before sample `end`."""
        while self._boundaries and self._boundaries[0].position < end:
            boundary = self._boundaries.popleft()
            self._speech = boundary if boundary.kind == "speaking" else None
            yield {
                "event": boundary.kind,
                "utterance": boundary.utterance,
                "sample": boundary.sample,
                "time": boundary.position / SAMPLE_RATE,
            }

    def _write(self, number: int, image: Image, audio: Float32[np.ndarray, " n"]) -> None:
        for output in tuple(self._outputs):
            if output.stopped:
                with self._lock:
                    self._outputs.remove(output)
                output.close()
            else:
                output.write(number, image, audio)

    def _count(self, number: int, dropped: bool) -> None:
        """Measures the latency of a frame; sends statistics once a second."""
        waited = self.queue.jitter_buffer if self._speech is not None else 0.0
        latency = time.monotonic() - self._start - number / FRAME_RATE + waited
        self.metrics.on_frame(latency, dropped)
        self._latencies.append(latency)
        self._num_dropped += dropped
        if len(self._latencies) < STATISTICS_FRAMES:
            return
        self._on_event(
            {
                "event": "statistics",
                "time": (number + 1) / FRAME_RATE,
                "latency": round(float(np.median(self._latencies)), 3),
                "worst_latency": round(max(self._latencies), 3),
                "dropped_frames": self._num_dropped,
                "queued": round(self.queue.queued, 2),
            }
        )
        self._latencies, self._num_dropped = [], 0
