"""Messages from a session's threads to one client, which the event loop sends in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

MAX_WAITING = 250
"""Largest number of messages that wait for a slow client: 10 s of video."""


class Outbox:
    """A queue from any thread to the event loop in which it was created.

    It ends by itself when the client reads so slowly that too much would wait.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages = asyncio.Queue[bytes | str | None]()
        self.overflown = False
        """Whether the client has read too slowly."""

    def put(self, message: bytes | str | None) -> None:
        """Appends a message; None ends the queue. Safe to call from any thread, at any time."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._put, message)

    def _put(self, message: bytes | str | None) -> None:
        if self.overflown:
            return
        if self._messages.qsize() >= MAX_WAITING:
            self.overflown, message = True, None
        self._messages.put_nowait(message)

    async def __aiter__(self) -> AsyncIterator[bytes | str]:
        while (message := await self._messages.get()) is not None:
            yield message
