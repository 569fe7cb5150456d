"""Tabulates the metrics of a finished `make demo`."""

from __future__ import annotations

import json
from pathlib import Path

import av
from rich.console import Console
from rich.table import Table

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.demo.ground_truth import compare_with_truth
from dfa_nerfstudio.demo.make_clip import truth_path
from dfa_nerfstudio.errors import UserError


def print_demo_summary(folder: Path, console: Console) -> None:
    """Prints a table of the metrics of a finished demo.

    Reads `clip.mp4`, `person/` (written by dfa-make) and `eval.json` (by ns-eval) in `folder`.

    Raises:
        UserError: if one of them is missing.
    """
    talking = folder / "person/talking/speech.mp4"
    for name in ("clip.mp4", "person/data", "eval.json", talking.relative_to(folder)):
        if not (folder / name).exists():
            raise UserError(f"{folder / name}: missing; run make demo")
    data = DatasetFolder.open(folder / "person/data")
    table = Table("metric", "value", title="demo subject", title_justify="left")
    for name, value in compare_with_truth(data, truth_path(folder / "clip.mp4")).items():
        table.add_row(f"tracking: {name.replace('_', ' ')}", f"{value:.3f}")
    results = json.loads((folder / "eval.json").read_text())["results"]
    held_out = len(data.held_out_frames)
    table.add_row(f"held-out PSNR, {held_out} frames, full frame, dB", f"{results['psnr']:.2f}")
    table.add_row("held-out SSIM", f"{results['ssim']:.3f}")
    table.add_row("rendering and scoring, frames/s", f"{results['fps']:.1f}")
    with av.open(str(talking)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        table.add_row("talking video, s", f"{float((video.duration or 0) * (video.time_base or 0)):.2f}")
        table.add_row("its audio, s", f"{float((audio.duration or 0) * (audio.time_base or 0)):.2f}")
    console.print(table)
    console.print(f"talking video: {talking}", soft_wrap=True)
