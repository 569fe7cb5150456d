"""`ablations.html`, `.json` and `.tex`: all rows side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.evaluation.ablation.latent_identity import Latent
from dfa_nerfstudio.evaluation.ablation.motion_variants import MotionRow
from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.metric_registry import MEASURES
from dfa_nerfstudio.evaluation.report.comparison_table import escaped, tabular
from dfa_nerfstudio.evaluation.report.evaluation_page import PAGE
from dfa_nerfstudio.reporting.page_template import page_template
from dfa_nerfstudio.reporting.scatter_plot import Marks, Plot, limits

COLUMNS = (
    *(("full", "psnr"), ("full", "ssim"), ("full", "lpips"), ("face", "psnr"), ("", "lmd")),
    *(("", "sync"), ("", "sync_error"), ("", "speech_sync"), ("", "speech_sync_error"), ("", "lse_c")),
    *(("", "mouth_follows"), ("", "eyes_follow"), ("", "blink_rate")),
)
"""Protocol and name of each figure."""


@dataclass
class AblationResults:
    """What was measured so far."""

    name: str
    minutes: float
    renderer: dict[str, Evaluation] = field(default_factory=dict)
    motion: dict[str, MotionRow] = field(default_factory=dict)
    latent: Latent | None = None
    strips: dict[str, str] = field(default_factory=dict)
    """The same frames of the truth and of each row, as data URIs."""

    def cells(self) -> tuple[list[str], dict[str, list[str]]]:
        """Titles of the figures that there are, and the renderer's rows with the truth's own as the last."""
        shown = [
            (protocol, name, MEASURES[name])
            for protocol, name in COLUMNS
            if any(evaluation.figure(protocol, name) is not None for evaluation in self.renderer.values())
        ]
        rows = {
            row: [measure.text(evaluation.figure(protocol, name)) for protocol, name, measure in shown]
            for row, evaluation in self.renderer.items()
        }
        if rows:
            truth = next(iter(self.renderer.values())).truth
            rows["ground truth"] = [measure.text(truth.get(name)) for _, name, measure in shown]
        return [measure.title(protocol) for protocol, _, measure in shown], rows

    def table(self) -> Table:
        """Of the renderer's rows, for the terminal, which is narrow: headings are broken there, numbers are not."""
        table = Table(box=SIMPLE_HEAD, padding=0)
        table.add_column("row")
        titles, rows = self.cells()
        for number, title in enumerate(titles):
            widest = max(len(cells[number]) for cells in rows.values())
            table.add_column(title, justify="right", overflow="fold", max_width=max(widest, 6))
        for name, cells in rows.items():
            table.add_row(name, *cells)
        return table


def row_folder(name: str) -> str:
    """Where a row's report lies, beside the tables."""
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)


def write_ablations(output: Path, results: AblationResults) -> None:
    """Writes all three files, each whole or not at all."""
    (titles, cells), latent = results.cells(), results.latent
    parts: dict[str, Any] = {
        "results": results,
        "columns": titles,
        "cells": cells,
        "pages": {name: f"{row_folder(name)}/{PAGE}" for name in results.renderer},
        "latent": _latent_plot(latent),
    }
    stored = {
        "minutes": results.minutes,
        "rows": {name: dict(zip(titles, row, strict=True)) for name, row in cells.items()},
        "motion": {name: vars(row) for name, row in results.motion.items()},
        "latent": None if latent is None else {"accuracy": latent.accuracy, "chance": latent.chance},
    }
    for name, text in (
        ("ablations.html", page_template(Path(__file__).parent).render(parts)),
        ("ablations.json", json.dumps(stored, indent=1) + "\n"),
        ("ablations.tex", tabular(list(map(escaped, titles)), [[escaped(name), *row] for name, row in cells.items()])),
    ):
        with atomic_write(output / name) as partial:
            partial.write_text(text, encoding="utf-8")


def _latent_plot(latent: Latent | None) -> Plot | None:
    if latent is None:
        return None
    names = sorted(set(latent.film), key=latent.film.count, reverse=True)
    shown = [*names[:3], *(["all others"] if len(names) > 3 else [])]
    series = []
    for number, name in enumerate(shown):
        mine = np.array([film == name or (name == "all others" and film in names[3:]) for film in latent.film])
        series.append(Marks(name, latent.plane[mine, 0], latent.plane[mine, 1], number, "dots"))
    across, up = (limits(latent.plane[:, axis]) for axis in (0, 1))
    return Plot("Motion in Z", "second principal component", across, up, series)
