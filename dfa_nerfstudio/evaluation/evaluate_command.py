"""`dfa-eval`: evaluates a model or a video."""

from __future__ import annotations

from pathlib import Path

import tyro

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError, as_flags
from dfa_nerfstudio.evaluation.evaluate import EvaluationConfig, evaluate
from dfa_nerfstudio.evaluation.report.comparison_table import console_table, latex_table
from dfa_nerfstudio.evaluation.report.evaluation_io import REPORT, save
from dfa_nerfstudio.evaluation.report.evaluation_page import FOLDER, PAGE, write_page
from dfa_nerfstudio.evaluation.video_pairs import Mismatch, held_out_pair, video_pair
from dfa_nerfstudio.reporting.console import make_console


def evaluate_command(
    config: tyro.conf.OmitArgPrefixes[EvaluationConfig],
    load_config: Path | None = None,
    data: Path | None = None,
    video: Path | None = None,
    reference: Path | None = None,
    output: Path | None = None,
    mismatch: Mismatch = "align",
    latex: bool = False,
) -> None:
    """Evaluates a model on the held-out end of its clip (`--load-config`), or a video against the true one (`--video A
    --reference B`), and writes `report.html` and `report.json`.

    Args:
        config: protocols, pretrained scorers and additional audio.
        load_config: the `config.yml` of the run, whose path ns-train prints at its end.
        data: the run's dataset folder, if it has moved since the training.
        video: the video to evaluate, of any origin.
        reference: the true video, which begins at the same moment.
        output: folder of the report; by default `evaluation` beside the config or the video.
        mismatch: treatment of videos of different length or size: *align* cuts the longer one and resizes the evaluated
            one, with a note; *refuse* ends with an error.
        latex: also writes the table as `table.tex`.

    Raises:
        UserError: for bad input.
    """
    if (load_config is None) == (video is None) or (video is None) != (reference is None):
        raise UserError("give either `load_config`, or both `video` and `reference`")
    if config.speech and load_config is None:
        raise UserError("`speech` needs a model that renders it; give `load_config` instead of `video`")
    if load_config is not None:
        pair, folder = held_out_pair(load_config, config.speech, data), load_config.parent / FOLDER
    else:
        assert video is not None and reference is not None
        pair, folder = video_pair(video, reference, mismatch), video.with_name(f"{video.stem}_evaluation")
    folder = output or folder
    evaluation = evaluate(pair, config)
    save(evaluation, folder / REPORT)
    write_page(folder / PAGE, evaluation, pair)
    console = make_console()
    console.print(console_table([evaluation], ["prediction"]))
    for note in evaluation.notes:
        console.print(as_flags(note), style="yellow", soft_wrap=True)
    if latex:
        with atomic_write(folder / "table.tex") as partial:
            partial.write_text(latex_table([evaluation], [evaluation.name]), encoding="utf-8")
    console.print(f"wrote {folder / PAGE} and {REPORT}", soft_wrap=True)
