"""What is said once and not again, whichever thread comes to it first."""

from __future__ import annotations

from threading import Lock

from nerfstudio.utils.rich_utils import CONSOLE

_said: set[str] = set()
_lock = Lock()


def say_once(line: str) -> None:
    """Prints a line, unless this process has said it already."""
    with _lock:
        if line in _said:
            return
        _said.add(line)
    CONSOLE.print(line, highlight=False)
