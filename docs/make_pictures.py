"""Draws docs/pictures: the demo subject, filmed well and badly, and what dfa-process finds in it.

`python docs/make_pictures.py` writes them anew. Nobody else is shown: the subject is a public-domain portrait.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from rich.console import Console

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.occlusion import draw_occluder  # noqa: E402
from dfa_nerfstudio.data.dataset_folder import DatasetFolder, image_path, mask_path  # noqa: E402
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip  # noqa: E402
from dfa_nerfstudio.face.topology import MOUTH_SPAN, OUTER_EYE_CORNERS  # noqa: E402
from dfa_nerfstudio.media.images import read_image, read_mask  # noqa: E402
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig  # noqa: E402
from dfa_nerfstudio.preprocessing.process_video import process_video  # noqa: E402
from dfa_nerfstudio.preprocessing.report.report_images import draw_landmarks  # noqa: E402

PICTURES = Path(__file__).with_name("pictures")
SIDE = 320
"""Side of a picture in pixels."""
GOOD, BAD = (46, 160, 67), (207, 34, 46)
"""Colours of the marks, RGB."""
COVERED_S = 5.0
"""Time, in seconds, at which `benchmarks.occlusion` draws an occluder at its full size."""

Image = UInt8[np.ndarray, "S S 3"]
Matte = Float[np.ndarray, "S S 1"]
Landmarks = Float[np.ndarray, "478 2"]


def good(image: Image, matte: Matte, landmarks: Landmarks) -> Image:
    """The frame as it is."""
    return image


def far(image: Image, matte: Matte, landmarks: Landmarks) -> Image:
    """The person at two fifths of its size, down to the collar."""
    side = len(image)
    small, height = round(0.4 * side), round(0.7 * 0.4 * side)
    person, alpha = (
        cv2.resize(values.astype(np.float32), (small, small), interpolation=cv2.INTER_AREA)[:height]
        for values in (image, matte)
    )
    canvas = _background(image, matte)
    place = np.s_[side - height :, (side - small) // 2 : (side - small) // 2 + small]
    canvas[place] += alpha[..., None] * (person - canvas[place])
    return canvas.round().astype(np.uint8)


def near(image: Image, matte: Matte, landmarks: Landmarks) -> Image:
    """A part of the frame: forehead and chin are outside."""
    return _enlarge(image, landmarks.mean(0) + np.array([0.0, 0.02]) * len(image), 0.145)


def edge(image: Image, matte: Matte, landmarks: Landmarks) -> Image:
    """A part of the frame whose edge cuts the face."""
    return _enlarge(image, landmarks.mean(0) + np.array([-0.235, 0.05]) * len(image), 0.25)


def dark(image: Image, matte: Matte, landmarks: Landmarks) -> Image:
    """Little light, and the noise that a camera adds then."""
    noise = np.random.default_rng(0).normal(0, 9, image.shape)
    return (0.2 * image + noise).clip(0, 255).round().astype(np.uint8)


def backlight(image: Image, matte: Matte, landmarks: Landmarks) -> Image:
    """A window behind the person: bright background, dark face."""
    glow = cv2.GaussianBlur(1 - matte.astype(np.float32), (0, 0), 0.04 * len(image))[..., None]
    lit = (1 - matte) * 250 + matte * (0.22 * image) + 70 * glow * matte
    return lit.clip(0, 255).round().astype(np.uint8)


def hand(image: Image, matte: Matte, landmarks: Landmarks) -> Image:
    """A hand before the mouth."""
    drawn, *_ = draw_occluder(
        _rod(image, landmarks, 0.36, (186, 141, 117)), landmarks, "hand", "mouth", COVERED_S, np.random.default_rng(0)
    )
    return drawn


def microphone(image: Image, matte: Matte, landmarks: Landmarks) -> Image:
    """A microphone before the mouth."""
    drawn, *_ = draw_occluder(
        _rod(image, landmarks, 0.14, (35, 35, 40)),
        landmarks,
        "microphone",
        "mouth",
        COVERED_S,
        np.random.default_rng(0),
    )
    return drawn


def blurred(image: Image, matte: Matte, landmarks: Landmarks) -> Image:
    """Out of focus."""
    return cv2.GaussianBlur(image, (0, 0), 0.016 * len(image))


FLAWS: dict[str, Callable[[Image, Matte, Landmarks], Image]] = {
    function.__name__: function for function in (good, far, near, edge, dark, backlight, hand, microphone, blurred)
}
"""How a frame of the demo subject becomes a picture."""


def _covered(image: Image, landmarks: Landmarks, occluder: Literal["hand", "microphone"]) -> Image:
    """An occluder of the benchmark before the mouth."""
    return draw_occluder(image, landmarks, occluder, "mouth", COVERED_S, np.random.default_rng(0))[0]


def _enlarge(image: Image, centre: Float[np.ndarray, "2"], half: float) -> Image:
    """A square of a frame, enlarged to its size; `half` of the square's side is in sides of the frame."""
    side = len(image)
    width = round(2 * half * side)
    left, top = (min(max(round(float(value) - half * side), 0), side - width) for value in centre)
    part = image[top : top + width, left : left + width]
    return cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC)


def _rod(image: Image, landmarks: Landmarks, width: float, colour: tuple[int, int, int]) -> Image:
    """An arm, or a stand, from below the mouth to the lower edge; its width is in eye distances."""
    unit = float(np.linalg.norm(np.subtract(*landmarks[list(OUTER_EYE_CORNERS)])))
    x, y = landmarks[list(MOUTH_SPAN)].mean(0)
    ends = [(x + 0.17 * unit, y + 0.9 * unit), (x + 0.3 * unit, float(len(image)))]
    canvas = image.copy()
    points = [np.array(end).round().astype(int) for end in ends]
    cv2.line(canvas, points[0], points[1], colour, round(width * unit), cv2.LINE_AA)
    return canvas


def _background(image: Image, matte: Matte) -> Float[np.ndarray, "S S 3"]:
    """The wall behind the person."""
    hole = cv2.dilate((matte[..., 0] > 0.02).astype(np.uint8), np.ones((15, 15), np.uint8))
    small = cv2.inpaint(cv2.resize(image, (96, 96)), cv2.resize(hole, (96, 96)), 3, cv2.INPAINT_TELEA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), 4), image.shape[1::-1]).astype(np.float32)


def _mark(image: Image, is_good: bool) -> Image:
    """Draws a tick or a cross into the lower left corner."""
    size = len(image)
    centre, radius = (round(0.11 * size), round(0.89 * size)), round(0.075 * size)
    canvas = image.copy()
    cv2.circle(canvas, centre, radius, (255, 255, 255), -1, cv2.LINE_AA)
    cv2.circle(canvas, centre, radius - 2, GOOD if is_good else BAD, -1, cv2.LINE_AA)

    def line(*points: tuple[float, float]) -> None:
        ends = [np.array([centre[0] + x * radius, centre[1] + y * radius]).round().astype(int) for x, y in points]
        cv2.polylines(canvas, [np.array(ends)], False, (255, 255, 255), round(0.016 * size), cv2.LINE_AA)

    if is_good:
        line((-0.45, 0.02), (-0.12, 0.36), (0.46, -0.32))
    else:
        line((-0.36, -0.36), (0.36, 0.36))
        line((-0.36, 0.36), (0.36, -0.36))
    return canvas


def _save(name: str, image: Image) -> None:
    PICTURES.mkdir(exist_ok=True)
    image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) if len(image) > SIDE else image
    cv2.imwrite(str(PICTURES / f"{name}.webp"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, 82])


def main() -> None:
    """Renders a clip of the demo subject, processes it, and writes all pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clip(folder / "clip.mp4", ClipConfig(seconds=8.0, size=640, yaw=6.0, pitch=4.0, roll=2.0))
        make_clip(folder / "turned.mp4", ClipConfig(seconds=8.0, size=640, yaw=30.0, pitch=4.0))
        for clip in ("clip", "turned"):
            process_video(folder / f"{clip}.mp4", folder / clip, ProcessConfig(size=640), Console(quiet=True))
        data = DatasetFolder.open(folder / "clip")
        number = int(data.attributes.mouth_opening[:100].argmax())  # the subject speaks
        image = read_image(image_path(data.path, number))
        matte = read_mask(mask_path(data.path, number))[..., None] / 255.0
        marks = data.attributes.landmarks[number]
        for flaw, function in FLAWS.items():
            _save(flaw, _mark(function(image, matte, marks[:, :2].astype(float)), flaw == "good"))
        closed = int(data.attributes.eye_opening.mean(1).argmin())
        for title, frame in (("found", number), ("blink", closed)):
            uri = draw_landmarks(data.path, frame, data.attributes.landmarks[frame])
            content = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
            _save(title, cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))
        data = DatasetFolder.open(folder / "turned")
        aside = int(np.abs(data.attributes.head_to_camera[:, 0, 2]).argmax())
        _save("turned", _mark(read_image(image_path(data.path, aside)), False))


if __name__ == "__main__":
    main()
