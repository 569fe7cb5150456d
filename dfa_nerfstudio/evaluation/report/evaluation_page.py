"""`report.html`: an evaluation as a self-contained page that opens from disk."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import as_flags
from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, registered_image_metrics, registered_video_metrics
from dfa_nerfstudio.evaluation.report.comparison_table import ARROWS, table_rows
from dfa_nerfstudio.evaluation.report.frame_selection import evenly_spaced_frames, lowest_frames
from dfa_nerfstudio.evaluation.video_pairs import VideoPair
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import VideoWriter
from dfa_nerfstudio.reporting.charts import TimeChart, TimeSeries, XYChart, XYSeries, robust_limits
from dfa_nerfstudio.reporting.inline_image import jpeg_data_uri
from dfa_nerfstudio.reporting.page_template import page_template

FOLDER, PAGE = "evaluation", "report.html"
"""Names of the folder beside a config, and of the page in it."""
SCRATCH_VIDEO = ".side_by_side.mp4"
"""Temporary file beside the page; what a killed process leaves of it, the next one replaces."""
NUM_SHEET_FRAMES, NUM_WORST_FRAMES = 12, 6
"""Frames of the contact sheet, and frames of lowest PSNR."""
MAX_SIDE = 320
"""Longer side of an image on the page in pixels."""


def write_page(path: Path, evaluation: Evaluation, pair: VideoPair) -> None:
    """Writes the page atomically."""
    protocol = next(iter(evaluation.image_metrics), "")  # the first one
    psnr = np.array(evaluation.curves.get(f"psnr, {protocol}", []), float)
    parts: dict[str, Any] = {
        "evaluation": evaluation,
        "notes": [as_flags(note) for note in evaluation.notes],
        "rows": table_rows([evaluation]),
        "arrows": ARROWS,
        "sheet": [_frame_pair(pair, number) for number in evenly_spaced_frames(pair.valid_frames, NUM_SHEET_FRAMES)],
        "worst": [
            _frame_pair(pair, number, f"{psnr[number]:.1f} dB ({protocol})")
            for number in lowest_frames(psnr, NUM_WORST_FRAMES)
        ],
        "video": _side_by_side_video(pair, path.with_name(SCRATCH_VIDEO)),
        "charts": _time_charts(evaluation),
        "offset_charts": _offset_charts(evaluation),
    }
    with atomic_write(path) as partial:
        partial.write_text(page_template(Path(__file__).parent).render(parts), encoding="utf-8")


def _frame_pair(pair: VideoPair, number: int, caption: str = "") -> dict[str, Any]:
    image = np.concatenate([thumbnail(pair.truth[number]), thumbnail(pair.prediction[number])], 1)
    return {"number": number, "time": number / FRAME_RATE, "caption": caption, "image": jpeg_data_uri(image)}


def thumbnail(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The image resized so that its longer side is `MAX_SIDE`."""
    scale = MAX_SIDE / max(image.shape[:2])
    height, width = (round(side * scale) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _side_by_side_video(pair: VideoPair, scratch: Path) -> str:
    """Truth and prediction in one video with the prediction's audio, as a data URI; `scratch` is a file for it."""
    height, width, _ = thumbnail(pair.truth[0]).shape
    size = (2 * (width // 2 * 2), height // 2 * 2)
    try:
        with VideoWriter(scratch, FRAME_RATE, size, SAMPLE_RATE) as writer:
            audio = pair.audio if pair.audio is not None else np.zeros(SAMPLE_RATE, np.float32)
            writer.write_audio(audio[: round(len(pair) / FRAME_RATE * SAMPLE_RATE)])
            for both in zip(pair.truth, pair.prediction, strict=True):
                halves = [thumbnail(frame)[: size[1], : size[0] // 2] for frame in both]
                writer.write_frame(np.ascontiguousarray(np.concatenate(halves, 1)))
        return f"data:video/mp4;base64,{base64.b64encode(scratch.read_bytes()).decode()}"
    finally:
        scratch.unlink(missing_ok=True)


def _time_charts(evaluation: Evaluation) -> list[TimeChart]:
    """Charts of the metrics that ask for one, and of openings and head pose in both videos."""
    curves = {name: np.array(values, float) for name, values in evaluation.curves.items()}
    duration = evaluation.frames / FRAME_RATE

    def chart(title: str, unit: str, *curve_names: tuple[str, str]) -> list[TimeChart]:
        series = [
            TimeSeries(label, curves[name], number)
            for number, (label, name) in enumerate(curve_names)
            if name in curves and np.isfinite(curves[name]).any()
        ]
        return [TimeChart(title, unit, duration, series)] if series else []

    def both_videos(name: str, unit: str) -> list[TimeChart]:
        return chart(name.capitalize(), unit, ("prediction", name), ("truth", f"{name}, truth"))

    by_title: dict[str, list[MetricInfo]] = {}
    for metric in registered_video_metrics():
        for info in metric.infos:
            by_title.setdefault(info.chart, []).append(info)
    by_title.pop("", None)
    charts = []
    for metric in registered_image_metrics():
        info = metric.infos[0]
        if info.chart:
            protocols = evaluation.image_metrics
            charts += chart(info.chart, info.unit, *((protocol, f"{info.name}, {protocol}") for protocol in protocols))
    charts += [*both_videos("mouth opening", "eye distances"), *both_videos("eye opening", "0 closed to 1 open")]
    for title, infos in by_title.items():
        charts += chart(title, infos[0].unit, *((info.label, info.name) for info in infos))
    return [*charts, *both_videos("yaw", "degrees"), *both_videos("pitch", "degrees")]


def _offset_charts(evaluation: Evaluation) -> list[XYChart]:
    charts = []
    for title, unit, suffix in (("Own encoders", "mean cosine", ""), ("SyncNet", "mean distance", ", SyncNet")):
        found = [
            (name, np.array(evaluation.offset_curves[name + suffix]))
            for name in ("prediction", "truth", "cross-driven")
            if name + suffix in evaluation.offset_curves
        ]
        if found:
            max_offset = len(found[0][1]) // 2
            offsets = np.arange(-max_offset, max_offset + 1, dtype=float)
            series = [XYSeries(name, offsets, curve, number) for number, (name, curve) in enumerate(found)]
            low, high = robust_limits(*(curve for _, curve in found))
            guides = [("zero", [(0.0, low), (0.0, high)])]
            charts.append(XYChart(title, unit, (-max_offset, max_offset), (low, high), series, guides=guides))
    return charts
