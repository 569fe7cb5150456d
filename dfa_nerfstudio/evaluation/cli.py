"""`dfa-eval` evaluates a model or a video; its other commands are `compare`, `ablate`, `study` and `mos`."""

from __future__ import annotations

import inspect
import sys

from dfa_nerfstudio.errors import exit_on_user_error

USAGE = """Other commands: `dfa-eval compare REPORTS...` prints several reports as one table. `dfa-eval ablate DIR`
trains and evaluates variants of the method. `dfa-eval study NAME=FOLDER...` writes the page of a user study, and
`dfa-eval mos KEY SCORES...` computes its mean opinion scores."""


def main() -> None:
    """Runs the command line."""
    with exit_on_user_error():  # imports included, which take a second
        import tyro

        match sys.argv[1:]:
            case ["compare", *rest]:
                from dfa_nerfstudio.evaluation.compare_command import compare

                tyro.cli(compare, prog="dfa-eval compare", args=rest)
            case ["ablate", *rest]:
                from dfa_nerfstudio.evaluation.ablation.run_ablation import ablate

                tyro.cli(ablate, prog="dfa-eval ablate", args=rest)
            case ["study", *rest]:
                from dfa_nerfstudio.evaluation.study.build_study import build_study

                tyro.cli(build_study, prog="dfa-eval study", args=rest)
            case ["mos", *rest]:
                from dfa_nerfstudio.evaluation.study.mos import mean_opinion_scores

                tyro.cli(mean_opinion_scores, prog="dfa-eval mos", args=rest)
            case arguments:
                from dfa_nerfstudio.evaluation.evaluate_command import evaluate_command

                summary = (inspect.getdoc(evaluate_command) or "").partition("\n\nArgs:")[0]
                description = f"{summary}\n\n{USAGE}"
                tyro.cli(evaluate_command, prog="dfa-eval", description=description, args=arguments)
