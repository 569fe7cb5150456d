"""Measures how well frames with a covered mouth or covered eyes are found: occluders drawn before the demo subject."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from benchmarks.record import Row, record_header, write_record
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip
from dfa_nerfstudio.face.landmark_tracker import FaceMeshTracker
from dfa_nerfstudio.face.topology import EYE_CONTOURS, MOUTH_SPAN, OUTER_EYE_CORNERS
from dfa_nerfstudio.media.frame_rows import TemporaryFiles
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.preprocessing.segmentation.occlusion import FacePatches

Occluder = Literal["hand", "microphone", "paper", "hair"]
Place = Literal["mouth", "eyes", "one eye"]
SPANS = ((4.0, 6.5), (11.0, 12.0), (19.2, 20.7))
"""Times in seconds in which something is covered; the last one is held out."""
FADE_S = 0.3
"""Seconds in which an occluder moves in and out."""
COVERED, CLEAR = 0.5, 0.02
"""Share of the pixels of the covered place from which a frame counts as covered, and of lips and eyes up to which it
counts as clear. Frames between the two are not scored."""


@dataclass
class OcclusionBenchmark:
    """Recall and precision of frames with something covered, by occluder and place."""

    shared: Path = Path("../shared")
    """Not used: the demo subject is synthetic."""
    occluders: tuple[Occluder, ...] = ("hand", "microphone", "paper", "hair")
    """What is drawn."""
    places: tuple[Place, ...] = ("mouth", "eyes", "one eye")
    """What it covers."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Random seeds of the demo subject, with yaw up to 20 degrees and pitch up to 12."""
    seconds: float = 21.0
    """Length of each clip in seconds; its last tenth is held out."""
    output: Path = Path("outputs/bench/occlusion")
    """Working folder, with a contact sheet for each row."""

    def run(self) -> None:
        """Measures everything and writes the record."""
        head, rows = record_header("cpu"), list[Row]()
        self.output.mkdir(parents=True, exist_ok=True)
        cases = [(occluder, place) for place in self.places for occluder in self.occluders]
        counts: dict[tuple[str, str], list[Counts]] = {case: [] for case in (*cases, ("nothing", ""))}
        for seed in self.seeds:
            clip = self.output / f"demo_{seed}.mp4"
            make_clip(clip, ClipConfig(seconds=self.seconds, seed=seed, size=256, yaw=20.0, pitch=12.0))
            images = [to_rgb(frame) for frame in Video(clip).frames()]
            tracker = FaceMeshTracker(1)
            marks = [face.landmarks[:, :2] * len(images[0]) for face in map(tracker.track, images) if face is not None]
            for (occluder, place), found in counts.items():
                sheet = self.output / f"{occluder}_{place.replace(' ', '_')}_{seed}.png"
                found.append(_detect(images, marks, occluder, place, seed, sheet))
        for (occluder, place), found in counts.items():
            hit, hit_there, covered, marked = np.sum(found, axis=0)
            rows.append(
                {
                    "occluder": occluder,
                    "before": place,
                    "clips": len(found),
                    "covered frames": int(covered),
                    "recall": hit / covered if covered else "",
                    "named by its place": hit_there / covered if covered else "",
                    "precision": hit / marked if marked else "",
                    "false frames": int(marked - hit),
                }
            )
        write_record("occlusion_cpu", head, {"demo subject, 256x256": rows})


Counts = tuple[int, int, int, int]
"""Numbers of covered frames found, found by the region that is covered, all covered frames, and marked frames that are
scored."""


def _detect(
    images: list[np.ndarray], marks: list[np.ndarray], occluder: str, place: str, seed: int, sheet: Path
) -> Counts:
    tracker, patches, shown = FaceMeshTracker(1), FacePatches(len(images), TemporaryFiles(sheet.parent)), []
    shares, touched = np.zeros((2, len(images)))
    generator = np.random.default_rng(seed)
    for number, (image, points) in enumerate(zip(images, marks, strict=True)):
        drawn, shares[number], touched[number] = draw_occluder(
            image, points, occluder, place, number / FRAME_RATE, generator
        )
        face = tracker.track(drawn)
        patches.add(drawn, None if face is None else face.landmarks)
        if number % 12 == 0:
            shown.append(drawn)
    train = np.arange(len(images)) < 0.9 * len(images)
    mouth, eyes = patches.covered(train)
    lost = ~patches.found  # a face that is not found teaches nothing
    marked, there = mouth | eyes | lost, (mouth if place == "mouth" else eyes) | lost
    scored = (shares >= COVERED) | (touched <= CLEAR)
    covered = shares >= COVERED
    rows = [np.hstack(shown[start : start + 8]) for start in range(0, len(shown) // 8 * 8, 8)]
    cv2.imwrite(str(sheet), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    found, named = int((marked & covered).sum()), int((there & covered).sum())
    return found, named, int(covered.sum()), int((marked & scored).sum())


def draw_occluder(
    image: UInt8[np.ndarray, "S S 3"],
    points: Float[np.ndarray, "478 2"],
    occluder: str,
    place: str,
    seconds: float,
    generator: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "S S 3"], float, float]:
    """Draws an occluder at its time; returns the image, the share of the place that it covers, and the largest share of
    lips, one eye or both eyes."""
    presence = max(min((seconds - first) / FADE_S, (last - seconds) / FADE_S, 1.0) for first, last in SPANS)
    if occluder == "nothing" or presence <= 0:
        return image, 0.0, 0.0
    unit = float(np.linalg.norm(np.subtract(*points[list(OUTER_EYE_CORNERS)])))
    centre = points[np.concatenate(_TARGETS[place])].mean(0)
    centre = centre + (1 - presence) * np.array([0.3, 1.8]) * unit  # it comes from below
    centre = centre + 0.04 * unit * np.array([np.sin(7 * seconds), np.cos(9 * seconds)])
    alpha = _shape(occluder, centre, unit, len(image), width=2.0 if place == "eyes" else 1.0)
    colour = _COLOURS[occluder]
    rows, columns = np.indices(alpha.shape)
    shade = 1 + 0.25 * (columns - centre[0]) / unit - 0.15 * (rows - centre[1]) / unit
    texture = np.clip(np.array(colour) * shade[..., None] + generator.normal(0, 5, image.shape), 0, 255)
    drawn = (image + alpha[..., None] * (texture - image)).round().astype(np.uint8)
    shares = {name: _covered_share(alpha, [points[part] for part in parts]) for name, parts in _TARGETS.items()}
    return drawn, shares[place], max(shares.values())


def _covered_share(alpha: Float[np.ndarray, "S S"], targets: list[Float[np.ndarray, "n 2"]]) -> float:
    area = np.zeros(alpha.shape, np.uint8)
    for target in targets:
        cv2.fillConvexPoly(area, cv2.convexHull(target.round().astype(np.int32)), 1)
    return float(alpha[cv2.dilate(area, np.ones((3, 3), np.uint8)) > 0].mean())


_TARGETS = {"mouth": [list(MOUTH_SPAN)], "eyes": list(EYE_CONTOURS), "one eye": [EYE_CONTOURS[0]]}
_COLOURS = {"hand": (196, 150, 125), "microphone": (35, 35, 40), "paper": (228, 226, 220), "hair": (70, 48, 34)}


def _shape(
    occluder: str, centre: Float[np.ndarray, "2"], unit: float, size: int, width: float
) -> Float[np.ndarray, "S S"]:
    """Opacity of an occluder, with soft edges, stretched sideways by `width`."""
    mask = np.zeros((size, size), np.uint8)

    def ellipse(x: float, y: float, half_width: float, half_height: float, angle: float) -> None:
        place = tuple(round(value) for value in centre + np.array([width * x, y]) * unit)
        axes = max(int(width * half_width * unit), 1), max(int(half_height * unit), 1)
        cv2.ellipse(mask, place, axes, angle, 0, 360, 255, -1, cv2.LINE_AA)

    for part in _PARTS[occluder]:
        ellipse(*part)
    return cv2.GaussianBlur(mask, (0, 0), 0.012 * unit + 0.5).astype(np.float64) / 255


_PARTS = {
    "hand": [
        (0.0, 0.25, 0.34, 0.32, 0),
        *((0.16 * x, -0.12, 0.08, 0.34, 6 * x) for x in (-2, -1, 0, 1)),
        (0.2, 0.9, 0.24, 0.6, 0),
    ],
    "microphone": [(0.0, 0.0, 0.34, 0.34, 0), (0.1, 0.8, 0.09, 0.75, -8)],
    "paper": [(0.0, 0.3, 0.75, 0.6, 0)],
    "hair": [(0.09 * x, 0.02 * x * x, 0.045, 0.75, 4 * x) for x in range(-5, 6)],
}
"""Ellipses of each occluder: centre, radii and angle, in eye distances and degrees."""
