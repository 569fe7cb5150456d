"""Counters and latencies of the server, as JSON and in the text format of Prometheus."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from dfa_nerfstudio.media.rates import FRAME_RATE

NUM_LATENCIES = round(60 * FRAME_RATE)
"""Number of latest frames, of all sessions, whose latency quantiles are shown."""
QUANTILES = 0.5, 0.95, 0.99


@dataclass
class Metrics:
    """Counters since the start of the server."""

    frame_rate: float
    """Frames per second that this machine renders, measured at the start."""
    max_clients: int
    """Largest number of clients at a time."""
    sessions: int = 0
    """Number of open sessions."""
    sessions_total: int = 0
    """Number of sessions so far."""
    refused_total: int = 0
    """Number of clients refused because all places were taken."""
    failed_total: int = 0
    """Number of sessions that an error ended."""
    interruptions_total: int = 0
    """Number of interruptions."""
    frames_total: int = 0
    """Number of frames encoded, dropped ones included."""
    dropped_total: int = 0
    """Number of frames that were too late to be rendered, so that the previous one was repeated."""
    latency_sum: float = 0.0
    """Sum of the latencies of all frames in seconds."""
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=NUM_LATENCIES))
    """Latency of each of the latest frames in seconds, from the arrival of its first audio sample until it was
    encoded."""

    _lock: Lock = field(default_factory=Lock)

    def on_frame(self, latency: float, dropped: bool) -> None:
        """Counts a frame; several threads may call it."""
        with self._lock:
            self.frames_total += 1
            self.dropped_total += dropped
            self.latency_sum += latency
            self.latencies.append(latency)

    def prometheus(self) -> str:
        """All metrics in the text format of Prometheus."""
        lines = []
        for name, kind, text, value in (
            ("sessions", "gauge", "Open sessions.", self.sessions),
            ("sessions_max", "gauge", "Largest number of sessions at a time.", self.max_clients),
            ("sessions_opened_total", "counter", "Sessions opened.", self.sessions_total),
            ("sessions_refused_total", "counter", "Clients refused for lack of capacity.", self.refused_total),
            ("sessions_failed_total", "counter", "Sessions that an error ended.", self.failed_total),
            ("interruptions_total", "counter", "Interruptions.", self.interruptions_total),
            ("frames_total", "counter", "Frames encoded.", self.frames_total),
            ("frames_dropped_total", "counter", "Frames too late to be rendered.", self.dropped_total),
            ("render_frames_per_second", "gauge", "Frame rate measured at the start.", round(self.frame_rate, 2)),
        ):
            lines += [f"# HELP dfa_{name} {text}", f"# TYPE dfa_{name} {kind}", f"dfa_{name} {value}"]
        name, latencies = "dfa_frame_latency_seconds", tuple(self.latencies)
        lines += [f"# HELP {name} Time from audio to encoded frame, latest minute.", f"# TYPE {name} summary"]
        for quantile in QUANTILES if latencies else ():
            lines.append(f'{name}{{quantile="{quantile}"}} {np.quantile(latencies, quantile):.4f}')
        lines += [f"{name}_sum {self.latency_sum:.4f}", f"{name}_count {self.frames_total}"]
        return "\n".join(lines) + "\n"
