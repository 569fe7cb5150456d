"""`dfa-eval` scores a model or a video; `compare`, `ablate`, `study` and `opinions` are its other commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError, exit_on_user_error

USAGE = """Other commands: `dfa-eval compare REPORTS...` sets several reports side by side; `dfa-eval ablate DIR` trains
and scores the method without one of its parts after another; `dfa-eval study NAME=FOLDER...` makes a page that asks
viewers for their opinions, `dfa-eval opinions KEY SCORES...` turns them into mean opinion scores."""


def main() -> None:
    """Entry point."""
    with exit_on_user_error():
        match sys.argv[1:]:
            case ["compare", *rest]:
                tyro.cli(compare, prog="dfa-eval compare", args=rest)
            case ["ablate", *rest]:
                from dfa_nerfstudio.evaluation.ablation.run_ablation import ablate

                tyro.cli(ablate, prog="dfa-eval ablate", args=rest)
            case ["study", *rest]:
                from dfa_nerfstudio.evaluation.study.build_study import study

                tyro.cli(study, prog="dfa-eval study", args=rest)
            case ["opinions", *rest]:
                from dfa_nerfstudio.evaluation.study.mos import opinions

                tyro.cli(opinions, prog="dfa-eval opinions", args=rest)
            case arguments:
                from dfa_nerfstudio.evaluation.evaluate_command import evaluate_command

                description = f"{evaluate_command.__doc__}\n\n{USAGE}"
                tyro.cli(evaluate_command, prog="dfa-eval", description=description, args=arguments)


def compare(
    reports: tyro.conf.Positional[list[Path]],
    names: Annotated[list[str], tyro.conf.arg(help_behavior_hint="(default: the reports' folders)")] = [],  # noqa: B006
    latex: Path | None = None,
) -> None:
    """Several reports of dfa-eval as one table; the best figure of each row is bold.

    Args:
        reports: `report.json` files, or the folders that hold them.
        names: what the columns are called.
        latex: writes the table for LaTeX to this file too.

    Raises:
        UserError: if a report cannot be read, or there are not as many names.
    """
    from dfa_nerfstudio.evaluation.report.comparison_table import console_table, latex_table
    from dfa_nerfstudio.evaluation.report.evaluation_io import load

    if names and len(names) != len(reports):
        raise UserError(f"--names: {len(names)} names for {len(reports)} reports; give one for each")
    evaluations = [load(path) for path in reports]
    titles = names or [str(path.parent if path.is_file() else path) for path in reports]
    console = Console()
    console.print(console_table(evaluations, titles))
    looked_at = {(e.frames, e.scored, e.size) for e in evaluations}
    if len(looked_at) > 1:
        console.print(
            "these reports are of different frames or sizes, so that their figures cannot be compared: "
            + "; ".join(
                f"{t}: {e.scored} frames, {e.size[0]}x{e.size[1]}" for t, e in zip(titles, evaluations, strict=True)
            ),
            style="yellow",
            soft_wrap=True,
        )
    if latex:
        with atomic_write(latex) as partial:
            partial.write_text(latex_table(evaluations, titles), encoding="utf-8")
        console.print(f"wrote {latex}", highlight=False)
