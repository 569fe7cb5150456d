"""Tables of results: a row for each variant, a column for each metric, mean and standard deviation over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from dfa_nerfstudio.evaluation.metric_registry import MetricInfo
from dfa_nerfstudio.evaluation.report.comparison_table import ARROWS, LATEX_ARROWS, escape_latex, latex_tabular

MINUTES = MetricInfo("minutes", "Training", "min", "lower", "time of all trainings behind the row", 1)
"""Column of the training time."""
METRIC_WIDTH, ROW_WIDTH, FRAME_WIDTH = 32, 14, 3
"""Most characters of the column of metrics, of a row's column, and of the space around them in a terminal. The longest
word of a row's name has 14."""


@dataclass(frozen=True)
class Column:
    """A metric, under a protocol where it is one of images."""

    info: MetricInfo
    protocol: str = ""

    @property
    def key(self) -> str:
        """Name in `ResultTable.rows`."""
        return f"{self.protocol}/{self.info.name}" if self.protocol else self.info.name

    @property
    def title(self) -> str:
        """Label with protocol and unit."""
        return self.info.title(self.protocol)


@dataclass
class ResultTable:
    """Values of all rows for all seeds."""

    title: str
    protocol: str
    """What is compared on which data, in a sentence or two."""
    columns: tuple[Column, ...]
    rows: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)
    """Values by row, seed and column."""
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    """Rows without a seed: trivial predictions and the source video. They are never the best."""
    truth: dict[str, float] = field(default_factory=dict)
    """Target of columns that should be "as the truth": the source video's own value; 1 where it has none."""
    links: dict[str, str] = field(default_factory=dict)
    """Page of each row, relative to the folder of the tables."""

    @property
    def used_columns(self) -> list[Column]:
        """Columns in which any row has a value."""
        return [column for column in self.columns if any(self.values(row, column.key) for row in self.rows)]

    def values(self, row: str, key: str) -> list[float]:
        """Finite values of a column over the seeds of a row."""
        return [seed[key] for seed in self.rows[row].values() if np.isfinite(seed.get(key, np.nan))]

    def mean(self, row: str, key: str) -> float | None:
        """Mean over seeds; None without values."""
        values = self.values(row, key)
        return float(np.mean(values)) if values else None

    def deviation(self, row: str, key: str) -> float | None:
        """Standard deviation over seeds; None with fewer than two."""
        values = self.values(row, key)
        return float(np.std(values, ddof=1).round(12)) if len(values) > 1 else None  # 0, not 1e-16, of equal values

    def best(self, column: Column) -> str | None:
        """Name of the best row; None with fewer than two values, or for training times and standard errors."""
        means = {row: mean for row in self.rows if (mean := self.mean(row, column.key)) is not None}
        if len(means) < 2 or column.info == MINUTES or column.info.name.endswith("_error"):
            return None
        if column.info.better == "as the truth":
            target = self.truth.get(column.key, 1.0)
            return min(means, key=lambda row: abs(means[row] - target)) if np.isfinite(target) else None
        return (max if column.info.better == "higher" else min)(means, key=lambda row: means[row])

    def cells(self) -> dict[str, list[str]]:
        """Text of each row: mean and standard deviation of each used column."""
        rows = {row: [self._cell(row, column) for column in self.used_columns] for row in self.rows}
        for name, values in self.baselines.items():
            rows[name] = [self._baseline_cell(values, column) for column in self.used_columns]
        return rows

    def _cell(self, row: str, column: Column) -> str:
        deviation = self.deviation(row, column.key)
        spread = "" if deviation is None else f" \N{PLUS-MINUS SIGN} {column.info.format(deviation)}"
        return f"{column.info.format(self.mean(row, column.key))}{spread}"

    @staticmethod
    def _baseline_cell(values: dict[str, float], column: Column) -> str:
        value = values.get(column.key, float("nan"))
        return column.info.format(value) if np.isfinite(value) else ""

    def bold(self) -> set[tuple[str, str]]:
        """Pairs of row and column key whose value is the best of the column."""
        return {(best, column.key) for column in self.used_columns if (best := self.best(column))}

    def console_tables(self, width: int) -> Iterator[Table]:
        """Means for a terminal: a line for each metric, and as many rows beside each other as fit.

        Args:
            width: of the terminal in characters.
        """
        names, best = [*self.rows, *self.baselines], self.bold()
        columns = {name: [self._console_cell(name, column, best) for column in self.used_columns] for name in names}
        metrics = [f"{column.title} {ARROWS[column.info.better]}" for column in self.used_columns]
        beside = max(1, (width - METRIC_WIDTH - FRAME_WIDTH) // (ROW_WIDTH + 1))
        for first in range(0, len(names), beside):
            title = self.title if first == 0 else None
            table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
            table.add_column("metric", max_width=METRIC_WIDTH)
            shown = names[first : first + beside]
            for name in shown:
                table.add_column(name, justify="right", max_width=ROW_WIDTH)
            for metric, *cells in zip(metrics, *(columns[name] for name in shown), strict=True):
                table.add_row(metric, *cells)
            yield table

    def _console_cell(self, name: str, column: Column, best: set[tuple[str, str]]) -> Text:
        if name in self.baselines:
            return Text(self._baseline_cell(self.baselines[name], column))
        return Text(column.info.format(self.mean(name, column.key)), "bold" if (name, column.key) in best else "")

    def latex(self) -> str:
        """Table for LaTeX with booktabs, the best value of each column in bold."""
        best = self.bold()
        titles = [f"{escape_latex(column.title)} {LATEX_ARROWS[column.info.better]}" for column in self.used_columns]

        def text(name: str, cell: str, column: Column) -> str:
            cell = cell.replace("\N{PLUS-MINUS SIGN}", r"$\pm$")
            return rf"\textbf{{{cell}}}" if (name, column.key) in best else cell

        rows = [
            [escape_latex(name), *(text(name, *pair) for pair in zip(row, self.used_columns, strict=True))]
            for name, row in self.cells().items()
        ]
        return f"% {self.title}. {self.protocol}\n{latex_tabular(titles, rows)}"

    def to_json(self) -> dict[str, Any]:
        """Values, means and standard deviations as plain data; NaN becomes null."""

        def each(function: Callable[[str, str], float | None], row: str) -> dict[str, float | None]:
            return {column.key: function(row, column.key) for column in self.used_columns}

        return {
            "title": self.title,
            "protocol": self.protocol,
            "columns": {column.key: column.title for column in self.used_columns},
            "rows": {
                row: {
                    "seeds": list(seeds),
                    "mean": each(self.mean, row),
                    "standard_deviation": each(self.deviation, row),
                    "values": {str(seed): _finite(values) for seed, values in seeds.items()},
                }
                for row, seeds in self.rows.items()
            },
            "truth": _finite(self.truth),
            "baselines": {name: _finite(values) for name, values in self.baselines.items()},
        }


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in values.items()}
