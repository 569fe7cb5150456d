"""Finds the files of a corpus."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from dfa_nerfstudio.errors import UserError


def find_files(root: Path, is_wanted: Callable[[Path], bool]) -> list[Path]:
    """The wanted files below a folder, in alphabetical order.

    Hidden files and folders are left out, among them the unfinished outputs of a killed process. Links to folders are
    followed. A folder that several paths lead to is searched once, by a path without links if there is one.

    Args:
        root: the folder.
        is_wanted: called with each file's path, which begins with `root`.

    Raises:
        UserError: if there is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    found, waiting, seen = list[Path](), [root], set[tuple[int, int]]()
    links = list[Path]()
    while waiting or links:
        folder = waiting.pop() if waiting else links.pop(0)
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = folder / entry.name
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    (links if entry.is_symlink() else waiting).append(path)
                elif entry.is_file() and is_wanted(path):
                    found.append(path)
    return sorted(found)
