"""Queues the audio of a client and returns it in real time, with silence where there is none."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.talk.pcm_source import PcmDecoder

MAX_PAUSE_S = 0.5
"""Seconds without audio after which an utterance counts as finished, although its client has not ended it."""

Samples = Float32[np.ndarray, " n"]


@dataclass
class Boundary:
    """Place in the audio where speech starts, or starts again after a pause, or where an utterance is finished."""

    kind: Literal["speaking", "finished"]
    """What happens there."""
    position: int
    """Sample at 16 kHz; counted from the start of the audio that contains it."""
    utterance: int
    """Number of the utterance, from 1."""
    sample: int
    """Sample of the client at that place, in the client's own rate, counted from its first one."""


@dataclass
class DueAudio:
    """Audio that is due."""

    samples: Samples
    """Samples at 16 kHz."""
    boundaries: list[Boundary] = field(default_factory=list)
    """Boundaries within the samples, in order."""


@dataclass
class _Chunk:
    samples: Samples
    first: float
    """Client's sample number of the first one."""


class SpeechQueue:
    """Audio of one client from its arrival to its playback. Safe to use from several threads.

    Args:
        rate: sample rate of the client's PCM in Hz.
        jitter_buffer: seconds of audio that must have arrived before speech starts.
        max_queued: largest duration of queued audio in seconds.
    """

    def __init__(self, rate: int, jitter_buffer: float, max_queued: float) -> None:
        self.rate, self.jitter_buffer, self.max_queued = rate, jitter_buffer, max_queued
        self.num_received = 0
        """Number of samples that the client has sent, in its own rate."""
        self._items: deque[_Chunk | None] = deque()  # None ends an utterance
        self._lock = Lock()
        self._utterance, self._in_utterance, self._playing = 0, False, False
        self._waiting_since = self._dry_since = 0.0
        self._next_sample = 0.0
        self._start_decoder()

    @property
    def queued(self) -> float:
        """Duration of the queued audio in seconds."""
        return sum(len(item.samples) for item in tuple(self._items) if item is not None) / SAMPLE_RATE

    def write(self, pcm: bytes, now: float) -> None:
        """Appends audio.

        Args:
            pcm: 16 bit, little endian, mono; any number of bytes.
            now: time of its arrival in seconds.

        Raises:
            UserError: if too much audio is queued; nothing of `pcm` is taken then.
        """
        with self._lock:
            if self.queued + len(pcm) / 2 / self.rate > self.max_queued:
                raise UserError(
                    f"more than {self.max_queued:g} s of audio would be queued; send it later, {self.queued:.0f} s wait"
                )
            if not any(self._items):
                self._waiting_since = now
            self._append(list(self._decoder.decode(pcm)))
            self.num_received = self._decoder_start + (self._num_bytes + len(pcm)) // 2
            self._num_bytes += len(pcm)

    def end_utterance(self) -> None:
        """Ends the utterance with the audio that has been sent so far; the next audio starts another one."""
        with self._lock:
            if not self._num_bytes:
                return
            self._append(list(self._decoder.finish()))
            self._items.append(None)
            self._start_decoder()

    def interrupt(self) -> None:
        """Drops all queued audio; the next audio starts another utterance."""
        with self._lock:
            self._items.clear()
            self._start_decoder()
            self._in_utterance = self._playing = False

    def take(self, num_samples: int, now: float) -> DueAudio:
        """Returns the next samples: queued audio, and silence where there is none.

        Args:
            num_samples: number of samples at 16 kHz.
            now: time in seconds.
        """
        with self._lock:
            due, filled = DueAudio(np.zeros(num_samples, np.float32)), 0
            while filled < num_samples and self._items:
                item = self._items[0]
                if item is None:
                    self._items.popleft()
                    self._finish(due, filled)
                    continue
                if not self._playing:
                    if not self._may_start(now):
                        break
                    self._start(due, filled, item.first)
                part = item.samples[: num_samples - filled]
                due.samples[filled : filled + len(part)] = part
                filled += len(part)
                item.samples = item.samples[len(part) :]
                item.first += len(part) * self.rate / SAMPLE_RATE
                self._next_sample = item.first
                if not len(item.samples):
                    self._items.popleft()
            if filled < num_samples and self._playing:
                self._playing, self._dry_since = False, now
            if self._in_utterance and not self._playing and not self._items and now - self._dry_since >= MAX_PAUSE_S:
                self._start_decoder()
                self._finish(due, filled)
            return due

    def _append(self, chunks: list[Samples]) -> None:
        for samples in chunks:
            if len(samples):
                self._items.append(_Chunk(samples, self._decoder_start + self._num_decoded * self.rate / SAMPLE_RATE))
                self._num_decoded += len(samples)

    def _start_decoder(self) -> None:
        self._decoder, self._decoder_start = PcmDecoder(self.rate), self.num_received
        self._num_bytes = self._num_decoded = 0

    def _may_start(self, now: float) -> bool:
        """Whether enough audio is queued, or no more will come."""
        enough = self.queued >= self.jitter_buffer or now - self._waiting_since >= self.jitter_buffer
        return enough or None in self._items

    def _start(self, due: DueAudio, position: int, sample: float) -> None:
        self._utterance += not self._in_utterance
        self._in_utterance = self._playing = True
        due.boundaries.append(Boundary("speaking", position, self._utterance, round(sample)))

    def _finish(self, due: DueAudio, position: int) -> None:
        if self._in_utterance:
            due.boundaries.append(Boundary("finished", position, self._utterance, round(self._next_sample)))
        self._in_utterance = self._playing = False
