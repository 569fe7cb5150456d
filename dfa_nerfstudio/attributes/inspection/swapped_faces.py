"""Drawings of faces whose mouth or eye embedding is swapped with that of another face, decoded by D_L."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingAutoencoder
from dfa_nerfstudio.attributes.inspection.inspection_subject import InspectionSubject
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.face.landmarks_68 import LIPS_68, compose_face, lip_gap

SCALE = 100
"""Units of a drawing per outer eye corner distance."""
UPPER_LINES = tuple((range(*ends), closed) for *ends, closed in ((17, 22, 0), (22, 27, 0), (36, 42, 1), (42, 48, 1)))
"""Landmarks of each line of brows and eyes, and whether the line is closed."""
LOWER_LINES = tuple(
    (range(*ends), closed) for *ends, closed in ((0, 17, 0), (27, 31, 0), (31, 36, 0), (48, 60, 1), (60, 68, 1))
)
"""The same for jaw, nose and lips."""
BROWS_68 = slice(17, 27)
"""Brows among the 68 landmarks."""


@dataclass
class FaceDrawing:
    """A decoded face over the true one."""

    title: str
    decoded: Float[Tensor, "68 3"]
    """Landmarks by the decoder, in head space."""
    true: Float[Tensor, "68 3"]
    """True landmarks in head space; for a swap those composed of two faces."""
    colours: tuple[int, int]
    """Numbers of the CSS classes of brows and eyes and of the rest, which identify the face that they are from."""

    @property
    def error(self) -> float:
        """Mean distance of a decoded landmark from the true one, in percent of the outer eye corner distance."""
        return 100 * float((self.decoded - self.true).norm(dim=-1).mean())

    @property
    def svg(self) -> str:
        """SVG paths of both faces."""
        upper, lower = self.colours
        return (
            f'<path class="truth" d="{_path(self.true, UPPER_LINES + LOWER_LINES)}"/>'
            f'<path class="line c{lower}" d="{_path(self.decoded, LOWER_LINES)}"/>'
            f'<path class="line c{upper}" d="{_path(self.decoded, UPPER_LINES)}"/>'
        )


@dataclass
class FaceSwap:
    """Drawings of face A, face B, and A with the mouth and with the eyes of B."""

    title: str
    faces: list[FaceDrawing]

    @property
    def view_box(self) -> str:
        """SVG `viewBox` that shows all drawings at one scale."""
        points = np.concatenate([_to_drawing(face.true) for face in self.faces])
        low, high = points.min(0) - 8, points.max(0) + 8
        return " ".join(f"{value:.1f}" for value in (*low, *(high - low)))


def swap_gallery(subject: InspectionSubject, reference_clips: list[Recording]) -> list[FaceSwap]:
    """Swaps between frames with opposite expressions and, if there is a reference clip, with another person."""
    rows = subject.valid_indices(subject.inspected)
    faces = subject.landmarks[rows]
    mouth, eyes = lip_gap(faces)[:, 0], torch.from_numpy(subject.clip.eye_opening)[rows].mean(-1)
    width = faces[:, LIPS_68, 0].amax(-1) - faces[:, LIPS_68, 0].amin(-1)
    brows = faces[:, BROWS_68, 1].mean(-1)
    pairs = [
        ("A blinks, B opens the mouth widest", int(eyes.argmin()), int(mouth.argmax())),
        ("A has the widest lips, B the narrowest", int(width.argmax()), int(width.argmin())),
        ("A has the highest brows, B the lowest", int(brows.argmax()), int(brows.argmin())),
        ("Any two frames", len(faces) // 4, 3 * len(faces) // 4),
    ]
    model = subject.models.autoencoder
    gallery = []
    for title, a, b in pairs:
        numbers = [int(rows[index]) for index in (a, b)]
        gallery.append(swap_faces(model, faces[a], faces[b], f"{title} (frames {numbers[0]} and {numbers[1]})"))
    if reference_clips:
        other = _open_mouthed_face(subject.models, reference_clips[0])
        title = f"A blinks, B is {reference_clips[0].name} with the identity of A"
        gallery.append(swap_faces(model, faces[int(eyes.argmin())], other, title))
    return gallery


def _open_mouthed_face(models: SpeechModels, recording: Recording) -> Float[Tensor, "68 3"]:
    faces = models.faces(recording)[recording.valid_frames]
    return faces[int(lip_gap(faces).argmax())]


@torch.no_grad()
def swap_faces(
    model: DisentanglingAutoencoder, face_a: Float[Tensor, "68 3"], face_b: Float[Tensor, "68 3"], title: str
) -> FaceSwap:
    """Reconstructs both faces, and A with the mouth and with the eyes of B, each over the face that is composed."""
    (mouth_a, mouth_b), (eye_a, eye_b) = (list(part) for part in model.encode(torch.stack([face_a, face_b])))
    decoded = model.decode(torch.stack([mouth_a, mouth_b, mouth_b, mouth_a]), torch.stack([eye_a, eye_b, eye_a, eye_b]))
    true = (face_a, face_b, compose_face(face_a, face_b), compose_face(face_b, face_a))
    titles = ("A", "B", "A with the mouth of B", "A with the eyes of B")
    colours = ((0, 0), (1, 1), (0, 1), (1, 0))
    return FaceSwap(title, [FaceDrawing(*parts) for parts in zip(titles, decoded, true, colours, strict=True)])


def _to_drawing(face: Float[Tensor, "68 3"]) -> Float[np.ndarray, "68 2"]:
    """Projects head space to the drawing, whose vertical axis points down."""
    return (face[:, :2] * torch.tensor([SCALE, -SCALE])).numpy()


def _path(face: Float[Tensor, "68 3"], lines: tuple[tuple[range, int], ...]) -> str:
    points = _to_drawing(face)
    paths = []
    for line, closed in lines:
        paths.append("M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points[line]) + "Z" * closed)
    return "".join(paths)
