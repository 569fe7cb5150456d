"""Writing files and folders atomically: they appear complete or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_write(final: Path) -> Iterator[Path]:
    """Yields a temporary path next to `final`, and moves it to `final` if the block succeeds; otherwise removes it.

    The temporary name keeps the suffix, because encoders choose their format by it. The path may become a file or a
    folder; an existing file or folder `final` is replaced.

    Args:
        final: path of the finished file or folder.
    """
    partial = _partial_path(final)
    _remove(partial)
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        if final.is_dir():
            _remove(final)
        os.replace(partial, final)
    finally:
        _remove(partial)


def discard_partial(final: Path) -> None:
    """Removes the unfinished output that a killed process left next to `final`."""
    _remove(_partial_path(final))


def _partial_path(final: Path) -> Path:
    return final.with_name(f".{final.stem}.partial{final.suffix}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
