"""Compares the field with its variants and with baselines, by training time and by frame size, in one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
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
from benchmarks.record import RESULTS, Row, clip_path, load_unfinished_record, record_header, run_timed, write_record
from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME, AttributeModels
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.ablation.variants import FIELD_CONDITIONS, FIELD_VARIANTS, FULL_MODEL
from dfa_nerfstudio.nerf.model import DFANerfModel

_TIMES = "training time of the first of these rows that reaches"
"""Title of the last table of the full model. A record that has it is complete for the full model."""
_PAPER = "pipeline.model.network:paper-field-config"
_BFLOAT16 = [_PAPER, "--pipeline.model.network.bfloat16", "True"]
_TORSO = [*_BFLOAT16, "--pipeline.model.network.torso-space", "True"]
_BACKGROUND = ["--pipeline.model.appearance.dim", "8", "--pipeline.model.background.learned", "True"]
_EMPTY = ["--pipeline.model.occupancy-resolution", "32", "--pipeline.samples-per-step", "16384"]
VARIANTS = {name: options for name, options in FIELD_CONDITIONS.items() if name != FULL_MODEL} | FIELD_VARIANTS
"""Options of the rows of Tables 2 and 5 and of the field's variants, besides the full model."""
TRUE_LIPS = "true lips"
"""The field is conditioned on the true lips of all frames, held-out ones included: how far it follows its condition."""
PAPER: dict[str, list[str]] = {
    "dfa-nerf-paper": [],
    "dfa-nerf-paper, bfloat16": _BFLOAT16,
    "dfa-nerf-paper, bfloat16, torso space, learned background": [*_BACKGROUND, *_TORSO],
    "dfa-nerf-paper, bfloat16, torso space, learned background, empty space skipped": [*_EMPTY, *_BACKGROUND, *_TORSO],
}
"""Variants of the paper's network: unchanged; in bfloat16, which halves the time; with our torso space and background;
and with queries in empty space skipped."""


@dataclass
class FieldBenchmark:
    """Trains the method, its variants and baselines for the same time, and scores the held-out end."""

    shared: Path = Path("../shared")
    """Folder of the test material, with clips/; not needed for the demo subject or with --data."""
    clip: str = "acosta_71s"
    """Name of the clip, or `demo` for the demo subject, whose images may be published."""
    data: Path | None = None
    """A finished dataset folder with its track, used instead of the clip."""
    size: int = 128
    """Width and height of the frames, in pixels."""
    method: Literal["dfa-nerf", "dfa-nerf-lite"] = "dfa-nerf-lite"
    """Method whose variants are trained."""
    seconds: float = 180.0
    """Training time of each row, in seconds."""
    rays: int | None = None
    """Rays per step; by default the method's own."""
    times: tuple[float, ...] = (15.0, 30.0, 60.0, 120.0)
    """Further training times of the full model, in seconds."""
    seeds: tuple[int, ...] = (43, 44)
    """Further random seeds of the full model. All other rows use nerfstudio's default, 42."""
    sizes: tuple[int, ...] = (128, 256, 512)
    """Longer sides of the timed renderings, in pixels."""
    only: tuple[str, ...] = ()
    """Only these rows: `full model`, names of variants, or of other methods."""
    resume: bool = False
    """Continue the newest record of the same commit and machine and keep its rows."""
    output: Path = Path("outputs/bench")
    """Working folder. Images of real people stay here and are never committed."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Device of training and rendering."""

    def run(self) -> None:
        """Measures row by row; rewrites the record after each."""
        sparse = min(max(self.size * self.size // 1024, 1), 16)  # the paper's network takes seconds per frame
        names = [FULL_MODEL, TRUE_LIPS, *VARIANTS, torch_hash.METHOD, *PAPER]
        if unknown := set(self.only) - set(names):
            raise UserError(f"`only`: no row is named {unknown.pop()!r}; choose from {', '.join(names)}")
        wanted = [name for name in names if not self.only or name in self.only]
        torch_hash.register()
        folder = self.folder()
        record = _Record(f"field_{folder.path.name}_{self.device}", record_header(self.device), folder, self.resume)
        wanted = [name for name in wanted if name not in record.done]
        if FULL_MODEL in wanted:
            self._full_model(folder, record)
        for name in wanted:
            if name == TRUE_LIPS:
                record.add(self._train(folder, self.method, name, ["dfa-data", "--mouth", self._true_lips(folder)])[0])
            elif name in VARIANTS:
                record.add(self._train(folder, self.method, name, VARIANTS[name])[0])
            elif name == torch_hash.METHOD:
                record.add(self._train(folder, name, environment=torch_hash.ENVIRONMENT)[0])
            elif name in PAPER:
                method, _, label = name.partition(", ")
                record.add(self._train(folder, method, label, PAPER[name], every=sparse)[0])

    def _full_model(self, folder: DatasetFolder, record: _Record) -> None:
        row, model, images = self._train(folder, self.method)
        record.add(row, shuffled_row(folder, model, row))
        place = RESULTS if self.clip == "demo" else self.output
        contact_sheet(images, held_out_truth(folder), place / f"{record.name}.png", count=6)
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

    def _true_lips(self, folder: DatasetFolder) -> str:
        """Writes the true f_m of all frames, held-out ones included, as a feature file; returns its path."""
        models, path = AttributeModels.load(folder.path / MODELS_FILE_NAME), self.output / "true_lips.npy"
        recording = Recording.from_clip(folder.attributes, slice(None))
        np.save(path, models.lips.space.encode(recording.expression).numpy())
        return str(path)

    def folder(self) -> DatasetFolder:
        """Returns the dataset folder: the given one, or one made anew from the clip."""
        if self.data is not None:
            return DatasetFolder.open(self.data)
        data = self.output / f"{self.clip}_{self.size}"
        if self.clip == "demo":
            clip = self.output / "demo.mp4"
            run_timed(["dfa-demo", "make-clip", "--output", clip])
        else:
            clip = clip_path(self.shared, self.clip)
        run_timed(["dfa-process", clip, "--output", data, "--size", self.size, "--overwrite"])
        run_timed(["dfa-attributes", data])
        return DatasetFolder.open(data)


class _Record:
    """A record that is written again with every added row."""

    def __init__(self, name: str, head: dict[str, Any], folder: DatasetFolder, resume: bool) -> None:
        width, height = folder.size
        self._title = f"{folder.path.name}, {width}x{height}, held-out end, protocol full"
        self.name = name
        self._head, before = load_unfinished_record(name, head) if resume else (head, {})
        complete, others = _TIMES in before, {TRUE_LIPS, *VARIANTS, torch_hash.METHOD, *PAPER}
        if not complete:  # an incomplete full model is measured again
            kept = [row for row in before.get(self._title, []) if not others.isdisjoint(_names(row))]
            before = {self._title: [mean_row(folder), *kept]}
        self.tables = before
        self.done = {name for row in before[self._title] for name in _names(row)} | (
            {FULL_MODEL} if complete else set()
        )

    def add(self, *rows: Row) -> None:
        """Adds rows and writes the record."""
        self.tables[self._title].extend(rows)
        write_record(self.name, self._head, self.tables)


def _names(row: Row) -> tuple[str, str]:
    """Names that select a row in --only: its method with variant, and the variant alone."""
    method = str(row["method"])
    return method, method.partition(", ")[2]
