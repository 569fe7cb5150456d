"""Benchmarks the field on a GPU, in pieces of less than 8 minutes, on a dataset folder made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from benchmarks.grid_throughput import GridThroughputBenchmark
from benchmarks.held_out import (
    contact_sheet,
    held_out_truth,
    mean_row,
    rate_rows,
    render,
    shuffled_row,
    train_and_score,
)
from benchmarks.packed_dataset import unpack_dataset
from benchmarks.record import Row, record_header, write_record
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.metrics.image_metrics import psnr
from dfa_nerfstudio.nerf.encodings.grid_backends import available_backends
from dfa_nerfstudio.nerf.model import DFANerfModel

Tables = dict[str, list[Row]]


@dataclass
class CudaBenchmark:
    """One piece of the field benchmark on a GPU.

    It needs neither mediapipe nor PyAV. `make bench BENCH=pack` makes a dataset folder small enough to be copied.
    """

    data: Path
    """A dataset folder with its track, packed or not."""
    piece: Literal["encodings", "backends", "short", "long"]
    """What to measure: grid throughput by backend; training and rendering with every backend; training for 3 minutes
    (short) or 7 (long), with rendering rates."""
    shared: Path = Path("../shared")
    """Unused; every benchmark has this option."""
    method: Literal["dfa-nerf", "dfa-nerf-lite"] = "dfa-nerf"
    """Method to train."""
    scale: float = 1.0
    """Factor on all training times, for a trial run."""
    sizes: tuple[int, ...] = (128, 256, 512)
    """Longer sides of the timed renderings, in pixels."""
    output: Path = Path("outputs/bench")
    """Working folder. Images of real people stay here and are never committed."""
    device: str = "cuda"
    """Device; `cpu` for a trial run."""

    def run(self) -> None:
        """Measures the piece and writes its record."""
        folder = unpack_dataset(self.data, self.output / self.data.name)
        pieces = {
            "encodings": lambda: {"grids, million points a second": GridThroughputBenchmark(device=self.device).rows()},
            "backends": lambda: self._backends(folder),
            "short": lambda: self._quality(folder, 180),
            "long": lambda: self._quality(folder, 420),
        }
        write_record(f"cuda_{self.piece}_{self.device}", record_header(self.device), pieces[self.piece]())

    def _quality(self, folder: DatasetFolder, seconds: float) -> Tables:
        row, model, images = self._train(folder, seconds)
        contact_sheet(images, held_out_truth(folder), self.output / f"cuda_{self.piece}.png", count=6)
        rows = [mean_row(folder), row, shuffled_row(folder, model, row)]
        return {self._title(folder): rows, "rendering, by size": rate_rows(model, self.method, self.sizes)}

    def _backends(self, folder: DatasetFolder) -> Tables:
        """Compares grid backends in training, and grid and marching backends on one checkpoint."""
        trained, rendered = [], []
        names = available_backends(torch.device(self.device))
        for name in names:
            row, model, _ = self._train(folder, 45, name)
            trained.append({**row, "grids": name})
            if name == names[-1]:
                rendered = list(self._rendered(model))
        return {self._title(folder): trained, "one checkpoint, rendered": rendered}

    def _rendered(self, model: DFANerfModel) -> Iterator[Row]:
        track, reference = model.clip.track[:48], torch.empty(0)
        backends = list(reversed(available_backends(torch.device(self.device))))  # the torch reference first
        combinations = [(False, marcher, name) for marcher, name in product(("torch", "nerfacc"), backends)]
        for fused, marcher, name in [*combinations, (True, "one kernel", "one kernel")]:
            model.config.fused_rendering, model.config.render_fraction = fused, 1
            if not fused:
                model.config.marcher, model.network.grid.config.backend = marcher, name
            render(model, track[:2])  # the first use compiles kernels
            images, rate = render(model, track)
            reference = reference if len(reference) else images
            psnr_to_first = float(psnr(images, reference))
            yield {"grids": name, "marching": marcher, "frames_per_s": rate, "psnr_to_the_first": psnr_to_first}

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
