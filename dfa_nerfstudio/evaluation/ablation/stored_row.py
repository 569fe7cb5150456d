"""Results of one row and seed on disk, with the settings that they were computed with."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from dfa_nerfstudio.atomic_write import atomic_write

Settings = dict[str, object]
VALUES = "values.json"


def stored_values(folder: Path, settings: Settings, compute: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Reads the values of a row, or computes and stores them if there are none of these settings.

    Args:
        folder: folder of the row and seed.
        settings: everything that the values depend on.
        compute: computes the values; its duration is added as `minutes` unless it returns one.
    """
    path = folder / VALUES
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["settings"] == json.loads(json.dumps(settings)):
            return {name: float("nan") if value is None else value for name, value in stored["values"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    start = time.monotonic()
    values = compute()
    values.setdefault("minutes", (time.monotonic() - start) / 60)
    plain = {name: value if value == value else None for name, value in values.items()}
    with atomic_write(path) as partial:
        partial.write_text(json.dumps({"settings": settings, "values": plain}, indent=1) + "\n", encoding="utf-8")
    return values


def row_folder(name: str) -> str:
    """Name of the folder of a row."""
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
