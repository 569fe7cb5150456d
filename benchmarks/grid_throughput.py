"""Measures the throughput of feature grids by backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from nerfstudio.field_components.encodings import HashEncoding
from torch import Tensor
from torch.utils.benchmark import Timer

from benchmarks.record import Row, console, record_header, write_record
from dfa_nerfstudio.method_configs import dfa_nerf, dfa_nerf_lite
from dfa_nerfstudio.nerf.encodings import FeatureGrid, GridConfig
from dfa_nerfstudio.nerf.encodings.grid_backends import available_backends


@dataclass
class GridThroughputBenchmark:
    """Times every available backend on the grids of each method.

    Points are random in a cube, in both coordinate frames. Timed are the forward pass, and forward and backward with
    gradients of points and table.
    """

    shared: Path = Path("../shared")
    """Unused; every benchmark has this option."""
    points: int = 1 << 17
    """Points per pass."""
    seconds: float = 2.0
    """Time spent on each number, in seconds; the median of the runs in that time is reported."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Device of the grids."""

    def run(self) -> None:
        """Measures everything and writes the record."""
        write_record(
            f"encodings_{self.device}", record_header(self.device), {"grids, million points a second": self.rows()}
        )

    def rows(self) -> list[Row]:
        """Returns one row for each method, kind of grid and backend."""
        return [self._row(method, name, encode) for method, name, encode in self._encoders()]

    def _encoders(self) -> Iterator[tuple[str, str, Callable[[Tensor], Tensor]]]:
        configs = {"dfa-nerf-lite": dfa_nerf_lite, "dfa-nerf": dfa_nerf}
        for method, specification in configs.items():
            grid: GridConfig = specification.config.pipeline.model.network.grid
            for kind in ("planes", "volume"):
                for backend in available_backends(torch.device(self.device)):
                    config = GridConfig(**{**vars(grid), "kind": kind, "backend": backend})
                    yield f"{method}, {kind}", backend, FeatureGrid(config, spaces=2).to(self.device)
        baseline = [HashEncoding(implementation="torch").to(self.device) for _ in range(2)]
        yield (
            "nerfstudio's HashEncoding, 16 levels",
            "nerfstudio, torch",
            lambda points: torch.cat(
                [encoding((place + 1) / 2) for encoding, place in zip(baseline, points, strict=True)], -1
            ),
        )

    def _row(self, grid: str, backend: str, encode: Callable[[Tensor], Tensor]) -> Row:
        points = torch.rand(2, self.points, 3, device=self.device) * 2 - 1
        points.requires_grad_()

        def forward() -> None:
            with torch.no_grad():
                encode(points)

        def both() -> None:
            encode(points).sum().backward()

        rates = {}
        for name, work in (("forward", forward), ("forward_backward", both)):
            work()  # the first use compiles kernels
            timer = Timer("work()", globals={"work": work}, num_threads=torch.get_num_threads())
            rates[name] = self.points / 1e6 / timer.blocked_autorange(min_run_time=self.seconds).median
        row = {"grid": grid, "backend": backend, **rates}
        console.print(row)
        return row
