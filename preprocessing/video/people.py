"""Chooses the person of a video that shows several: by place, by size, or by whose lips follow the voice."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from dfa_nerfstudio.face.landmark_tracker import FaceMeshTracker
from dfa_nerfstudio.face.mouth_aperture import lip_gap
from dfa_nerfstudio.media.audio import read_wav
from dfa_nerfstudio.media.images import resize_square
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.preprocessing.process_config import Person
from dfa_nerfstudio.preprocessing.video.crop import MAX_FACE_DISTANCE, SquareCrop, main_face_boxes

MIN_SHARE = 0.3
"""Share of the sampled frames with a face that a person must be in."""
MAX_SECONDS = 30.0
"""Seconds in which lips are compared with the voice."""
CROP_TO_FACE = 1.8
"""Side of the image in which lips are tracked, in face heights."""
TRACKING_SIZE = 256
"""Largest side of that image in pixels."""

Boxes = Float[np.ndarray, "N 4"]


@dataclass
class ChosenPerson:
    """The person who becomes the dataset."""

    boxes: Boxes
    """The person's face boxes, see `main_face_boxes`; N = 0 if the video shows no face."""
    note: str = ""
    """What was chosen and why, for the report; empty if the video shows one person."""


def choose_person(
    faces: list[Float[np.ndarray, "F 4"]], wanted: Person, video: Video, scene: range, audio: Path
) -> ChosenPerson:
    """Chooses among the people of a scene.

    Args:
        faces: boxes of the faces in each sampled training frame.
        wanted: the option.
        video: the video.
        scene: the training frames.
        audio: the audio of the whole video, a file of `write_wav`.
    """
    people = find_people(faces)
    if len(people) < 2:
        return ChosenPerson(people[0] if people else np.zeros((0, 4)))
    middles = np.array([np.median(boxes[:, 0]) for boxes in people])
    places = _places(middles)
    if wanted == "speaking":
        return _speaking(people, places, video, scene, audio)
    number = {"largest": 0, "left": int(middles.argmin()), "right": int(middles.argmax())}[wanted]
    return ChosenPerson(people[number], f"the video shows {len(people)} people; the one {places[number]} is used")


def find_people(faces: list[Float[np.ndarray, "F 4"]]) -> list[Boxes]:
    """Boxes of each person, the one with the largest total face height first."""
    people, rest = list[Boxes](), [boxes for boxes in faces if len(boxes)]
    num_frames = len(rest)
    while rest:
        person = main_face_boxes(rest)
        if len(person) < MIN_SHARE * num_frames and people:
            break
        people.append(person)
        centre, height = np.median(person[:, :2], axis=0), np.median(person[:, 3])
        others = [boxes[np.hypot(*(boxes[:, :2] - centre).T) >= MAX_FACE_DISTANCE * height] for boxes in rest]
        rest = [boxes for boxes in others if len(boxes)]
    return people


def _places(middles: Float[np.ndarray, " P"]) -> list[str]:
    """Where each person is, in words."""
    order = middles.argsort().argsort()
    if len(middles) == 2:
        return [f"on the {('left', 'right')[rank]}" for rank in order]
    return [f"{rank + 1}. from the left" for rank in order]


def _speaking(people: list[Boxes], places: list[str], video: Video, scene: range, audio: Path) -> ChosenPerson:
    """The person whose lips follow the voice best; the largest one if nobody's do."""
    from dfa_nerfstudio.attributes.lips.voice_match import VoiceMatch, predict_lip_gap  # imports torch

    frames = scene[: round(MAX_SECONDS * FRAME_RATE)]
    samples = slice(*(round(frame / FRAME_RATE * SAMPLE_RATE) for frame in (frames.start, frames.stop)))
    predicted = predict_lip_gap([read_wav(audio, samples.start, samples.stop)])
    matches = [VoiceMatch.of(predicted, *lips) for lips in _track_lips(people, video, frames)]
    scores = np.nan_to_num([match.correlation for match in matches], nan=-1.0)
    number = int(scores.argmax())
    others = ", ".join(f"{places[n]} {scores[n]:.2f}" for n in range(len(people)) if n != number)
    if not matches[number].fits or np.isnan(matches[number].correlation):
        return ChosenPerson(
            people[0],
            f"the video shows {len(people)} people, and the voice fits nobody's lips (correlation "
            f"{places[number]} {scores[number]:.2f}, {others}); the largest one is used; choose with `person`",
        )
    return ChosenPerson(
        people[number],
        f"the video shows {len(people)} people; the voice follows the lips of the one {places[number]} (correlation "
        f"{scores[number]:.2f}; {others}), who is used; choose another one with `person`",
    )


def _track_lips(
    people: list[Boxes], video: Video, frames: range
) -> list[tuple[Float[np.ndarray, " T"], Bool[np.ndarray, " T"]]]:
    """Gap between the inner lips over the eye distance, and whether the face is found, of each person."""
    trackers = [FaceMeshTracker(1) for _ in people]
    crops = list[SquareCrop]()
    gaps = np.zeros((len(people), len(frames)))
    found = np.zeros((len(people), len(frames)), bool)
    for number, frame in enumerate(islice(video.frames(), frames.start, frames.stop)):
        image = to_rgb(frame)
        crops = crops or [_face_crop(boxes, image.shape[1], image.shape[0]) for boxes in people]
        for person, (tracker, crop) in enumerate(zip(trackers, crops, strict=True)):
            face = tracker.track(resize_square(crop.apply(image), min(crop.side, TRACKING_SIZE)))
            if face is not None:
                gaps[person, number], found[person, number] = lip_gap(face.landmarks[:, :2]), True
    return list(zip(gaps, found, strict=True))


def _face_crop(boxes: Boxes, width: int, height: int) -> SquareCrop:
    """A square around the face wherever it moves, within the frame."""
    centre, size = np.median(boxes[:, :2], axis=0), float(np.median(boxes[:, 3]))
    ranges = np.ptp(np.percentile(boxes[:, :2], [2, 98], axis=0), axis=0)
    side = min(round(CROP_TO_FACE * size + float(ranges.max())), width, height)
    left, top = np.round(centre - side / 2).astype(int)
    return SquareCrop(int(np.clip(left, 0, width - side)), int(np.clip(top, 0, height - side)), side)
