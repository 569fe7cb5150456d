"""Measures the whole way from a real clip to held-out metrics, by the commands a user types."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.held_out import contact_sheet, held_out_truth, mean_row, shuffled_row, train_and_score
from benchmarks.record import Row, clip_path, record_header, run_timed, write_record
from dfa_nerfstudio.data.dataset_folder import DatasetFolder


@dataclass
class EndToEndBenchmark:
    """Preprocessing, attribute models and renderer on a real clip, of which the last 1/11 is held out."""

    shared: Path = Path("../shared")
    """Folder of the test material, with clips/acosta_71s.mp4."""
    size: int = 128
    """Width and height of the frames, in pixels."""
    seconds: float = 180.0
    """Training time of each timed row, in seconds."""
    steps: tuple[int, ...] = (500, 1000, 2000)
    """Numbers of training steps, one more row for each."""
    paper: bool = True
    """Train the paper's network for the same time, as a baseline."""
    pretrained: Path | None = None
    """Weights of `dfa-attributes pretrain`, trained without this clip: one more row, with f_a fine-tuned from them."""
    output: Path = Path("outputs/bench")
    """Working folder. Images of real people stay here and are never committed."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Device of training and rendering."""

    def run(self) -> None:
        """Measures everything and writes the record."""
        head = record_header(self.device)
        data = self.output / "acosta"
        clip = clip_path(self.shared, "acosta_71s")
        process = run_timed(["dfa-process", clip, "--output", data, "--size", self.size, "--overwrite"])
        attributes = run_timed(["dfa-attributes", data])
        commands = [{"command": "dfa-process", **process}, {"command": "dfa-attributes", **attributes}]
        title = f"acosta_71s.mp4, {self.size}x{self.size}, held-out end, protocol full"
        rows = self._rows(DatasetFolder.open(data))
        if self.pretrained:
            other = self.output / "acosta_pretrained"
            shutil.rmtree(other, ignore_errors=True)
            shutil.copytree(data, other)
            cost = run_timed(["dfa-attributes", other, "--pretrained", self.pretrained])
            commands.append({"command": "dfa-attributes --pretrained", **cost})
            row, _, _ = train_and_score(
                DatasetFolder.open(other), "dfa-nerf-lite", self.output / "runs", self.device, seconds=self.seconds
            )
            rows.append({**row, "method": "dfa-nerf-lite, pretrained f_a"})
        write_record(f"end_to_end_{self.device}", head, {"commands": commands, title: rows})

    def _rows(self, folder: DatasetFolder) -> list[Row]:
        rows = [mean_row(folder)]

        def trained(method: str, every: int = 1, **budget: float) -> Row:
            row, _, _ = train_and_score(folder, method, self.output / "runs", self.device, every, **budget)
            return row

        rows += [trained("dfa-nerf-lite", steps=steps) for steps in self.steps]
        if self.paper:
            rows.append(trained("dfa-nerf-paper", every=16, seconds=self.seconds))  # seconds per frame
        row, model, images = train_and_score(
            folder, "dfa-nerf-lite", self.output / "runs", self.device, seconds=self.seconds
        )
        contact_sheet(images, held_out_truth(folder), self.output / "held_out.png")
        return [*rows, row, shuffled_row(folder, model, row)]
