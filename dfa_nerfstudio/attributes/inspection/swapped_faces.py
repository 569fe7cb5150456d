"""Faces with their mouth or their eyes taken from another one, as D_L draws them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingAutoencoder
from dfa_nerfstudio.attributes.inspection.inspection_subject import Subject
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.face.landmarks_68 import LIPS, compose, lip_gap

SCALE = 100
"""Units of a drawing to the distance of the outer eye corners."""
UPPER = tuple((range(*ends), closed) for *ends, closed in ((17, 22, 0), (22, 27, 0), (36, 42, 1), (42, 48, 1)))
LOWER = tuple(
    (range(*ends), closed) for *ends, closed in ((0, 17, 0), (27, 31, 0), (31, 36, 0), (48, 60, 1), (60, 68, 1))
)
"""Landmarks that a line runs through, and whether it is closed."""
BROWS = slice(17, 27)


@dataclass
class Face:
    """One drawing."""

    title: str
    made: Float[Tensor, "68 3"]
    """By the decoder, head space."""
    true: Float[Tensor, "68 3"]
    colours: tuple[int, int]
    """Numbers of the CSS classes of brows and eyes, and of all else: whose they are."""

    @property
    def error(self) -> float:
        """Mean distance of a landmark from its true place, in percent of the distance of the outer eye corners."""
        return 100 * float((self.made - self.true).norm(dim=-1).mean())

    @property
    def svg(self) -> str:
        """The decoder's face over the true one."""
        upper, lower = self.colours
        return (
            f'<path class="truth" d="{_lines(self.true, UPPER + LOWER)}"/>'
            f'<path class="line c{lower}" d="{_lines(self.made, LOWER)}"/>'
            f'<path class="line c{upper}" d="{_lines(self.made, UPPER)}"/>'
        )


@dataclass
class Pair:
    """Face A, face B, and A with each part of B."""

    title: str
    faces: list[Face]

    @property
    def view(self) -> str:
        """`viewBox` that shows all of them at one scale."""
        places = np.concatenate([_places(face.true) for face in self.faces])
        low, high = places.min(0) - 8, places.max(0) + 8
        return " ".join(f"{value:.1f}" for value in (*low, *(high - low)))


def swap_gallery(subject: Subject, others: list[Recording]) -> list[Pair]:
    """Pairs of frames that differ most in what a swap should keep apart, one with another person if there is one."""
    rows = subject.rows(subject.shown)
    faces = subject.landmarks[rows]
    mouth, eyes = lip_gap(faces)[:, 0], torch.from_numpy(subject.clip.eye_opening)[rows].mean(-1)
    width = faces[:, LIPS, 0].amax(-1) - faces[:, LIPS, 0].amin(-1)
    brows = faces[:, BROWS, 1].mean(-1)
    pairs = [
        ("A blinks, B opens the mouth widest", int(eyes.argmin()), int(mouth.argmax())),
        ("A spreads the lips widest, B narrows them most", int(width.argmax()), int(width.argmin())),
        ("A raises the brows highest, B lowers them most", int(brows.argmax()), int(brows.argmin())),
        ("Any two frames", len(faces) // 4, 3 * len(faces) // 4),
    ]
    model = subject.models.autoencoder
    gallery = []
    for title, a, b in pairs:
        times = [int(rows[index]) for index in (a, b)]
        gallery.append(swapped(model, faces[a], faces[b], f"{title} (frames {times[0]} and {times[1]})"))
    if others:
        stranger = _open_mouthed(subject.models, others[0])
        title = f"A blinks, B is {others[0].name} with the identity of A"
        gallery.append(swapped(model, faces[int(eyes.argmin())], stranger, title))
    return gallery


def _open_mouthed(models: SpeechModels, recording: Recording) -> Float[Tensor, "68 3"]:
    faces = models.faces(recording)[recording.useful]
    return faces[int(lip_gap(faces).argmax())]


@torch.no_grad()
def swapped(
    model: DisentanglingAutoencoder, face_a: Float[Tensor, "68 3"], face_b: Float[Tensor, "68 3"], title: str
) -> Pair:
    """Both faces rebuilt, and A with the mouth and with the eyes of B, each beside what is composed of the two."""
    (mouth_a, mouth_b), (eye_a, eye_b) = (list(part) for part in model.encode(torch.stack([face_a, face_b])))
    made = model.decode(torch.stack([mouth_a, mouth_b, mouth_b, mouth_a]), torch.stack([eye_a, eye_b, eye_a, eye_b]))
    true = (face_a, face_b, compose(face_a, face_b), compose(face_b, face_a))
    titles = ("A", "B", "A with the mouth of B", "A with the eyes of B")
    colours = ((0, 0), (1, 1), (0, 1), (1, 0))
    return Pair(title, [Face(*parts) for parts in zip(titles, made, true, colours, strict=True)])


def _places(face: Float[Tensor, "68 3"]) -> Float[np.ndarray, "68 2"]:
    """From head space to a drawing, whose vertical axis points down."""
    return (face[:, :2] * torch.tensor([SCALE, -SCALE])).numpy()


def _lines(face: Float[Tensor, "68 3"], parts: tuple[tuple[range, int], ...]) -> str:
    places = _places(face)
    drawn = []
    for part, closed in parts:
        drawn.append("M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in places[part]) + "Z" * closed)
    return "".join(drawn)
