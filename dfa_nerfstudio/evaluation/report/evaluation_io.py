"""`report.json`: storage of an evaluation."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data.format_version import check_format_version
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.evaluate import Evaluation

REPORT = "report.json"
FORMAT, VERSION = "dfa-nerfstudio evaluation", 1
PACKAGES = ("dfa-nerfstudio", "torch", "mediapipe", "scikit-image", "torchmetrics")


def save(evaluation: Evaluation, path: Path) -> None:
    """Writes an evaluation with date and package versions atomically; NaN becomes null."""
    header = {
        "format": f"{FORMAT} {VERSION}",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in PACKAGES},
    }
    text = json.dumps(_without_nan(header | dataclasses.asdict(evaluation)), indent=1, allow_nan=False)
    with atomic_write(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def load(path: Path) -> Evaluation:
    """Reads an evaluation.

    Args:
        path: a `report.json`, or the folder that holds one.

    Raises:
        UserError: if there is none, or it is of another version.
    """
    path = path / REPORT if path.is_dir() else path
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        name, _, version = stored["format"].rpartition(" ")
        assert name == FORMAT
        check_format_version(path, int(version), VERSION, "run dfa-eval again")
        fields = {field.name: stored[field.name] for field in dataclasses.fields(Evaluation)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError):
        raise UserError(f"{path}: not a report of dfa-eval; run dfa-eval to write one") from None
    fields["size"] = tuple(fields["size"])
    return Evaluation(**fields)


def _without_nan(value: object) -> object:
    match value:
        case float() if value != value:
            return None
        case dict():
            return {name: _without_nan(part) for name, part in value.items()}
        case list() | tuple():
            return [_without_nan(part) for part in value]
    return value
