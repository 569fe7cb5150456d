"""`ablations.html`, `.json` and `.tex`: tables of all rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.evaluation.ablation.latent_identity import LatentProjection
from dfa_nerfstudio.evaluation.ablation.motion_variants import MotionRow
from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.metric_registry import metric_infos
from dfa_nerfstudio.evaluation.report.comparison_table import escape_latex, latex_tabular
from dfa_nerfstudio.evaluation.report.evaluation_page import PAGE
from dfa_nerfstudio.reporting.charts import XYChart, XYSeries, robust_limits
from dfa_nerfstudio.reporting.page_template import page_template

COLUMNS = (
    *(("full", "psnr"), ("full", "ssim"), ("full", "lpips"), ("face", "psnr"), ("", "lmd")),
    *(("", "sync"), ("", "sync_error"), ("", "cross_driven_sync"), ("", "cross_driven_sync_error"), ("", "lse_c")),
    *(("", "mouth_correlation"), ("", "eyes_correlation"), ("", "blink_rate")),
)
"""Protocol and name of the metric in each column."""


@dataclass
class AblationResults:
    """Rows that are finished."""

    name: str
    """Name of the dataset folder."""
    minutes: float
    """Training time of each row of the renderer in minutes."""
    renderer: dict[str, Evaluation] = field(default_factory=dict)
    """Evaluation of each variant of the renderer."""
    motion: dict[str, MotionRow] = field(default_factory=dict)
    """Prediction errors of each motion model."""
    latent: LatentProjection | None = None
    strips: dict[str, str] = field(default_factory=dict)
    """The same frames of the truth and of each row, as data URIs."""

    def cells(self) -> tuple[list[str], dict[str, list[str]]]:
        """Titles of the metrics that any row has, and the cells of each row, those of the ground truth last."""
        infos = metric_infos()
        columns = [
            (protocol, infos[name])
            for protocol, name in COLUMNS
            if any(evaluation.metric(protocol, name) is not None for evaluation in self.renderer.values())
        ]
        rows = {
            row: [info.format(evaluation.metric(protocol, info.name)) for protocol, info in columns]
            for row, evaluation in self.renderer.items()
        }
        if rows:
            truth = next(iter(self.renderer.values())).truth
            rows["ground truth"] = [info.format(truth.get(info.name)) for _, info in columns]
        return [info.title(protocol) for protocol, info in columns], rows

    def table(self) -> Table:
        """Rows of the renderer for the terminal; headings are wrapped, numbers are not, because it is narrow."""
        table = Table(box=SIMPLE_HEAD, padding=0)
        table.add_column("row")
        titles, rows = self.cells()
        for number, title in enumerate(titles):
            width = max(len(cells[number]) for cells in rows.values())
            table.add_column(title, justify="right", overflow="fold", max_width=max(width, 6))
        for name, cells in rows.items():
            table.add_row(name, *cells)
        return table


def row_folder(name: str) -> str:
    """Name of the folder of a row's report, beside the tables."""
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)


def write_ablations(output: Path, results: AblationResults) -> None:
    """Writes all three files, each atomically."""
    (titles, cells), latent = results.cells(), results.latent
    parts: dict[str, Any] = {
        "results": results,
        "columns": titles,
        "cells": cells,
        "pages": {name: f"{row_folder(name)}/{PAGE}" for name in results.renderer},
        "latent": _latent_chart(latent),
    }
    stored = {
        "minutes": results.minutes,
        "rows": {name: dict(zip(titles, row, strict=True)) for name, row in cells.items()},
        "motion": {name: vars(row) for name, row in results.motion.items()},
        "latent": None if latent is None else {"accuracy": latent.accuracy, "chance": latent.chance},
    }
    latex_rows = [[escape_latex(name), *row] for name, row in cells.items()]
    for name, text in (
        ("ablations.html", page_template(Path(__file__).parent).render(parts)),
        ("ablations.json", json.dumps(stored, indent=1) + "\n"),
        ("ablations.tex", latex_tabular(list(map(escape_latex, titles)), latex_rows)),
    ):
        with atomic_write(output / name) as partial:
            partial.write_text(text, encoding="utf-8")


def _latent_chart(latent: LatentProjection | None) -> XYChart | None:
    """Points of the three clips with most windows in colours of their own."""
    if latent is None:
        return None
    names = sorted(set(latent.clips), key=latent.clips.count, reverse=True)
    groups = [*names[:3], *(["all others"] if len(names) > 3 else [])]
    series = []
    for number, name in enumerate(groups):
        inside = np.array([clip == name or (name == "all others" and clip in names[3:]) for clip in latent.clips])
        series.append(XYSeries(name, latent.plane[inside, 0], latent.plane[inside, 1], number, "dots"))
    x_limits, y_limits = (robust_limits(latent.plane[:, axis]) for axis in (0, 1))
    return XYChart("Motion in Z", "second principal component", x_limits, y_limits, series)
