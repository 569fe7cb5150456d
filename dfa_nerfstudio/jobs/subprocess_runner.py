"""Running one job in a process of its own, so that a crash of that process affects no other job."""

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfa_nerfstudio.atomic_write import discard_partial
from dfa_nerfstudio.errors import INTERRUPTED, exit_on_user_error

TIMEOUT_S = 30.0
"""Seconds that a stopped process has to remove its unfinished output before it is killed."""


@dataclass
class Job:
    """One unit of work with one output."""

    name: str
    """Unique name of the job in progress and error messages."""
    output: Path
    """The file or folder that the job writes."""
    work: Callable[..., None]
    """The function to call, at the top level of a module; it reports bad input with `UserError`."""
    arguments: tuple[Any, ...]
    """Positional arguments of `work`; they must be picklable."""
    directory: Path = field(default_factory=Path.cwd)
    """Folder that relative paths refer to; a machine of a Ray cluster starts its processes elsewhere."""


def run_in_subprocess(job: Job, on_start: Callable[[Callable[[], None]], None] | None = None) -> str:
    """Runs one job in a process of its own and waits for it.

    Args:
        job: the job to run.
        on_start: called when the process has started, with a function that makes it clean up and end.

    Returns:
        the reason of the job's failure; empty if it succeeded.
    """
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [sys.executable, "-c", "from dfa_nerfstudio.jobs.subprocess_runner import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=job.directory if job.directory.is_dir() else None,
            start_new_session=True,  # so that Ctrl-C reaches the child only through this process
        )
        assert child.stdin is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # if it ended before it had read its job
                child.stdin.write(pickle.dumps(job))
                child.stdin.flush()
            if on_start is not None:
                on_start(child.stdin.close)
            code = child.wait(threading.TIMEOUT_MAX)  # with a timeout, wait polls, and Ray can interrupt it
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
    last_line = lines[-1].removeprefix("error: ") if lines else f"exit code {code}"
    if code in (2, INTERRUPTED):
        return last_line
    return f"an error in this program: {last_line}; run the command on this file alone for the traceback"


def _end(child: subprocess.Popen) -> None:
    """Makes a process clean up and end, and kills it after `TIMEOUT_S`."""
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    try:
        child.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _interrupt_when_stdin_closes() -> None:
    """Interrupts the main thread when the parent closes standard input or ends."""
    os.read(0, 1)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # also interrupts blocking calls


def main() -> None:
    """Entry point of the process: runs the pickled job from standard input."""
    # a background job inherits SIGINT as ignored, a Ray task as blocked
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with exit_on_user_error():
        with open(0, "rb", closefd=False) as source:
            job: Job = pickle.load(source)
        threading.Thread(target=_interrupt_when_stdin_closes, daemon=True).start()
        job.work(*job.arguments)
