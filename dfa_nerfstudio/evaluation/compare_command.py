"""`dfa-eval compare`: several reports as one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.report.comparison_table import console_table, latex_table
from dfa_nerfstudio.evaluation.report.evaluation_io import load
from dfa_nerfstudio.reporting.console import make_console


def compare(
    reports: tyro.conf.Positional[list[Path]],
    names: Annotated[list[str], tyro.conf.arg(help_behavior_hint="(default: the reports' folders)")] = [],  # noqa: B006
    latex: Path | None = None,
) -> None:
    """Prints several reports of dfa-eval as one table, with the best value of each row in bold.

    Args:
        reports: `report.json` files, or the folders that hold them.
        names: titles of the columns.
        latex: also writes the table for LaTeX to this file.

    Raises:
        UserError: if a report cannot be read, or the numbers of names and reports differ.
    """
    if names and len(names) != len(reports):
        raise UserError(f"`names`: {len(names)} names for {len(reports)} reports; give one for each")
    evaluations = [load(path) for path in reports]
    titles = names or [str(path.parent if path.is_file() else path) for path in reports]
    console = make_console()
    console.print(console_table(evaluations, titles))
    if len({(one.frames, one.scored, one.size) for one in evaluations}) > 1:
        console.print(
            "these reports are of different frames or sizes, so their values cannot be compared: "
            + "; ".join(
                f"{title}: {one.scored} frames, {one.size[0]}x{one.size[1]}"
                for title, one in zip(titles, evaluations, strict=True)
            ),
            style="yellow",
            soft_wrap=True,
        )
    if latex:
        with atomic_write(latex) as partial:
            partial.write_text(latex_table(evaluations, titles), encoding="utf-8")
        console.print(f"wrote {latex}")
