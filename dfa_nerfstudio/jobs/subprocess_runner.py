"""One piece of work in a process of its own: whatever becomes of that process, only this piece is concerned."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfa_nerfstudio.atomic_write import discard_partial
from dfa_nerfstudio.errors import exit_on_user_error

PATIENCE = 30.0
"""Seconds that a process may take to put away what it has half-written before it is killed."""


@dataclass
class Job:
    """One piece of work."""

    name: str
    """What it is called in progress and errors."""
    output: Path
    """The file or folder that it makes."""
    work: Callable[..., None]
    """A function of a module, which refuses bad input with `UserError`."""
    arguments: tuple[Any, ...]
    """What it is called with; they are pickled."""


def work_alone(job: Job, on_start: Callable[[Callable[[], None]], None] | None = None) -> str:
    """Does one job in a process of its own and waits for it.

    Args:
        job: what to do.
        on_start: is given a function that makes the process clean up and end.

    Returns:
        why it failed; empty if its output is there.
    """
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [sys.executable, "-c", "from dfa_nerfstudio.jobs.subprocess_runner import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is the parent's alone to hand on
        )
        assert child.stdin is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended before it had read what to do
                child.stdin.write(pickle.dumps(job))
                child.stdin.flush()
            if on_start is not None:
                on_start(child.stdin.close)
            code = child.wait(threading.TIMEOUT_MAX)  # with a timeout it looks again and again: Ray can interrupt that
        finally:
            _end(child)
            discard_partial(job.output)
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
    if code == 0:
        return ""
    if code < 0:
        name = signal.Signals(-code).name
        return f"its process was ended by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")
    last = lines[-1].removeprefix("error: ") if lines else f"exit code {code}"
    return (
        last if code in (2, 130) else f"a fault of this program: {last}; the same command on this one alone tells more"
    )


def _end(child: subprocess.Popen) -> None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _interrupted_with_the_parent() -> None:
    """Standard input ends when the parent closes it or is no more."""
    os.read(0, 1)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # wakes it whatever it waits for


def main() -> None:
    """What the process does: reads its job from standard input."""
    # a background job inherits that SIGINT is ignored, a task of Ray that it is blocked
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with exit_on_user_error():
        with open(0, "rb", closefd=False) as source:
            job: Job = pickle.load(source)
        threading.Thread(target=_interrupted_with_the_parent, daemon=True).start()
        job.work(*job.arguments)
