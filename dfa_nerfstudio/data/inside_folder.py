"""Files of a folder that may come from someone else: none of its names leads out of it."""

from __future__ import annotations

import os
from pathlib import Path

from dfa_nerfstudio.errors import UserError


def file_inside(folder: Path, name: object, source: Path) -> Path:
    """Path of a file that a file of the folder names.

    Args:
        folder: the folder.
        name: relative path of the file, as read.
        source: the file that names it, for the error.

    Raises:
        UserError: if the name is no text, is absolute or contains `..`, or the file is a link that leads out of the
            folder.
    """
    if not isinstance(name, str) or not name or os.path.isabs(name) or ".." in name.replace("\\", "/").split("/"):
        raise UserError(f"{source}: names the file {name!r}; only relative paths inside {folder} are read")
    path = folder / name
    check_link(folder, path)
    return path


def check_link(folder: Path, path: Path) -> None:
    """Refuses a file of the folder that is a link to a file elsewhere.

    A link to a folder is the user's own choice, whether it is the folder itself or one inside it that lies on another
    disk. A link to a single file is not: a downloaded folder could have a private file read, or another file
    overwritten, by the name of one of its own.

    Raises:
        UserError: if it is one.
    """
    if not os.path.islink(path) or path.is_dir():
        return
    target = path.resolve()
    if not any(place.resolve() in target.parents for place in (folder, path.parent)):
        raise UserError(f"{path}: is a link to {target}, outside the folder; copy the file, or link a whole folder")


def check_links(folder: Path) -> None:
    """Applies `check_link` to all files that lie directly in a folder, those that a command would overwrite included.

    Raises:
        UserError: if one is a link to a file elsewhere.
    """
    with os.scandir(folder) as entries:
        links = sorted(entry.name for entry in entries if entry.is_symlink())
    for name in links:
        check_link(folder, folder / name)
