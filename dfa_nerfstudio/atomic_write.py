"""Writing files and folders: they appear complete or not at all, one process at a time, and never replace an input."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from dfa_nerfstudio.errors import UserError

PARTIAL, LOCK = ".partial", ".lock"
"""Names, in a folder that exists already, of the unfinished output and of the file that other processes see. Beside a
file, they follow its name."""
FULL_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of the disk is used up",
    errno.EFBIG: "it would be larger than the disk or the limit, ulimit -f, allows",
}
"""Errors of writing that more room would mend, in words."""


@contextlib.contextmanager
def atomic_write(final: Path) -> Iterator[Path]:
    """Yields a temporary path, and moves the file there to `final` if the block succeeds; otherwise removes it.

    The temporary name keeps the suffix, because encoders choose their format by it. A file that exists is replaced.
    Links are followed.

    Args:
        final: path of the finished file.

    Raises:
        UserError: if another process is writing to `final`, it is a folder, or the place cannot be written.
    """
    place = Path(os.path.realpath(final))
    if place.is_dir():
        raise UserError(f"{final}: is a folder; give the name of a file")
    with _temporary(final, place) as partial:
        yield partial
        os.replace(partial, place)


@contextlib.contextmanager
def atomic_folder(final: Path, last: str) -> Iterator[Path]:
    """Yields a new temporary folder, and moves it to `final` if the block succeeds; otherwise removes it.

    A folder that exists, which may be a mount point or the current folder, stays where it is, and its content is
    replaced. Links are followed.

    Args:
        final: path of the finished folder.
        last: file that marks the folder as complete: of an existing folder it is the first to be removed and the last
            to be written.

    Raises:
        UserError: if another process is writing to `final`, it is a file, or the place cannot be written.
    """
    place = Path(os.path.realpath(final))
    if place.is_file():
        raise UserError(f"{final}: is a file; give a folder")
    with _temporary(final, place) as partial:
        partial.mkdir()
        yield partial
        if place.is_dir():
            _replace_content(place, partial, last)
        else:
            os.replace(partial, place)


class FullDiskError(UserError):
    """There is no room for an output."""

    def __init__(self, place: Path, reason: str) -> None:
        super().__init__(f"{place}: cannot be written ({reason}); make room there, or choose another place")
        self.reason = reason


@contextlib.contextmanager
def full_disk_errors(place: Path) -> Iterator[None]:
    """Reports that there is no room for what the block writes.

    Raises:
        FullDiskError: which names `place`, and not a file in an unfinished folder, which is gone by then.
    """
    try:
        yield
    except FullDiskError as error:
        raise FullDiskError(place, error.reason) from None
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise FullDiskError(place, FULL_DISK[error.errno]) from None


@contextlib.contextmanager
def _temporary(final: Path, place: Path) -> Iterator[Path]:
    """Yields the temporary path of an output, locked; reports places that cannot be written by the name `final`."""
    partial, lock = _paths_inside(place) if place.is_dir() else _paths_beside(place)
    try:
        with full_disk_errors(final):
            place.parent.mkdir(parents=True, exist_ok=True)
            with _locked(lock, final):
                _remove(partial)
                if place.is_dir():
                    _discard(*_paths_beside(place))  # of a process that was killed right after it had moved the folder
                try:
                    yield partial
                finally:
                    _remove(partial)
    except OSError as error:
        if error.filename and Path(error.filename) in (partial, lock, place, *place.parents):
            raise UserError(f"{final}: cannot be written ({error.strerror}); choose another place") from None
        raise


def discard_partial(final: Path) -> None:
    """Removes the unfinished output that a killed process left for `final`; that of a living one stays."""
    place = Path(os.path.realpath(final))
    for paths in (_paths_inside(place), _paths_beside(place)):
        _discard(*paths)


def discard_partial_files(folder: Path) -> None:
    """Removes the unfinished files that killed processes left in a folder; those of living ones stay."""
    for lock in list(folder.glob(f".*{LOCK}")):
        discard_partial(folder / lock.name.removeprefix(".").removesuffix(LOCK))


def has_other_content(folder: Path, *marks: str) -> bool:
    """Whether a folder contains files, but no complete output, nor what a killed `atomic_folder` left of one.

    Args:
        folder: the folder.
        marks: patterns of files, one of which every output contains.
    """
    if all(path.name in (PARTIAL, LOCK) for path in folder.iterdir()):
        return False
    return not any(list(place.glob(mark)) for place in (folder, folder / PARTIAL) for mark in marks)


def check_not_input(output: Path, *inputs: Path | None) -> None:
    """Raises a `UserError` if `output` is one of the given files that are read."""
    for path in inputs:
        if path is not None and output.exists() and path.exists() and output.samefile(path):
            raise UserError(f"{output}: is an input too, and would be overwritten; give another output")


def _paths_inside(place: Path) -> tuple[Path, Path]:
    """Paths of the unfinished output and of the lock in a folder that exists."""
    return place / PARTIAL, place / LOCK


def _paths_beside(place: Path) -> tuple[Path, Path]:
    """Paths of the unfinished output and of the lock beside a file, or a folder that does not exist yet."""
    return place.with_name(f".{place.stem}{PARTIAL}{place.suffix}"), place.with_name(f".{place.name}{LOCK}")


def _discard(partial: Path, lock: Path) -> None:
    if partial.exists() or lock.exists():
        with contextlib.suppress(UserError), _locked(lock, partial):
            _remove(partial)


@contextlib.contextmanager
def _locked(lock: Path, final: Path) -> Iterator[None]:
    file_lock = FileLock(lock, timeout=0)
    try:
        file_lock.acquire()
    except Timeout:
        raise UserError(f"{final}: another process is writing it; wait for it, or give another output") from None
    try:
        yield
    finally:
        _remove(lock)
        file_lock.release()


def _replace_content(place: Path, partial: Path, last: str) -> None:
    def order(path: Path) -> tuple[bool, bool, str]:
        return path.name == last, path.is_file(), path.name

    kept = {PARTIAL, LOCK}
    for path in sorted(place.iterdir(), key=order, reverse=True):
        if path.name not in kept:
            _remove(path)
    for path in sorted(partial.iterdir(), key=order):
        os.replace(path, place / path.name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
