"""From a real clip to held-out figures, by the commands a user types."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.held_out import contact_sheet, held_out_truth, mean_row, shuffled_row, train_and_score
from benchmarks.record import Row, clip_path, header, timed, write_record
from dfa_nerfstudio.data.dataset_folder import DatasetFolder


@dataclass
class EndToEnd:
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
    pretrained: Path | None = None
    """Weights of `dfa-attributes pretrain` that have not seen this clip's end: one more row, f_a gone on from them."""
    output: Path = Path("outputs/bench")
    """Working folder; pictures of real people stay here and are never committed."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where training and rendering run."""

    def run(self) -> None:
        """Measures everything and writes the record."""
        head = header(self.device)
        data = self.output / "acosta"
        clip = clip_path(self.shared, "acosta_71s")
        process = timed(["dfa-process", clip, "--output", data, "--size", self.size, "--overwrite"])
        attributes = timed(["dfa-attributes", data])
        commands = [{"command": "dfa-process", **process}, {"command": "dfa-attributes", **attributes}]
        title = f"acosta_71s.mp4, {self.size}x{self.size}, held-out end, protocol full"
        rows = self._rows(DatasetFolder.open(data))
        if self.pretrained:
            other = self.output / "acosta_pretrained"
            shutil.rmtree(other, ignore_errors=True)
            shutil.copytree(data, other)
            took = timed(["dfa-attributes", other, "--pretrained", self.pretrained])
            commands.append({"command": "dfa-attributes --pretrained", **took})
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
            rows.append(trained("dfa-nerf-paper", every=16, seconds=self.seconds))  # it takes seconds for a frame
        row, model, pictures = train_and_score(
            folder, "dfa-nerf-lite", self.output / "runs", self.device, seconds=self.seconds
        )
        contact_sheet(pictures, held_out_truth(folder), self.output / "held_out.png")
        return [*rows, row, shuffled_row(folder, model, row)]
