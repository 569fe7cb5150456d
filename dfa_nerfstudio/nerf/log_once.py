"""Logging a message once per process."""

from __future__ import annotations

from threading import Lock

from nerfstudio.utils.rich_utils import CONSOLE

_logged: set[str] = set()
_lock = Lock()


def log_once(message: str) -> None:
    """Logs a message once per process, thread-safely."""
    with _lock:
        if message in _logged:
            return
        _logged.add(message)
    CONSOLE.print(message, highlight=False)
