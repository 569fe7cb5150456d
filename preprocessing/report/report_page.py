"""`report.html`: the report as one self-contained page, built from the files of a dataset folder."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data import dataset_folder
from dfa_nerfstudio.data.dataset_folder import REPORT_FILE, REPORT_PAGE, ClipAttributes, DatasetFolder
from dfa_nerfstudio.media.audio import waveform_envelope
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME, SAMPLE_RATE
from dfa_nerfstudio.media.timeline import true_spans
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport
from dfa_nerfstudio.preprocessing.report.report_images import COLOURS, draw_landmarks, draw_matte, image_data_uri
from dfa_nerfstudio.reporting.charts import TimeChart, TimeSeries, TimeSpan
from dfa_nerfstudio.reporting.page_template import page_template

NUM_SHEET_FRAMES = 12
"""Number of frames on the contact sheet."""
WAVEFORM_BLOCK = SAMPLE_RATE // 1000
"""Audio samples per point of the waveform: 1 ms, less than a pixel on any page."""
BAND_DEVIATIONS = 2.0
"""Half width of the uncertainty bands, in standard deviations."""


def write_report_page(folder: Path, clip: ClipAttributes | None = None) -> None:
    """Writes `report.html` into a dataset folder, or into the folder of a video that was split into scenes.

    Args:
        folder: contains `report.json`; for a dataset also its attributes, images and masks.
        clip: the folder's attributes, if they are loaded already.

    Raises:
        UserError: if the folder is incomplete.
    """
    report = ProcessReport.read(folder / REPORT_FILE)
    content: dict[str, Any] = {"report": report, "verdict": report.verdict(), "page": REPORT_PAGE}
    content["frame_rate"] = FRAME_RATE
    if not report.scenes:
        clip = clip or DatasetFolder.open(folder).attributes
        content |= {
            "charts": _charts(folder, clip, report),
            "sheet": _contact_sheet(folder, clip, report.num_train),
            "mattes": _mattes(folder, clip),
            "tiles": _tiles(report),
            "metrics": _metrics(report),
            "jitter": _jitter(report),
            "colours": COLOURS,
            "longest_stage": max(report.stage_seconds.values(), default=1.0) or 1.0,
        }
    with atomic_write(folder / REPORT_PAGE) as partial:
        partial.write_text(page_template(Path(__file__).parent).render(content), encoding="utf-8")


def _tiles(report: ProcessReport) -> list[tuple[str, str, str]]:
    """Returns the most important metrics: name, value, explanation."""
    duration, train_duration = report.num_frames / FRAME_RATE, report.num_train / FRAME_RATE
    blink_rate = f"{60 * report.blinks_per_second:.0f} per minute"
    return [
        ("Length", f"{duration:.1f} s", f"{train_duration:.1f} s of it for training"),
        ("Face tracked", f"{100 * report.tracked_fraction():.1f} %", f"of {report.num_frames} frames"),
        ("Focal length", f"{report.focal_length:.2f}", "image sides"),
        (
            "Landmark error",
            f"{100 * report.relative_reprojection_error():.2f} %",
            f"of the eye distance, {report.eye_distance:.0f} px",
        ),
        ("Blinks", str(report.num_blinks), blink_rate if report.blinks_observed else "none in the training frames"),
        ("Speech", f"{100 * report.speech_fraction:.0f} %", f"of the time, at {report.loudness:.0f} dB"),
    ]


def _jitter(report: ProcessReport) -> list[tuple[str, float]]:
    """Returns all jitter metrics, in pixels, in descending order."""
    named = {name: value for name, value in vars(report).items() if "jitter" in name and value}
    return [(name.replace("_", " "), value) for name, value in sorted(named.items(), key=lambda item: -item[1])]


def _metrics(report: ProcessReport) -> list[tuple[str, str, str]]:
    """Returns name, value and docstring of every plain field of the report."""
    notes, rows = _docstrings(), []
    for name, value in vars(report).items():
        if isinstance(value, bool):
            text = "yes" if value else "no"
        elif isinstance(value, float):
            text = f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
        elif isinstance(value, int | str):
            text = str(value)
        elif isinstance(value, list | tuple) and value and not isinstance(value[0], str):
            text = ", ".join(_number_or_span(part) for part in value)
        else:
            continue
        rows.append((name.replace("_", " "), text, notes.get(name, "")))
    return rows


def _number_or_span(value: float | list[float]) -> str:
    return f"{value:.5g}" if isinstance(value, int | float) else " to ".join(f"{part:.2f}" for part in value)


@cache
def _docstrings() -> dict[str, str]:
    """Returns the docstring of each field of `ProcessReport`."""
    (definition,) = ast.parse(inspect.getsource(ProcessReport)).body
    notes, last = {}, None
    for statement in getattr(definition, "body", []):
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)):
                last = name
            case ast.Expr(value=ast.Constant(value=str(text))) if last:
                notes[last], last = " ".join(text.split()), None
            case _:
                last = None
    return notes


def _contact_sheet(folder: Path, clip: ClipAttributes, num_train: int) -> list[dict[str, Any]]:
    """Returns evenly spaced frames with their landmarks and labels."""
    sheet = []
    for number in np.unique(np.linspace(0, len(clip) - 1, NUM_SHEET_FRAMES).round().astype(int)):
        labels = [
            *(["no face"] if clip.shot[number] < 0 else []),
            *(["interpolated"] if clip.shot[number] >= 0 and not clip.face_found[number] else []),
            *(["held out"] if number >= num_train else []),
        ]
        image = draw_landmarks(folder, number, clip.landmarks[number])
        sheet.append({"time": number / FRAME_RATE, "number": int(number), "labels": labels, "image": image})
    return sheet


def _mattes(folder: Path, clip: ClipAttributes) -> list[tuple[str, str]]:
    """Returns person, torso and background, each with a title, as the renderer receives them."""
    found = clip.face_found & (clip.shot >= 0)
    number = int(np.flatnonzero(found)[found.sum() // 3])
    return [
        (f"Person in frame {number}", draw_matte(folder, number, torso=False)),
        ("Torso in the same frame", draw_matte(folder, number, torso=True)),
        ("Background without the person", image_data_uri(folder / dataset_folder.BACKGROUND)),
    ]


def _charts(folder: Path, clip: ClipAttributes, report: ProcessReport) -> list[TimeChart]:
    duration = len(clip) / FRAME_RATE
    valid = clip.shot >= 0
    spans = _spans(clip, report.num_train)

    def masked(values: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        return np.where(valid, values, np.nan)

    angles = Rotation.from_matrix(clip.head_to_camera[:, :3, :3].astype(float)).as_euler("YXZ", degrees=True)
    position = clip.head_to_camera[:, :3, 3] * [1, 1, -1]
    position = position - np.median(position[valid], axis=0)
    percent_of_side = 100 * report.focal_length
    shift, shift_deviation = clip.torso_motion[:, :2] * percent_of_side, clip.torso_deviation[:, :2] * percent_of_side
    scale_tilt = np.stack([100 * np.expm1(clip.torso_motion[:, 2]), np.degrees(clip.torso_motion[:, 3])], 1)
    scale_tilt_deviation = clip.torso_deviation[:, 2:] * [100, np.degrees(1)]
    torso_lost = [TimeSpan("lost", start, end, "torso lost") for start, end in true_spans(valid & ~clip.torso_found)]
    blinks = [TimeSpan("blink", a, c, f"blink, {a:.2f} to {c:.2f} s") for a, _, c in clip.blinks]
    speech = [TimeSpan("voice", *span) for span in true_spans(clip.voice, MFCC_PER_FRAME * FRAME_RATE)]
    audio = waveform_envelope(folder / dataset_folder.AUDIO, WAVEFORM_BLOCK)
    audio /= max(float(np.abs(audio).max()), 1e-6)
    mouth = masked(clip.mouth_opening)

    def chart(
        title: str, unit: str, series: list[TimeSeries], more: list[TimeSpan] | None = None, **options: Any
    ) -> TimeChart:
        return TimeChart(title, unit, duration, series, [*(more or []), *spans], **options)

    def lines(names: str, values: np.ndarray, deviation: np.ndarray | None = None) -> list[TimeSeries]:
        bands = [None] * values.shape[1] if deviation is None else [BAND_DEVIATIONS * column for column in deviation.T]
        columns = zip(names.split(","), values.T, bands, strict=True)
        return [TimeSeries(name, masked(column), i, band) for i, (name, column, band) in enumerate(columns)]

    torso = [
        chart("Torso shift", "% of the image side", lines("right,up", shift, shift_deviation), torso_lost),
        chart(
            "Torso scale and tilt",
            "% and degrees",
            lines("scale,tilt", scale_tilt, scale_tilt_deviation),
            torso_lost,
        ),
    ]
    return [
        chart("Head rotation", "degrees", lines("yaw,pitch,roll", angles)),
        chart("Head position", "eye distances from the median position", lines("right,up,depth", position)),
        *(torso if clip.torso_found.any() else []),
        chart(
            "Eye opening", "0 closed to 1 open", lines("left,right", clip.eye_opening), blinks, y_limits=(-0.04, 1.08)
        ),
        chart(
            "Audio and mouth",
            "waveform, full scale 1",
            [
                TimeSeries("audio", audio, 3, filled=True),
                TimeSeries("mouth opening", mouth, 1, scale=1.1 * max(float(np.nanmax(mouth)), 1e-6)),
            ],
            speech,
            y_limits=(-1.05, 1.05),
            tall=True,
        ),
        chart("Loudness", "dB of full scale", [TimeSeries("loudness", clip.loudness, 0)], speech),
    ]


def _spans(clip: ClipAttributes, num_train: int) -> list[TimeSpan]:
    """Returns the marks common to all charts: held-out end, lost faces, cuts."""
    duration, valid = len(clip) / FRAME_RATE, clip.shot >= 0
    held_out = [TimeSpan("held-out", num_train / FRAME_RATE, duration, "held out")] if num_train < len(clip) else []
    excluded = [TimeSpan("left-out", *span, "excluded: no face") for span in true_spans(~valid)]
    lost = [TimeSpan("lost", *span, "face interpolated") for span in true_spans(valid & ~clip.face_found)]
    starts = np.flatnonzero((np.diff(clip.shot) != 0) & valid[1:] & valid[:-1]) + 1
    cuts = [TimeSpan("cut", number / FRAME_RATE, number / FRAME_RATE, "cut") for number in starts]
    return [*held_out, *excluded, *lost, *cuts]
