"""Results of one row and seed on disk, with the settings that they were computed with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, BACKGROUND, TRANSFORMS

Settings = dict[str, object]
VALUES = "values.json"


@dataclass(frozen=True)
class StoredRow:
    """Something that is computed once and kept: values, and further files beside them."""

    folder: Path
    settings: Settings
    """Everything that the values depend on."""
    compute: Callable[[], dict[str, float]]
    """Computes the values, and writes the further files."""

    @property
    def name(self) -> str:
        """Name for messages: the folder's last three parts."""
        return "/".join(self.folder.parts[-3:])

    def read(self) -> dict[str, float] | None:
        """Reads the values; None unless they were stored with the same settings."""
        try:
            stored = json.loads((self.folder / VALUES).read_text(encoding="utf-8"))
            if stored["settings"] == json.loads(json.dumps(self.settings)):
                return {name: float("nan") if value is None else value for name, value in stored["values"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return None

    def values(self) -> dict[str, float]:
        """Reads the values, or computes and stores them."""
        if (known := self.read()) is not None:
            return known
        (self.folder / VALUES).unlink(missing_ok=True)
        values = self.compute()
        plain = {name: value if value == value else None for name, value in values.items()}
        with atomic_write(self.folder / VALUES) as partial:
            text = json.dumps({"settings": self.settings, "values": plain}, indent=1)
            partial.write_text(f"{text}\n", encoding="utf-8")
        return values


def file_digest(path: Path) -> list[str]:
    """Name of a file and SHA-256 of its content, for settings. A copy of a file, or the same file at another place, is
    the same; a file with other content is another."""
    stat = path.stat()
    return [path.name, _sha256(path.resolve(), stat.st_mtime_ns, stat.st_size)]


def dataset_digest(folder: Path) -> list[object]:
    """What fields and scores depend on in a dataset folder, for settings: the content of its files, and names and sizes
    of its images and masks, which are too many to read."""
    digests = [file_digest(folder / name) for name in (TRANSFORMS, ATTRIBUTES, BACKGROUND) if (folder / name).is_file()]
    return [*digests, _sizes(folder.resolve(), tuple(place.stat().st_mtime_ns for place in _subfolders(folder)))]


def _subfolders(folder: Path) -> list[Path]:
    return sorted(place for place in folder.iterdir() if place.is_dir())


@lru_cache(maxsize=64)
def _sizes(folder: Path, _changed: tuple[int, ...]) -> str:
    """Digest of names and sizes of all files in the subfolders."""
    files = [(path.name, path.stat().st_size) for place in _subfolders(folder) for path in sorted(place.iterdir())]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


@lru_cache(maxsize=1024)
def _sha256(path: Path, _changed: int, _size: int) -> str:
    """Reads a file once for as long as it does not change."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def row_folder(name: str) -> str:
    """Name of the folder of a row."""
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
