"""What a GPU does: pieces of less than 8 minutes each, on a dataset folder that was made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from benchmarks.encodings import Encodings
from benchmarks.held_out import (
    contact_sheet,
    held_out_truth,
    mean_row,
    rate_rows,
    render,
    shuffled_row,
    train_and_score,
)
from benchmarks.portable import unpacked
from benchmarks.record import Row, header, write_record
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.metrics.image_metrics import psnr
from dfa_nerfstudio.nerf.encodings.grid_backends import available
from dfa_nerfstudio.nerf.model import DFANerfModel

Tables = dict[str, list[Row]]


@dataclass
class Cuda:
    """One piece of the benchmark of the field on a GPU. Needs neither mediapipe nor PyAV: `portable` makes a folder
    small enough to be carried there."""

    data: Path
    """A dataset folder with its track."""
    piece: Literal["encodings", "backends", "short", "long"]
    """Grids read by every backend; the field trained and rendered with each of them; training for 3 minutes, and for
    7, with the rates of rendering."""
    shared: Path = Path("../shared")
    """Not used; every benchmark takes it."""
    method: Literal["dfa-nerf", "dfa-nerf-lite"] = "dfa-nerf"
    """What is trained."""
    scale: float = 1.0
    """Factor on all times, for a trial."""
    sizes: tuple[int, ...] = (128, 256, 512)
    """Longer sides of the pictures whose rendering is timed."""
    output: Path = Path("outputs/bench")
    """Working folder; pictures of real people stay here and are never committed."""
    device: str = "cuda"
    """`cpu` for a trial."""

    def run(self) -> None:
        """Measures the piece and writes its record."""
        folder = unpacked(self.data, self.output / self.data.name)
        pieces = {
            "encodings": lambda: {"grids, million points a second": Encodings(device=self.device).rows()},
            "backends": lambda: self._backends(folder),
            "short": lambda: self._quality(folder, 180),
            "long": lambda: self._quality(folder, 420),
        }
        write_record(f"cuda_{self.piece}_{self.device}", header(self.device), pieces[self.piece]())

    def _quality(self, folder: DatasetFolder, seconds: float) -> Tables:
        row, model, pictures = self._train(folder, seconds)
        contact_sheet(pictures, held_out_truth(folder), self.output / f"cuda_{self.piece}.png", count=6)
        rows = [mean_row(folder), row, shuffled_row(folder, model, row)]
        return {self._title(folder): rows, "rendering, by size": rate_rows(model, self.method, self.sizes)}

    def _backends(self, folder: DatasetFolder) -> Tables:
        """Every way of reading grids and of marching, in training and on one and the same checkpoint."""
        trained, shown = [], []
        names = available(torch.device(self.device))
        for name in names:
            row, model, _ = self._train(folder, 45, name)
            trained.append({**row, "grids": name})
            if name == names[-1]:
                shown = list(self._rendered(model))
        return {self._title(folder): trained, "one checkpoint, rendered": shown}

    def _rendered(self, model: DFANerfModel) -> Iterator[Row]:
        track, reference = model.clip.track[:48], torch.empty(0)
        backends = list(reversed(available(torch.device(self.device))))  # the reference first
        ways = [(False, marcher, name) for marcher, name in product(("torch", "nerfacc"), backends)]
        for fused, marcher, name in [*ways, (True, "one kernel", "one kernel")]:
            model.config.fused_rendering = fused
            if not fused:
                model.config.marcher, model.network.grid.config.backend = marcher, name
            render(model, track[:2])  # kernels are compiled at their first use
            pictures, rate = render(model, track)
            reference = reference if len(reference) else pictures
            agreement = float(psnr(pictures, reference))
            yield {"grids": name, "marching": marcher, "frames_per_s": rate, "psnr_to_the_first": agreement}

    def _train(self, folder: DatasetFolder, seconds: float, backend: str = "") -> tuple[Row, DFANerfModel, Tensor]:
        options = ["--pipeline.model.network.grid.backend", backend] if backend else []
        if options:
            options = ["pipeline.model.network:conditioned-field-config", *options]
        return train_and_score(
            folder,
            self.method,
            self.output / "runs",
            self.device,
            seconds=seconds * self.scale,
            label=backend,
            options=options,
        )

    def _title(self, folder: DatasetFolder) -> str:
        width, height = folder.size
        return f"{folder.path.name}, {width}x{height}, held-out end, protocol full"
