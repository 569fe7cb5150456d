"""The console that commands print to."""

from __future__ import annotations

from rich.console import Console


def make_console(quiet: bool = False) -> Console:
    """A console that prints text as it is: `line [x].mp4` keeps its brackets, and numbers have no colours."""
    return Console(quiet=quiet, markup=False, emoji=False, highlight=False)
