"""Runs and times commands, and writes records: tables with date, commit, device and versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from dfa_nerfstudio.errors import UserError

console = Console(width=170)
BIN = Path(sys.executable).parent
RESULTS = Path(__file__).parent / "results"

Row = dict[str, Any]


def run_timed(
    command: Sequence[str | Path | float], device: str = "cpu", environment: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Runs a command of the project; returns its wall time (s) and peak memory (GiB).

    Args:
        command: name and arguments of the command.
        device: `cuda` also measures the GPU memory of all processes that start during the run.
        environment: environment variables to add.

    Raises:
        UserError: if the command fails.
    """
    words = [str(word) for word in command]
    console.rule(" ".join(words))
    start, peak = time.monotonic(), 0
    free = min_free = torch.cuda.mem_get_info()[0] if device == "cuda" else 0
    process = subprocess.Popen([str(BIN / words[0]), *words[1:]], env={**os.environ, **(environment or {})})
    while process.poll() is None:
        peak = max(peak, _peak_kib(process.pid))
        if device == "cuda":
            min_free = min(min_free, torch.cuda.mem_get_info()[0])
        time.sleep(0.1)
    if process.returncode:
        raise UserError(f"{words[0]} failed with exit code {process.returncode}")
    cost = {"seconds": round(time.monotonic() - start, 1), "peak_gib": round(peak / 2**20, 2)}
    return {**cost, "gpu_gib": round((free - min_free) / 2**30, 2)} if device == "cuda" else cost


def resident_gib(process: int) -> float:
    """Resident memory of a process in GiB; 0 if it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * 4096 / 2**30


def _peak_kib(process: int) -> int:
    """Reads the peak memory of a running process, in KiB.

    The value that the system reports at the end is not used, because it includes the memory of this process, from which
    the command was forked.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return int(next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), 0))


def clip_path(shared: Path, name: str) -> Path:
    """Returns the path of a clip of the test material.

    Raises:
        UserError: if the clip is missing.
    """
    clip = shared / "clips" / f"{name}.mp4"
    if not clip.is_file():
        raise UserError(f"{clip}: no such file; set `shared` to the folder of the test material")
    return clip


def record_header(device: str) -> dict[str, Any]:
    """Returns date, commit and machine of a record."""
    return {"date": date.today().isoformat(), "commit": _commit(), "machine": _machine(device)}


def write_record(name: str, head: dict[str, Any], tables: dict[str, list[Row]]) -> None:
    """Prints the tables and writes them to `results/NAME_DATE.json` and `.md`."""
    lines = [f"{head['date']}, commit {head['commit']}, {head['machine']}", ""]
    for title, rows in tables.items():
        if not rows:
            continue
        columns = list(dict.fromkeys(column for row in rows for column in row))
        table = Table(*columns, title=title)
        lines += [f"**{title}**", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        for row in rows:
            cells = [_cell(row.get(column, "")) for column in columns]
            table.add_row(*cells)
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
        console.print(table)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}_{head['date']}"
    path.with_suffix(".json").write_text(json.dumps({**head, "tables": tables}, indent=1) + "\n")
    path.with_suffix(".md").write_text("\n".join(lines))
    console.print(f"record: {path}.json and .md")


def load_unfinished_record(name: str, head: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[Row]]]:
    """Loads header and tables of the newest record of this commit and machine; without one, `head` and no tables."""
    for path in sorted(RESULTS.glob(f"{name}_????-??-??.json"), reverse=True):
        record = json.loads(path.read_text())
        tables = record.pop("tables")
        if {**record, "date": head["date"]} == head:
            return record, tables
    return head, {}


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
    return str(value)


def _commit() -> str:
    """Short hash of HEAD, with "+changes" if the tree differs from it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    dirty = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout.strip()
    return head + ("+changes" if dirty else "")


def _machine(device: str) -> str:
    """Device and package versions in one line."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"{os.cpu_count()} CPU cores ({platform.machine()})"
    packages = ", ".join(f"{package} {_version(package)}" for package in ("torch", "nerfstudio", "mediapipe", "numpy"))
    return f"{name}, Python {platform.python_version()}, {packages}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # mediapipe is needed only for preprocessing
        return "not installed"
