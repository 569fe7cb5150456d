"""Results of one row and seed on disk, with the settings that they were computed with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from dfa_nerfstudio.atomic_write import atomic_write

Settings = dict[str, object]
VALUES = "values.json"


def read_values(folder: Path, settings: Settings) -> dict[str, float] | None:
    """Reads the values of a row; None unless they were stored with the same settings.

    Args:
        folder: folder of the row and seed.
        settings: everything that the values depend on.
    """
    try:
        stored = json.loads((folder / VALUES).read_text(encoding="utf-8"))
        if stored["settings"] == json.loads(json.dumps(settings)):
            return {name: float("nan") if value is None else value for name, value in stored["values"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def stored_values(folder: Path, settings: Settings, compute: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Reads the values of a row, or computes and stores them unless they were stored with the same settings.

    Args:
        folder: see `read_values`.
        settings: see `read_values`.
        compute: computes the values.
    """
    if (known := read_values(folder, settings)) is not None:
        return known
    (folder / VALUES).unlink(missing_ok=True)
    values = compute()
    plain = {name: value if value == value else None for name, value in values.items()}
    with atomic_write(folder / VALUES) as partial:
        partial.write_text(json.dumps({"settings": settings, "values": plain}, indent=1) + "\n", encoding="utf-8")
    return values


def file_stamp(path: Path) -> list[object]:
    """Path and time of the last change of a file, for settings: a file with other content counts as another."""
    return [str(path.resolve()), path.stat().st_mtime_ns]


def row_folder(name: str) -> str:
    """Name of the folder of a row."""
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
