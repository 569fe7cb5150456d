"""Progress of long work, for whoever listens: a page in the browser, a notebook, another program.

The functions that take long report their progress here; without a listener that costs nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

ProgressListener = Callable[["Progress"], None]


@dataclass(frozen=True)
class Progress:
    """Progress of one stage."""

    stage: str
    """Name of the stage, for example `tracking the face`."""
    fraction: float | None = None
    """Completed fraction of the stage, 0 to 1; None where its length is unknown."""


_listener: ContextVar[ProgressListener | None] = ContextVar("progress listener", default=None)


@contextlib.contextmanager
def progress_listener(listener: ProgressListener) -> Iterator[None]:
    """Calls `listener` with the progress of everything that runs in the block, in this thread.

    It is called often, from the thread that works: it should return quickly. An exception that it raises ends the work.

    Example:
        >>> with progress_listener(print):
        ...     report_progress("training", 0.25)
        Progress(stage='training', fraction=0.25)
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report_progress(stage: str, fraction: float | None = None) -> None:
    """Tells the listener, if there is one, how far a stage has come; see `Progress`."""
    if (listener := _listener.get()) is not None:
        listener(Progress(stage, fraction))
