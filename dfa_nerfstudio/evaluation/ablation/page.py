"""`ablations.html`, `.json` and `.tex`: all rows side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from dfa_nerfstudio.attributes.inspection.plot import Marks, Plot, limits
from dfa_nerfstudio.data.files import written_whole
from dfa_nerfstudio.evaluation.ablation.latent import Latent
from dfa_nerfstudio.evaluation.ablation.motion import MotionRow
from dfa_nerfstudio.evaluation.catalogue import FACES, PICTURES, SYNC, Measure
from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.report.stored import load
from dfa_nerfstudio.preprocessing.report.template import page_template

COLUMNS = (
    *(("full", "psnr"), ("full", "ssim"), ("full", "lpips"), ("face", "psnr"), ("", "lmd"), ("", "sync")),
    *(("", "lse_c"), ("", "mouth_follows"), ("", "eyes_follow"), ("", "blink_rate")),
)
"""Protocol and name of each figure."""


@dataclass
class AblationResults:
    """What was measured so far."""

    name: str
    minutes: float
    renderer: dict[str, Path] = field(default_factory=dict)
    """The report of each row."""
    motion: dict[str, MotionRow] = field(default_factory=dict)
    latent: Latent | None = None

    def columns(self) -> list[tuple[str, str, str]]:
        """Protocol, name and title of the figures that there are."""
        rows = self.rows()
        return [
            (protocol, name, _title(protocol, name))
            for protocol, name in COLUMNS
            if any(_figure(evaluation, protocol, name) is not None for evaluation in rows.values())
        ]

    def rows(self) -> dict[str, Evaluation]:
        return {name: load(path) for name, path in self.renderer.items()}

    def table(self) -> Table:
        """Of the renderer's rows, for the terminal."""
        table, columns, rows = Table(), self.columns(), self.rows()
        for title in ("row", *(title for _, _, title in columns)):
            table.add_column(title, justify="left" if title == "row" else "right", overflow="fold")
        for name, evaluation in rows.items():
            table.add_row(name, *(_text(evaluation, protocol, figure) for protocol, figure, _ in columns))
        if rows:
            truth = next(iter(rows.values())).truth
            table.add_row("ground truth", *(_of_truth(truth, figure) for _, figure, _ in columns))
        return table


def write_ablations(output: Path, results: AblationResults) -> None:
    """Writes all three files, each whole or not at all."""
    rows, columns = results.rows(), results.columns()
    truth = next(iter(rows.values())).truth if rows else {}
    cells = {name: [_text(e, protocol, figure) for protocol, figure, _ in columns] for name, e in rows.items()}
    if rows:
        cells["ground truth"] = [_of_truth(truth, figure) for _, figure, _ in columns]
    parts: dict[str, Any] = {
        "results": results,
        "columns": [title for _, _, title in columns],
        "cells": cells,
        "pages": {name: f"{path.parent.name}/report.html" for name, path in results.renderer.items()},
        "latent": _latent_plot(results.latent),
    }
    titles, latent = parts["columns"], results.latent
    stored = {
        "minutes": results.minutes,
        "rows": {name: dict(zip(titles, row, strict=True)) for name, row in cells.items()},
        "motion": {name: vars(row) for name, row in results.motion.items()},
        "latent": None if latent is None else {"accuracy": latent.accuracy, "chance": latent.chance},
    }
    for name, text in (
        ("ablations.html", page_template(Path(__file__).parent).render(parts)),
        ("ablations.json", json.dumps(stored, indent=1) + "\n"),
        ("ablations.tex", _latex(titles, cells)),
    ):
        with written_whole(output / name) as partial:
            partial.write_text(text, encoding="utf-8")


def _measure(protocol: str, name: str) -> Measure:
    return PICTURES[name] if protocol else (FACES | SYNC)[name]


def _title(protocol: str, name: str) -> str:
    measure = _measure(protocol, name)
    unit = f", {measure.unit}" if measure.unit else ""
    return f"{measure.label}{f' ({protocol})' if protocol else ''}{unit}"


def _figure(evaluation: Evaluation, protocol: str, name: str) -> float | None:
    return (evaluation.pictures.get(protocol, {}) if protocol else evaluation.figures).get(name)


def _text(evaluation: Evaluation, protocol: str, name: str) -> str:
    value = _figure(evaluation, protocol, name)
    return "" if value is None else f"{value:.{_measure(protocol, name).decimals}f}"


def _of_truth(truth: dict[str, float], name: str) -> str:
    return f"{truth[name]:.{(FACES | SYNC)[name].decimals}f}" if name in truth else ""


def _latex(titles: list[str], cells: dict[str, list[str]]) -> str:
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(titles)}}}",
        r"\toprule",
        " & ".join(["", *(title.replace("%", r"\%") for title in titles)]) + r" \\",
        r"\midrule",
        *(" & ".join([name.replace("_", r"\_"), *row]) + r" \\" for name, row in cells.items()),
        r"\bottomrule",
        r"\end{tabular}",
        "",
    ]
    return "\n".join(lines)


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
