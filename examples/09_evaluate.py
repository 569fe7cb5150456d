"""Evaluate: the metrics of several runs on the held-out end of their videos, side by side.

Example:
    python examples/09_evaluate.py people/me people/you
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

import dfa_nerfstudio as dfa

METRICS = {"PSNR, dB": ("full", "psnr"), "SSIM": ("full", "ssim"), "mouth, correlation": ("", "mouth_correlation")}
"""Protocol and name of some metrics; those of a whole video have no protocol."""


def main(runs: Annotated[tuple[Path, ...], tyro.conf.Positional]) -> None:
    """Prints some metrics of each run, and what the evaluation has noted.

    Args:
        runs: each a run's `config.yml`, or a folder that contains it.
    """
    config = dfa.EvaluationConfig(protocols=("full",))
    for run in runs:
        evaluation = dfa.evaluate(run, config)
        print(f"{run}: {evaluation.scored} of {evaluation.frames} frames scored")
        for label, (protocol, name) in METRICS.items():
            value = evaluation.metric(protocol, name)  # None where it could not be measured
            print(f"  {label}: {'not measured' if value is None else f'{value:.2f}'}")
        for note in evaluation.notes:
            print(f"  note: {note}")


if __name__ == "__main__":
    tyro.cli(main)
