"""One way for every command to refuse bad input: one clear line and exit code 2."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


class UserError(Exception):
    """Bad input. The message is one line that names the file or option at fault and what to do about it."""


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Turns a `UserError` into one line on stderr and exit code 2.

    Used around each command's `main`, and inside the classes that nerfstudio's own commands call, where an
    exception would end in a traceback.

    Raises:
        SystemExit: with code 2 for a `UserError`, 130 for an interrupt by the keyboard.

    Example:
        >>> with exit_on_user_error():
        ...     print("nothing wrong")
        nothing wrong
    """
    try:
        yield
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        raise SystemExit(130) from None
