"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_write(final: Path) -> Iterator[Path]:
    """Yields a path beside `final` to write to; it takes the final name only if the block succeeds.

    The partial name keeps the suffix, because encoders choose their format by it. Works for a file and for a folder:
    a folder of the same name that is there already is replaced.

    Args:
        final: where the finished file or folder is to be.
    """
    partial = _partial(final)
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
    """Removes what a process that was killed had written on the way to `final`."""
    _remove(_partial(final))


def _partial(final: Path) -> Path:
    return final.with_name(f".{final.stem}.partial{final.suffix}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
