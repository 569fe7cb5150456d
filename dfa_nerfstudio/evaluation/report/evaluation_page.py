"""`report.html`: an evaluation as a page that opens from disk and needs nothing else."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.report.comparison_table import ARROWS, table_rows
from dfa_nerfstudio.evaluation.report.frame_selection import evenly, lowest
from dfa_nerfstudio.evaluation.video_pairs import Pair
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import VideoWriter
from dfa_nerfstudio.reporting.page_template import data_uri, page_template
from dfa_nerfstudio.reporting.scatter_plot import Marks, Plot, limits
from dfa_nerfstudio.reporting.svg_chart import Chart, Series

PAGE = "report.html"
SHEET, WORST = 12, 6
"""Frames of the contact sheet, and worst ones."""
SIDE = 320
"""Longer side at most of a picture in the page, in pixels."""


def write_page(path: Path, evaluation: Evaluation, pair: Pair) -> None:
    """Writes the page, whole or not at all."""
    protocol = next(iter(evaluation.pictures), "")  # the first one
    psnr = np.array(evaluation.curves.get(f"psnr, {protocol}", []), float)
    parts: dict[str, Any] = {
        "evaluation": evaluation,
        "rows": table_rows([evaluation]),
        "arrows": ARROWS,
        "sheet": [_shot(pair, number) for number in evenly(pair.valid_frames, SHEET)],
        "worst": [_shot(pair, number, f"{psnr[number]:.1f} dB ({protocol})") for number in lowest(psnr, WORST)],
        "video": _side_by_side(pair),
        "charts": _charts(evaluation),
        "offsets": _offset_plots(evaluation),
    }
    with atomic_write(path) as partial:
        partial.write_text(page_template(Path(__file__).parent).render(parts), encoding="utf-8")


def _shot(pair: Pair, number: int, says: str = "") -> dict[str, Any]:
    beside = np.concatenate([small(pair.truth[number]), small(pair.pictures[number])], 1)
    return {"number": number, "time": number / FRAME_RATE, "says": says, "picture": data_uri(beside)}


def small(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """A picture as large as the page shows it."""
    scale = SIDE / max(picture.shape[:2])
    height, width = (round(side * scale) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _side_by_side(pair: Pair) -> str:
    """The truth and the pictures in one video with the pictures' sound, as a data URI."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "side_by_side.mp4"
        height, width, _ = small(pair.truth[0]).shape
        size = (2 * (width // 2 * 2), height // 2 * 2)
        with VideoWriter(path, FRAME_RATE, size, SAMPLE_RATE) as writer:
            sound = pair.sound if pair.sound is not None else np.zeros(SAMPLE_RATE, np.float32)
            writer.hear(sound[: round(len(pair) / FRAME_RATE * SAMPLE_RATE)])
            for truth, picture in zip(pair.truth, pair.pictures, strict=True):
                halves = [small(part)[: size[1], : size[0] // 2] for part in (truth, picture)]
                writer.write(np.ascontiguousarray(np.concatenate(halves, 1)))
        return f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _charts(evaluation: Evaluation) -> list[Chart]:
    curves = {name: np.array(values, float) for name, values in evaluation.curves.items()}
    duration = evaluation.frames / FRAME_RATE

    def chart(title: str, unit: str, *names: tuple[str, str]) -> list[Chart]:
        series = [
            Series(label, curves[name], number)
            for number, (label, name) in enumerate(names)
            if name in curves and np.isfinite(curves[name]).any()
        ]
        return [Chart(title, unit, duration, series)] if series else []

    def against(name: str, unit: str) -> list[Chart]:
        return chart(name.capitalize(), unit, ("pictures", name), ("truth", f"{name}, truth"))

    return [
        *chart("PSNR", "dB", *((protocol, f"psnr, {protocol}") for protocol in evaluation.pictures)),
        *chart("SSIM", "", *((protocol, f"ssim, {protocol}") for protocol in evaluation.pictures)),
        *against("mouth opening", "eye distances"),
        *against("eye opening", "0 closed to 1 open"),
        *chart("Landmarks", "% of eye distance", ("lips (LMD)", "lmd_eyes"), ("upper face", "upper_face"),
               ("lower face", "lower_face")),
        *against("yaw", "degrees"),
        *against("pitch", "degrees"),
    ]  # fmt: skip


def _offset_plots(evaluation: Evaluation) -> list[Plot]:
    plots = []
    for title, unit, suffix in (("Own encoders", "mean cosine", ""), ("SyncNet", "mean distance", ", SyncNet")):
        found = [
            (name, np.array(evaluation.offsets[name + suffix]))
            for name in ("pictures", "truth", "other speech")
            if name + suffix in evaluation.offsets
        ]
        if found:
            reach = len(found[0][1]) // 2
            across = np.arange(-reach, reach + 1, dtype=float)
            series = [Marks(name, across, curve, number) for number, (name, curve) in enumerate(found)]
            up = limits(*(curve for _, curve in found))
            plots.append(Plot(title, unit, (-reach, reach), up, series, guides=[("zero", [(0, up[0]), (0, up[1])])]))
    return plots
