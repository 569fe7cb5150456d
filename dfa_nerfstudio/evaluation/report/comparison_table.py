"""Evaluations side by side: one row for each figure, one column for each evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.metric_registry import FACES, PICTURES, SYNC, Measure
from dfa_nerfstudio.evaluation.protocols import PROTOCOLS

ARROWS = {"higher": "\N{UPWARDS ARROW}", "lower": "\N{DOWNWARDS ARROW}", "as the truth": "\N{RIGHTWARDS ARROW}"}
LATEX_ARROWS = {"higher": r"$\uparrow$", "lower": r"$\downarrow$", "as the truth": r"$\rightarrow$"}
NOTHING = "\N{EN DASH}"


@dataclass
class TableRow:
    """One figure of all evaluations."""

    measure: Measure
    protocol: str
    """Empty for what is not measured by protocol."""
    values: list[float | None]
    truth: float | None

    @property
    def label(self) -> str:
        return self.measure.title(self.protocol)

    def text(self, value: float | None) -> str:
        """A value with the figure's decimals, or a dash."""
        return self.measure.text(value) or NOTHING

    @property
    def best(self) -> int | None:
        """Which evaluation is best, of two or more."""
        known = [(value, index) for index, value in enumerate(self.values) if value is not None]
        if len(known) < 2:
            return None
        if self.measure.better == "as the truth":
            aim = 1.0 if self.truth is None else self.truth
            return min(known, key=lambda pair: abs(pair[0] - aim))[1]
        return (max if self.measure.better == "higher" else min)(known)[1]


def table_rows(evaluations: Sequence[Evaluation]) -> list[TableRow]:
    """Rows of all figures that any of them has; the truth's own is that of the first that has it."""

    def row(measure: Measure, values: list[float | None], truths: list[float | None], protocol: str = "") -> TableRow:
        return TableRow(measure, protocol, values, next((value for value in truths if value is not None), None))

    rows = [
        row(measure, [e.figure(protocol, name) for e in evaluations], [], protocol)
        for protocol in PROTOCOLS
        for name, measure in PICTURES.items()
    ]
    rows += [
        row(measure, [e.figure("", name) for e in evaluations], [e.truth.get(name) for e in evaluations])
        for name, measure in (FACES | SYNC).items()
    ]
    return [row for row in rows if any(value is not None for value in row.values)]


def console_table(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Table:
    """For the terminal."""
    table = Table()
    table.add_column("figure")
    for name in [*names, "ground truth"]:
        table.add_column(name, justify="right", overflow="fold")
    for row in table_rows(evaluations):
        cells = [
            f"[bold]{row.text(value)}[/]" if index == row.best else row.text(value)
            for index, value in enumerate(row.values)
        ]
        table.add_row(f"{row.label} {ARROWS[row.measure.better]}", *cells, row.text(row.truth))
    return table


def latex_table(evaluations: Sequence[Evaluation], names: Sequence[str]) -> str:
    """A tabular for booktabs; one row for each figure, the best in bold."""
    rows = []
    for row in table_rows(evaluations):
        values = [
            rf"\textbf{{{row.text(value)}}}" if index == row.best else row.text(value)
            for index, value in enumerate(row.values)
        ]
        label = f"{escaped(row.label)} {LATEX_ARROWS[row.measure.better]}"
        rows.append([label, *(cell.replace(NOTHING, "--") for cell in [*values, row.text(row.truth)])])
    return tabular([*map(escaped, names), "ground truth"], rows)


def tabular(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for booktabs.

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


def escaped(text: str) -> str:
    """Plain text in LaTeX."""
    return "".join(f"\\{letter}" if letter in "%_&#$" else letter for letter in text)
