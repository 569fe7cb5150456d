"""The field: every lever on and off, by training time and by size, side by side in one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from benchmarks import torch_hash
from benchmarks.held_out import (
    contact_sheet,
    held_out_truth,
    mean_row,
    rate_rows,
    shuffled_row,
    time_to_rows,
    train_and_score,
)
from benchmarks.record import RESULTS, Row, clip_path, header, timed, unfinished_record, write_record
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.ablation.variants import AS_IT_IS, FIELD
from dfa_nerfstudio.nerf.model import DFANerfModel

_TIMES = "training time of the first of these rows that reaches"
"""The last table of that part."""
_PAPER = "pipeline.model.network:paper-field-config"
_BFLOAT16 = [_PAPER, "--pipeline.model.network.bfloat16", "True"]
_TORSO = [*_BFLOAT16, "--pipeline.model.network.torso-space", "True"]
_BACKGROUND = ["--pipeline.model.appearance.dim", "8", "--pipeline.model.background.learned", "True"]
_EMPTY = ["--pipeline.model.occupancy-resolution", "32", "--pipeline.model.samples-per-step", "16384"]
PAPER: dict[str, list[str]] = {
    "dfa-nerf-paper": [],
    "dfa-nerf-paper, bfloat16": _BFLOAT16,
    "dfa-nerf-paper, bfloat16, torso space and our background": [*_BACKGROUND, *_TORSO],
    "dfa-nerf-paper, bfloat16, torso space, our background, empty space left out": [*_EMPTY, *_BACKGROUND, *_TORSO],
}
"""The paper's network: as it is; in half the time; with what the pipeline knows and its network does not; and asked
nothing where nothing is."""


@dataclass
class Field:
    """Trains the method, its variants and others for the same time, and scores the held-out end."""

    shared: Path = Path("../shared")
    """Where the clips lie; not needed for the demo subject nor with --data."""
    clip: str = "acosta_71s"
    """Name of the clip, or `demo`, whose pictures may be shown."""
    data: Path | None = None
    """A dataset folder with its track, to use as it is."""
    size: int = 128
    """Working resolution."""
    method: Literal["dfa-nerf", "dfa-nerf-lite"] = "dfa-nerf-lite"
    """Whose levers are switched."""
    seconds: float = 180.0
    """Training time of each row."""
    rays: int | None = None
    """Rays per step, if not the method's own."""
    times: tuple[float, ...] = (15.0, 30.0, 60.0, 120.0)
    """Further training times of the method as it is."""
    seeds: tuple[int, ...] = (43, 44)
    """Further seeds of the method as it is; all else has nerfstudio's own, 42."""
    sizes: tuple[int, ...] = (128, 256, 512)
    """Longer sides of the pictures whose rendering is timed."""
    only: tuple[str, ...] = ()
    """Only these rows: `as it is`, names of variants, or of other methods."""
    resume: bool = False
    """Goes on with the newest record of the same commit and machine, whose rows are kept."""
    output: Path = Path("outputs/bench")
    """Working folder; pictures of real people stay here and are never committed."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where training and rendering run."""

    def run(self) -> None:
        """Measures row after row; the record is written anew after each."""
        sparse = min(max(self.size * self.size // 1024, 1), 16)  # the paper's network takes seconds a frame
        names = [AS_IT_IS, *FIELD, torch_hash.METHOD, *PAPER]
        if unknown := set(self.only) - set(names):
            raise UserError(f"--only {unknown.pop()!r}: no such row; there are {', '.join(names)}")
        wanted = [name for name in names if not self.only or name in self.only]
        torch_hash.register()
        folder = self.folder()
        record = _Record(f"field_{folder.path.name}_{self.device}", header(self.device), folder, self.resume)
        wanted = [name for name in wanted if name not in record.done]
        if AS_IT_IS in wanted:
            self._as_it_is(folder, record)
        for name in wanted:
            if name in FIELD:
                record.add(self._train(folder, self.method, name, FIELD[name])[0])
            elif name == torch_hash.METHOD:
                record.add(self._train(folder, name, environment=torch_hash.ENVIRONMENT)[0])
            elif name in PAPER:
                method, _, label = name.partition(", ")
                record.add(self._train(folder, method, label, PAPER[name], every=sparse)[0])

    def _as_it_is(self, folder: DatasetFolder, record: _Record) -> None:
        row, model, pictures = self._train(folder, self.method)
        record.add(row, shuffled_row(folder, model, row))
        place = RESULTS if self.clip == "demo" else self.output
        contact_sheet(pictures, held_out_truth(folder), place / f"{record.name}.png", count=6)
        record.tables["rendering, by size"] = rate_rows(model, self.method, self.sizes)
        shorter = [self._train(folder, self.method, seconds=seconds)[0] for seconds in self.times]
        record.tables["quality by training time"] = by_time = [*shorter, row]
        for seed in self.seeds:
            record.add(self._train(folder, self.method, f"seed {seed}", ["--machine.seed", str(seed)])[0])
        record.tables[_TIMES] = time_to_rows(by_time)
        record.add()

    def _train(
        self,
        folder: DatasetFolder,
        method: str,
        label: str = "",
        options: Sequence[str] = (),
        *,
        every: int = 1,
        seconds: float | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> tuple[Row, DFANerfModel, Tensor]:
        rays = [] if self.rays is None else ["--pipeline.datamanager.train-num-rays-per-batch", str(self.rays)]
        return train_and_score(
            folder,
            method,
            self.output / "runs",
            self.device,
            every,
            seconds=seconds or self.seconds,
            label=label,
            options=[*rays, *options],
            environment=environment,
        )

    def folder(self) -> DatasetFolder:
        """The clip's dataset folder, made anew unless one was given."""
        if self.data is not None:
            return DatasetFolder.open(self.data)
        data = self.output / f"{self.clip}_{self.size}"
        if self.clip == "demo":
            clip = self.output / "demo.mp4"
            timed(["dfa-demo", "make-clip", "--output", clip])
        else:
            clip = clip_path(self.shared, self.clip)
        timed(["dfa-process", clip, "--output", data, "--size", self.size, "--overwrite"])
        timed(["dfa-attributes", data])
        return DatasetFolder.open(data)


class _Record:
    """Grows row by row, and is written with each."""

    def __init__(self, name: str, head: dict[str, Any], folder: DatasetFolder, resume: bool) -> None:
        width, height = folder.size
        self._title = f"{folder.path.name}, {width}x{height}, held-out end, protocol full"
        self.name = name
        self._head, before = unfinished_record(name, head) if resume else (head, {})
        whole, others = _TIMES in before, {*FIELD, torch_hash.METHOD, *PAPER}
        if not whole:  # the method as it is, begun and not finished, is measured again
            kept = [row for row in before.get(self._title, []) if not others.isdisjoint(_names(row))]
            before = {self._title: [mean_row(folder), *kept]}
        self.tables = before
        self.done = {name for row in before[self._title] for name in _names(row)} | ({AS_IT_IS} if whole else set())

    def add(self, *rows: Row) -> None:
        self.tables[self._title].extend(rows)
        write_record(self.name, self._head, self.tables)


def _names(row: Row) -> tuple[str, str]:
    """What a row may have been asked for by: its method, and the variant alone."""
    method = str(row["method"])
    return method, method.partition(", ")[2]
