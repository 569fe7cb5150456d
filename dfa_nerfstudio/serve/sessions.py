"""The open sessions of the server, and how many there may be."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass
from typing import Any

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.serve.live_session import LiveSession
from dfa_nerfstudio.serve.metrics import Metrics
from dfa_nerfstudio.serve.outbox import Outbox
from dfa_nerfstudio.serve.render_pool import RenderPool
from dfa_nerfstudio.serve.serve_config import ServeConfig
from dfa_nerfstudio.serve.speech_queue import SpeechQueue

MIN_RATE, MAX_RATE = 4000, 192_000
"""Range of the sample rate of a client's audio in Hz."""


class NoCapacityError(UserError):
    """All places are taken."""


@dataclass
class OpenSession:
    """A session and its client."""

    name: str
    """Random name of the session in addresses."""
    session: LiveSession
    """The session."""
    outbox: Outbox
    """Messages to the client: video as bytes, events as text."""

    def send_event(self, event: dict[str, Any]) -> None:
        """Sends an event to the client; safe to call from any thread. The event `closed` is the last message."""
        self.outbox.put(None if event["event"] == "closed" else json.dumps(event))


class Sessions:
    """Opens and closes sessions. Call its methods in the event loop.

    Args:
        pool: renders the frames of all sessions.
        config: limits.
        metrics: counts sessions and frames.
    """

    def __init__(self, pool: RenderPool, config: ServeConfig, metrics: Metrics) -> None:
        self.pool, self.config, self.metrics = pool, config, metrics
        self._open: dict[str, OpenSession] = {}

    def open(self, rate: int) -> OpenSession:
        """Opens a session; it renders after `LiveSession.start`.

        Args:
            rate: sample rate of the client's audio in Hz.

        Raises:
            NoCapacityError: if there are as many sessions as this machine can render.
            UserError: if the rate is out of range.
        """
        config, metrics = self.config, self.metrics
        if not MIN_RATE <= rate <= MAX_RATE:
            raise UserError(f"rate={rate}: give {MIN_RATE} to {MAX_RATE} Hz")
        if len(self._open) >= metrics.max_clients:
            metrics.refused_total += 1
            clients = "1 client" if metrics.max_clients == 1 else f"{metrics.max_clients} clients"
            raise NoCapacityError(f"this server has places for {clients}, and all are taken; try again later")
        queue = SpeechQueue(rate, config.jitter_buffer, config.max_queued)
        seed = self.pool.renderer.motion.seed + metrics.sessions_total  # so that two avatars do not move alike
        name, outbox = secrets.token_urlsafe(12), Outbox()
        session = LiveSession(self.pool, queue, seed, metrics, lambda event: opened.send_event(event))
        opened = self._open[name] = OpenSession(name, session, outbox)
        metrics.sessions_total += 1
        metrics.sessions = len(self._open)
        return opened

    def find(self, name: str) -> OpenSession | None:
        """Returns the open session of a name; None if there is none."""
        return self._open.get(name)

    async def close(self, opened: OpenSession) -> None:
        """Closes a session; its place is free when its threads have ended."""
        opened.session.close()
        try:
            await asyncio.to_thread(opened.session.join)
        finally:
            self._open.pop(opened.name, None)
            self.metrics.sessions = len(self._open)
