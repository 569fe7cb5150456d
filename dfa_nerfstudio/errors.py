"""Bad input ends every command with one clear line and exit code 2."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C or SIGTERM ended."""
MAX_BRIEF = 160
"""Largest number of letters of `brief`."""
_OPTION = re.compile(r"`([a-z][a-z0-9_.]*)(?:=([^`]*))?`")


class UserError(Exception):
    """Bad input: what is wrong, where, and what to do, in one line.

    An option is written by its Python name between two backticks, with or without a value, such as size=15. Whoever
    calls the library reads that; a command shows it as the flag that its user types, --size 15 (`as_flags`).
    """


def brief(error: Exception) -> str:
    """The text of an exception of another library, in one line and cut to a length that can be read; or its class.

    Example:
        >>> brief(ValueError("two   words")), brief(EOFError())
        ('two words', 'EOFError')
    """
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= MAX_BRIEF else f"{text[: MAX_BRIEF - 3]}..."


def as_flags(message: str) -> str:
    """Rewrites the options in a `UserError`'s message as command-line flags.

    Example:
        >>> as_flags("`scene_cut=split` makes a dataset of each scene")
        '--scene-cut split makes a dataset of each scene'
    """

    def flag(match: re.Match[str]) -> str:
        name, value = match.groups()
        return f"--{name.replace('_', '-')}" + ("" if value is None else f" {value}")

    return _OPTION.sub(flag, message)


def one_line(text: str) -> str:
    """The text in one line, with control characters escaped: names of files may contain those that a terminal obeys.

    Example:
        >>> print(one_line("a\\n\\x1b[2Jb.mp4: no such file"))
        a \\x1b[2Jb.mp4: no such file
    """
    return "".join(letter if letter.isprintable() else ascii(letter).strip("'") for letter in " ".join(text.split()))


_caller_handles: ContextVar[bool] = ContextVar("whether the caller of the library handles errors", default=False)


@contextlib.contextmanager
def errors_for_caller() -> Iterator[None]:
    """Within the block, `exit_on_user_error` raises a `UserError` instead of ending the process.

    For Python code that calls nerfstudio's trainer, which calls this package, and wants the exception.
    """
    token = _caller_handles.set(True)
    try:
        yield
    finally:
        _caller_handles.reset(token)


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Turns a `UserError` into one line on stderr and exit code 2.

    Wraps each command's `main`, and the methods that nerfstudio's own commands call, where an exception would end in
    a traceback. Ctrl-C and SIGTERM end them with one line too, after everything has been cleaned up.

    Raises:
        SystemExit: with code 2 for a `UserError`, `INTERRUPTED` for Ctrl-C or SIGTERM.

    Example:
        >>> with exit_on_user_error():
        ...     print("nothing wrong")
        nothing wrong
    """
    try:
        with _interrupt_at_sigterm(), _lost_interrupts_repeated():
            yield
    except UserError as error:
        if _caller_handles.get():
            raise
        print(f"error: {as_flags(one_line(str(error)))}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    except BaseException as error:
        if not _caused_by_interrupt(error):
            raise
        print("interrupted", file=sys.stderr, flush=True)
        raise SystemExit(INTERRUPTED) from None


def _caused_by_interrupt(error: BaseException | None) -> bool:
    """Whether an exception is a KeyboardInterrupt, or what a compiled module makes of one while it is imported."""
    return error is not None and (isinstance(error, KeyboardInterrupt) or _caused_by_interrupt(error.__cause__))


@contextlib.contextmanager
def _interrupt_at_sigterm() -> Iterator[None]:
    """Lets SIGTERM raise KeyboardInterrupt, as Ctrl-C does, unless it has a handler already."""
    in_main_thread = threading.current_thread() is threading.main_thread()  # no other one may set handlers
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def _lost_interrupts_repeated() -> Iterator[None]:
    """Repeats a KeyboardInterrupt that Python drops, because it came within a callback of the garbage collector."""
    previous = sys.unraisablehook

    def repeat(lost: sys.UnraisableHookArgs) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            # at once, it would be dropped here again
            timer = threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
            timer.daemon = True  # so that a command that has ended by then is not interrupted while Python shuts down
            timer.start()
        else:
            previous(lost)

    sys.unraisablehook = repeat
    try:
        yield
    finally:
        sys.unraisablehook = previous
