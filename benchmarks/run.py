"""`make bench`: from the real clip to held-out figures, by the commands a user types; one table and one JSON record.

make bench                                  everything, about half an hour on 2 cores
make bench BENCH="--seconds 60 --steps"     a shorter look
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.held_out import Regions, contact_sheet, held_out_truth, mean_image, render, score, shuffled
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.errors import UserError, exit_on_user_error

console = Console(width=150)
BIN = Path(sys.executable).parent


@dataclass
class Bench:
    """Preprocessing, attribute models and the renderer on a real clip; the last 1/11 of it is held out."""

    shared: Path = Path("../shared")
    """Where clips/acosta_71s.mp4 lies."""
    size: int = 128
    """Working resolution."""
    seconds: float = 180.0
    """Training time of each timed row."""
    steps: tuple[int, ...] = (500, 1000, 2000)
    """Rows trained for a fixed number of steps, whatever time they take."""
    paper: bool = True
    """Train the paper's network for the same time, for comparison."""
    output: Path = Path("outputs/bench")
    """Working folder; pictures of real people stay here and are never committed."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where training and rendering run."""
    rows: list[dict[str, Any]] = field(default_factory=list, init=False)
    record: dict[str, Any] = field(default_factory=dict, init=False)

    def run(self) -> None:
        clip = self.shared / "clips/acosta_71s.mp4"
        if not clip.is_file():
            raise UserError(f"{clip}: no such file; name the folder of the test material with --shared")
        self.record = {"date": date.today().isoformat(), "commit": _commit(), "machine": _machine(self.device)}
        data = self.output / "acosta"
        self.record["dfa-process"] = self._timed(
            ["dfa-process", str(clip), "--output", str(data), "--size", str(self.size), "--overwrite"]
        )
        self.record["dfa-attributes"] = self._timed(["dfa-attributes", str(data)])
        folder = DatasetFolder.open(data)
        self.record["attributes"] = json.loads((data / "attribute_report.json").read_text())
        self._baselines(folder)
        for steps in self.steps:
            self._row(folder, "dfa-nerf-lite", f"{steps} steps", ["--max-num-iterations", str(steps)])
        limit = ["--pipeline.model.budget.max-seconds", str(self.seconds), "--max-num-iterations", "100000"]
        if self.paper:
            # Seconds per frame: every 16th one will do.
            self._row(folder, "dfa-nerf-paper", f"{self.seconds:g} s", limit, every=16)
        self._row(folder, "dfa-nerf-lite", f"{self.seconds:g} s", limit, sheet=self.output / "held_out.png")
        self._write()

    def _timed(self, command: list[str]) -> dict[str, float]:
        """Wall time and peak memory of a command."""
        console.rule(" ".join(command))
        start = time.monotonic()
        result = subprocess.run([str(BIN / command[0]), *command[1:]])
        if result.returncode:
            raise UserError(f"{command[0]} failed with exit code {result.returncode}")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        return {"seconds": round(time.monotonic() - start, 1), "peak_gib_so_far": round(peak, 2)}

    def _baselines(self, folder: DatasetFolder) -> None:
        """Rows that no model is needed for."""
        truth, regions = held_out_truth(folder), Regions.of(folder)
        mean = mean_image(folder).expand_as(truth)
        row = {"method": "mean training image", "frames": len(truth)}
        self.rows.append({**row, **score(mean, truth, regions)})

    def _row(
        self,
        folder: DatasetFolder,
        method: str,
        budget: str,
        options: list[str],
        *,
        every: int = 1,
        sheet: Path | None = None,
    ) -> None:
        """Trains by ns-train and scores the held-out frames; for the row with a sheet, also without sound."""
        from dfa_nerfstudio.talk.load import load_model

        stamp = budget.replace(" ", "")
        runs = ["--output-dir", str(self.output / "runs"), "--experiment-name", "acosta", "--timestamp", stamp]
        machine = ["--machine.device-type", self.device, "--vis", "tensorboard"]
        took = self._timed(["ns-train", method, "--data", str(folder.path), *machine, *runs, *options])
        run = self.output / "runs/acosta" / method / stamp
        model = load_model(run / "config.yml")
        checkpoint = max((run / "nerfstudio_models").glob("step-*.ckpt"))
        track, truth, regions = model.clip.track, held_out_truth(folder)[::every], Regions.of(folder)[::every]
        held_out = torch.from_numpy(folder.held_out_frames[::every])
        common = {
            "method": method,
            "budget": budget,
            "steps": int(checkpoint.stem[5:]) + 1,
            "wall_s": took["seconds"],
            "frames": len(truth),
        }
        pictures, rate = render(model, track[held_out])
        self.rows.append({**common, **score(pictures, truth, regions), "frames_per_s": rate})
        console.print(self.rows[-1])
        if sheet is not None:
            contact_sheet(pictures, truth, sheet)
            silent, _ = render(model, shuffled(track[held_out]))
            row = {"method": f"{method}, audio shuffled", "budget": budget, "frames": len(truth)}
            self.rows.append({**row, **score(silent, truth, regions)})

    def _write(self) -> None:
        self.record["rows"] = self.rows
        name = f"end_to_end_{self.record['date']}_{self.device}"
        results = Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        (results / f"{name}.json").write_text(json.dumps(self.record, indent=1) + "\n")
        columns = [
            "method",
            "budget",
            "steps",
            "wall_s",
            "frames",
            "psnr",
            "ssim",
            "mouth_psnr",
            "below_chin_psnr",
            "frames_per_s",
        ]
        table = Table(*columns, title=f"acosta_71s.mp4, {self.size}x{self.size}, held-out end, protocol full")
        lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        for row in self.rows:
            cells = [_cell(row.get(column, "")) for column in columns]
            table.add_row(*cells)
            lines.append("| " + " | ".join(cells) + " |")
        console.print(table)
        for name_of, took in ((key, self.record[key]) for key in ("dfa-process", "dfa-attributes")):
            console.print(f"{name_of}: {took['seconds']} s")
        (results / f"{name}.md").write_text(
            f"{self.record['date']}, commit {self.record['commit']}, {self.record['machine']}\n\n"
            f"`dfa-process` {self.record['dfa-process']['seconds']} s, "
            f"`dfa-attributes` {self.record['dfa-attributes']['seconds']} s\n\n" + "\n".join(lines) + "\n"
        )
        console.print(f"record: {results / name}.json and .md; pictures: {self.output / 'held_out.png'}")


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _commit() -> str:
    """Short hash of HEAD, marked where the tree differs from it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    dirty = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout.strip()
    return head + ("+changes" if dirty else "")


def _machine(device: str) -> str:
    """Device and versions, in one line."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"{os.cpu_count()} CPU cores ({platform.machine()})"
    packages = ", ".join(f"{package} {version(package)}" for package in ("torch", "nerfstudio", "mediapipe", "numpy"))
    return f"{name}, Python {platform.python_version()}, {packages}"


if __name__ == "__main__":
    with exit_on_user_error():
        tyro.cli(Bench, prog="make bench").run()
