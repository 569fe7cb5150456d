"""Bad input ends every command with one clear line and exit code 2."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator

MAX_BRIEF = 160
"""Largest number of letters of `brief`."""
_OPTION = re.compile(r"`([a-z][a-z0-9_.]*)(?:=([^`]*))?`")


class UserError(Exception):
    """Bad input: what is wrong, where, and what to do, in one line.

    An option is written in backticks by its Python name, with or without a value: `` `size=15` ``. Whoever calls the
    library reads that; a command shows it as the flag that its user types, `--size 15` (`as_flags`).
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


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Turns a `UserError` into one line on stderr and exit code 2.

    Wraps each command's `main`, and the methods that nerfstudio's own commands call, where an exception would end in
    a traceback.

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
        print(f"error: {as_flags(one_line(str(error)))}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        raise SystemExit(130) from None
