"""Remembers which stages of a person's folder are done, and with which input and options."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.media.json_file import read_json

Stage = Literal["process", "attributes", "train"]
"""The stages of learning a person."""
STAGES: tuple[Stage, ...] = ("process", "attributes", "train")
"""All stages, in their order."""
FILE = "stages.json"
NO_EFFECT = {"overwrite", "progress", "preview_seconds", "hardware"}
"""Options that do not change a stage's result."""
ADVICE = "delete this file, and the stages run again"


class StageRecords:
    """Input and options of the stages that were started, in `stages.json`, and whether they were finished."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def is_finished(self, stage: Stage) -> bool:
        """Whether the stage was finished, and no earlier one was started again since."""
        return self._entry(stage).get("finished") is True

    def was_started(self, stage: Stage) -> bool:
        """Whether the stage was started, and no earlier one was started again since."""
        return bool(self._entry(stage))

    def differences(self, stage: Stage, options: dict[str, Any]) -> list[str]:
        """Names the options with which a stage was started that differ from these, with both values."""
        before = self._entry(stage).get("options", {})
        names = sorted(before.keys() | options.keys())
        return [
            f"`{stage}.{name}`: {before.get(name)}, now {options.get(name)}"
            for name in names
            if before.get(name) != options.get(name)
        ]

    def start(self, stage: Stage, options: dict[str, Any]) -> None:
        """Records that a stage is started; those after it count as not done."""
        before = STAGES[: STAGES.index(stage)]
        records = {name: entry for name, entry in self._read().items() if name in before}
        self._write(records | {stage: {"options": options, "finished": False}})

    def finish(self, stage: Stage) -> None:
        """Records that the stage that was started is finished."""
        records = self._read()
        records[stage]["finished"] = True
        self._write(records)

    def _entry(self, stage: Stage) -> dict[str, Any]:
        entry = self._read().get(stage)
        return entry if isinstance(entry, dict) else {}

    def _read(self) -> dict[str, Any]:
        return read_json(self.path, ADVICE) if self.path.exists() else {}

    def _write(self, records: dict[str, Any]) -> None:
        with atomic_write(self.path) as partial:
            partial.write_text(json.dumps(records, indent=1))


def recorded_options(config: Any) -> dict[str, Any]:
    """Returns the options of a dataclass that change its stage's result, by dotted name, as JSON stores them."""
    flat: dict[str, Any] = {}

    def add(prefix: str, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if isinstance(value, dict):
                add(f"{prefix}{name}.", value)
            elif name not in NO_EFFECT:
                flat[prefix + name] = value

    add("", {name: value for name, value in dataclasses.asdict(config).items() if name not in NO_EFFECT})
    return json.loads(json.dumps(flat, default=str))
