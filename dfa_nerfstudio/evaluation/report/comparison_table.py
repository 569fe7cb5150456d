"""Tables of evaluations: one row for each metric, one column for each evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, registered_image_metrics, registered_video_metrics
from dfa_nerfstudio.evaluation.protocols import PROTOCOLS

ARROWS = {"higher": "\N{UPWARDS ARROW}", "lower": "\N{DOWNWARDS ARROW}", "as the truth": "\N{RIGHTWARDS ARROW}"}
LATEX_ARROWS = {"higher": r"$\uparrow$", "lower": r"$\downarrow$", "as the truth": r"$\rightarrow$"}
NO_VALUE = "\N{EN DASH}"


@dataclass
class TableRow:
    """One metric in all evaluations."""

    info: MetricInfo
    protocol: str
    """Protocol of an image metric; empty for video metrics."""
    values: list[float | None]
    """Value in each evaluation, None where it was not measured."""
    truth: float | None
    """The truth's own value."""

    @property
    def label(self) -> str:
        """Title of the row: metric, protocol and unit."""
        return self.info.title(self.protocol)

    def format(self, value: float | None) -> str:
        """A value with the metric's decimal places, or a dash."""
        return self.info.format(value) or NO_VALUE

    @property
    def best(self) -> int | None:
        """Index of the best of two or more evaluations."""
        known = [(value, index) for index, value in enumerate(self.values) if value is not None]
        if len(known) < 2:
            return None
        if self.info.better == "as the truth":
            target = 1.0 if self.truth is None else self.truth
            return min(known, key=lambda pair: abs(pair[0] - target))[1]
        return (max if self.info.better == "higher" else min)(known)[1]


def table_rows(evaluations: Sequence[Evaluation]) -> list[TableRow]:
    """Rows of all metrics that any evaluation has; the truth's value is that of the first evaluation with one."""
    rows = [
        TableRow(info, protocol, [one.metric(protocol, info.name) for one in evaluations], None)
        for protocol in PROTOCOLS
        for metric in registered_image_metrics()
        for info in metric.infos
    ]
    for metric in registered_video_metrics():
        for info in metric.infos:
            truths = (one.truth[info.name] for one in evaluations if info.name in one.truth)
            rows.append(TableRow(info, "", [one.metric("", info.name) for one in evaluations], next(truths, None)))
    return [row for row in rows if any(value is not None for value in row.values)]


def console_table(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Table:
    """Table for the terminal, the best value of each row in bold."""
    table = Table()
    table.add_column("metric")
    for name in [*names, "ground truth"]:
        table.add_column(name, justify="right", overflow="fold")
    for row in table_rows(evaluations):
        cells = [
            Text(row.format(value), style="bold" if index == row.best else "") for index, value in enumerate(row.values)
        ]
        table.add_row(f"{row.label} {ARROWS[row.info.better]}", *cells, row.format(row.truth))
    return table


def latex_table(evaluations: Sequence[Evaluation], names: Sequence[str]) -> str:
    """Table for LaTeX with booktabs, the best value of each row in bold."""
    rows = []
    for row in table_rows(evaluations):
        values = [
            rf"\textbf{{{row.format(value)}}}" if index == row.best else row.format(value)
            for index, value in enumerate(row.values)
        ]
        label = f"{escape_latex(row.label)} {LATEX_ARROWS[row.info.better]}"
        rows.append([label, *(cell.replace(NO_VALUE, "--") for cell in [*values, row.format(row.truth)])])
    return latex_tabular([*map(escape_latex, names), "ground truth"], rows)


def latex_tabular(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A `tabular` environment with booktabs rules.

    Args:
        titles: of the columns after the first, in LaTeX.
        rows: each with its name before its cells, in LaTeX.
    """
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(titles)}}}",
        r"\toprule",
        " & ".join(["", *titles]) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        "",
    ]
    return "\n".join(lines)


def escape_latex(text: str) -> str:
    """Plain text with LaTeX's special characters escaped."""
    return "".join(f"\\{letter}" if letter in "%_&#$" else letter for letter in text)
