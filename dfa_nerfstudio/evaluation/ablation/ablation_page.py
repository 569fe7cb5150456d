"""`ablations.html`, `.json` and `.tex`: tables of all rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.evaluation.ablation.latent_identity import LatentProjection
from dfa_nerfstudio.evaluation.ablation.result_table import ResultTable
from dfa_nerfstudio.evaluation.report.comparison_table import ARROWS
from dfa_nerfstudio.reporting.charts import XYChart, XYSeries, robust_limits
from dfa_nerfstudio.reporting.page_template import page_template


@dataclass
class AblationResults:
    """Tables of the rows that are finished."""

    name: str
    """Name of the dataset folder."""
    minutes: float
    """Training time of each field in minutes."""
    seeds: tuple[int, ...]
    """Random seeds of the trainings."""
    tables: dict[str, ResultTable] = field(default_factory=dict)
    """Tables by name of their group."""
    latent: LatentProjection | None = None
    strips: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each table, the same frames of the truth and of each row, as data URIs."""


def write_ablations(output: Path, results: AblationResults, latex: bool) -> None:
    """Writes the page, the values as JSON and, if asked for, the tables for LaTeX, each atomically."""
    latent = results.latent
    parts: dict[str, Any] = {"results": results, "arrows": ARROWS, "latent": _latent_chart(latent)}
    stored = {
        "name": results.name,
        "minutes": results.minutes,
        "seeds": results.seeds,
        "tables": {name: table.to_json() for name, table in results.tables.items()},
        "latent": None if latent is None else {"accuracy": latent.accuracy, "chance": latent.chance},
    }
    texts = {
        "ablations.html": page_template(Path(__file__).parent).render(parts),
        "ablations.json": json.dumps(stored, indent=1) + "\n",
    }
    if latex:
        texts["ablations.tex"] = "\n".join(table.latex() for table in results.tables.values())
    for name, text in texts.items():
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
