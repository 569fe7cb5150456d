"""`report.html`: the report as a page that opens from disk, made from the dataset folder alone."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data import dataset_folder
from dfa_nerfstudio.data.dataset_folder import ClipAttributes
from dfa_nerfstudio.media.audio import wav_extremes
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.preprocessing.report.process_report import Report
from dfa_nerfstudio.preprocessing.report.report_images import COLOURS, cut_out, landmarked, picture_of
from dfa_nerfstudio.reporting.page_template import page_template
from dfa_nerfstudio.reporting.svg_chart import Chart, Series, Span

REPORT, PAGE = "report.json", "report.html"
FRAMES = 12
"""Pictures of the contact sheet."""
WAVE = SAMPLE_RATE // 1000
"""Samples of the sound whose extremes the waveform shows: a millisecond, less than a pixel on any page."""
DEVIATIONS = 2.0
"""Half width of the bands of uncertainty in standard deviations."""


def write_report_page(folder: Path, clip: ClipAttributes | None = None) -> None:
    """Writes `report.html` into a dataset folder, or into the folder of a video that was split into scenes.

    Args:
        folder: with its `report.json`, and what it tells of.
        clip: the folder's attributes, where they are at hand.

    Raises:
        UserError: if the folder is incomplete.
    """
    report = Report.read(folder / REPORT)
    parts: dict[str, Any] = {"report": report, "verdict": report.verdict(), "page": PAGE}
    if not report.scenes:
        clip = clip or ClipAttributes.load(folder / dataset_folder.ATTRIBUTES)
        charts, sheet = _charts(folder, clip, report), _contact_sheet(folder, clip, report.num_train)
        parts |= {"charts": charts, "sheet": sheet, "pictures": _pictures(folder, clip)}
        parts |= {"tiles": _tiles(report), "figures": _figures(report), "jitter": _jitter(report), "colours": COLOURS}
        parts["longest_stage"] = max(report.seconds.values(), default=1.0) or 1.0
    with atomic_write(folder / PAGE) as partial:
        partial.write_text(page_template(Path(__file__).parent).render(parts), encoding="utf-8")


def _tiles(report: Report) -> list[tuple[str, str, str]]:
    """The few figures that matter most: name, value, explanation."""
    rate = f"{60 * report.blinks_per_second:.0f} a minute"
    return [
        ("Length", f"{report.frames / FRAME_RATE:.1f} s", f"{report.num_train / FRAME_RATE:.1f} s of it for training"),
        ("Face followed", f"{100 * report.followed():.1f} %", f"in {report.frames} frames"),
        ("Focal length", f"{report.focal_length:.2f}", "image widths"),
        (
            "Landmark error",
            f"{100 * report.error_of_eye_distance():.2f} %",
            f"of the eye distance, {report.eye_distance:.0f} px",
        ),
        ("Blinks", str(report.blinks), rate if report.blinks_seen else "none to learn from"),
        ("Speech", f"{100 * report.voice:.0f} %", f"of the time, at {report.loudness:.0f} dB"),
    ]


def _jitter(report: Report) -> list[tuple[str, float]]:
    """All figures of jitter, in pixels, the largest first."""
    named = {name: value for name, value in vars(report).items() if "jitter" in name and value}
    return [(name.replace("_", " "), value) for name, value in sorted(named.items(), key=lambda item: -item[1])]


def _figures(report: Report) -> list[tuple[str, str, str]]:
    """Every plain field of the report, those that are added later too: name, value, and what its docstring says."""
    notes, rows = _docstrings(), []
    for name, value in vars(report).items():
        if isinstance(value, bool):
            text = "yes" if value else "no"
        elif isinstance(value, float):
            text = f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
        elif isinstance(value, int | str):
            text = str(value)
        elif isinstance(value, list | tuple) and value and not isinstance(value[0], str):
            text = ", ".join(_span_or_number(part) for part in value)
        else:
            continue
        rows.append((name.replace("_", " "), text, notes.get(name, "")))
    return rows


def _span_or_number(value: float | list[float]) -> str:
    return f"{value:.5g}" if isinstance(value, int | float) else " to ".join(f"{part:.2f}" for part in value)


@cache
def _docstrings() -> dict[str, str]:
    """The docstrings under the fields of `Report`."""
    (definition,) = ast.parse(inspect.getsource(Report)).body
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
    """Evenly spaced frames."""
    sheet = []
    for number in np.unique(np.linspace(0, len(clip) - 1, FRAMES).round().astype(int)):
        marks = [
            *(["no face"] if clip.shot[number] < 0 else []),
            *(["interpolated"] if clip.shot[number] >= 0 and not clip.face_found[number] else []),
            *(["held out"] if number >= num_train else []),
        ]
        picture = landmarked(folder, number, clip.landmarks[number])
        sheet.append({"time": number / FRAME_RATE, "number": int(number), "marks": marks, "picture": picture})
    return sheet


def _pictures(folder: Path, clip: ClipAttributes) -> list[tuple[str, str]]:
    """What the renderer will see as the person, the torso and the scene."""
    found = clip.face_found & (clip.shot >= 0)
    number = int(np.flatnonzero(found)[found.sum() // 3])
    return [
        (f"Person in frame {number}", cut_out(folder, number, torso=False)),
        ("Its torso", cut_out(folder, number, torso=True)),
        ("Background without the person", picture_of(folder / dataset_folder.BACKGROUND)),
    ]


def _charts(folder: Path, clip: ClipAttributes, report: Report) -> list[Chart]:
    duration = len(clip) / FRAME_RATE
    usable = clip.shot >= 0
    spans = _spans(clip, report.num_train)

    def seen(values: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        return np.where(usable, values, np.nan)

    angles = Rotation.from_matrix(clip.head_to_camera[:, :3, :3].astype(float)).as_euler("YXZ", degrees=True)
    place = clip.head_to_camera[:, :3, 3] * [1, 1, -1]
    place = place - np.median(place[usable], axis=0)
    in_widths = 100 * report.focal_length
    shift, shift_deviation = clip.torso_motion[:, :2] * in_widths, clip.torso_deviation[:, :2] * in_widths
    turn = np.stack([100 * np.expm1(clip.torso_motion[:, 2]), np.degrees(clip.torso_motion[:, 3])], 1)
    turn_deviation = clip.torso_deviation[:, 2:] * [100, np.degrees(1)]
    no_torso = [Span("lost", start, end, "torso lost") for start, end in _stretches(usable & ~clip.torso_found)]
    blinks = [Span("blink", a, c, f"blink, {a:.2f} to {c:.2f} s") for a, _, c in clip.blinks]
    voice = _stretches(clip.voice, 100.0)
    speech = [Span("voice", start, end) for start, end in voice]
    audio = wav_extremes(folder / dataset_folder.AUDIO, WAVE)
    audio /= max(float(np.abs(audio).max()), 1e-6)
    mouth = seen(clip.mouth_opening)

    def chart(title: str, unit: str, series: list[Series], more: list[Span] | None = None, **options: Any) -> Chart:
        return Chart(title, unit, duration, series, [*(more or []), *spans], **options)

    def lines(names: str, values: np.ndarray, deviation: np.ndarray | None = None) -> list[Series]:
        bands = [None] * values.shape[1] if deviation is None else [DEVIATIONS * column for column in deviation.T]
        columns = zip(names.split(","), values.T, bands, strict=True)
        return [Series(name, seen(column), i, band) for i, (name, column, band) in enumerate(columns)]

    torso = [
        chart("Torso shift", "% of the image's width", lines("right,up", shift, shift_deviation), no_torso),
        chart("Torso scale and tilt", "% and degrees", lines("scale,tilt", turn, turn_deviation), no_torso),
    ]
    return [
        chart("Head rotation", "degrees", lines("yaw,pitch,roll", angles)),
        chart("Head position", "eye distances from the usual place", lines("right,up,depth", place)),
        *(torso if clip.torso_found.any() else []),
        chart("Eye opening", "0 closed to 1 open", lines("left,right", clip.eye_opening), blinks, limits=(-0.04, 1.08)),
        chart(
            "Sound and mouth",
            "waveform, full scale 1",
            [
                Series("sound", audio, 3, filled=True),
                Series("mouth opening", mouth, 1, scale=1.1 * max(float(np.nanmax(mouth)), 1e-6)),
            ],
            speech,
            limits=(-1.05, 1.05),
            tall=True,
        ),
        chart("Loudness", "dB of full scale", [Series("loudness", clip.loudness, 0)], speech),
    ]


def _spans(clip: ClipAttributes, num_train: int) -> list[Span]:
    """What concerns all curves: held-out end, lost faces, cuts."""
    duration, usable = len(clip) / FRAME_RATE, clip.shot >= 0
    border = [Span("held-out", num_train / FRAME_RATE, duration, "held out")] if num_train < len(clip) else []
    left_out = [Span("left-out", *span, "left out: no face") for span in _stretches(~usable)]
    lost = [Span("lost", *span, "face interpolated") for span in _stretches(usable & ~clip.face_found)]
    starts = np.flatnonzero((np.diff(clip.shot) != 0) & usable[1:] & usable[:-1]) + 1
    cuts = [Span("cut", number / FRAME_RATE, number / FRAME_RATE, "cut") for number in starts]
    return [*border, *left_out, *lost, *cuts]


def _stretches(marked: Bool[np.ndarray, " N"], rate: float = FRAME_RATE) -> list[tuple[float, float]]:
    """From when to when, in seconds, something is marked."""
    edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0)) / rate
    return [(float(start), float(end)) for start, end in edges.reshape(-1, 2)]
