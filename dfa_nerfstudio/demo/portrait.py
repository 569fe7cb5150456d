"""The portrait taken apart: background, torso, neck and head, with the depth of the head and its pose.

The portrait is `skimage.data.astronaut()` (NASA, public domain). Everything here is in *scene pixels*: a square of
`SCENE` pixels around head and shoulders, x to the right, y down, pixel centres at halves. What moves has `MARGIN` more
pixels on every side, so that shoulders that shift have more of themselves to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from jaxtyping import Float, Float32
from scipy.interpolate import RBFInterpolator

from dfa_nerfstudio.face.reference_face import reference_landmarks

SCENE = 300
"""Side of the scene, in pixels of the portrait."""
CORNER = np.array([77.0, -14.0])
"""Where the scene lies in the portrait: x, y of its corner. Above the portrait the background goes on."""
MARGIN = 30
"""Scene pixels around the scene in every texture and map."""
DETAIL = 2
"""Texture pixels per scene pixel: what is drawn on the face keeps sharp edges."""

FOUND = Path(__file__).parent / "portrait.npz"
"""What was found in the portrait once: landmarks and matte."""

OUTER_EYE_CORNERS = (33, 263)
RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 45, 275, 234, 454, 127, 356)
"""Landmarks that neither mouth nor lids move: eye corners, nose, temples. Their centroid is head space's origin."""
JAW = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454)
_SIDES = ((33, 263), (133, 362), (234, 454), (58, 288), (127, 356))
_MIDLINE = (152, 10)
# Seen in the portrait, in its pixels: the neck's sides, reaching up behind the head, and the collar's edge.
_NECK = (
    *((188, 128), (187, 152), (187, 178), (198, 184), (213, 187)),
    *((234, 188), (253, 184), (256, 172), (259, 152), (259, 128)),
)
# The torso's upper outline, along the back of the helmet ring where head and neck hide it; then around its rest.
_TORSO = ((40, 170), (130, 148), (168, 148), (186, 152), (222, 159), (256, 171), (275, 177), (320, 200), (450, 260))
# What head and neck hide of the torso.
_HIDDEN = ((150, 160), (170, 153), (186, 152), (222, 159), (256, 173), (275, 190), (307, 316), (127, 316))


@dataclass
class Portrait:
    """The layers of the picture, from back to front, as RGBA textures with premultiplied alpha in [0, 1].

    S = SCENE DETAIL, M = SCENE + 2 MARGIN, W = M DETAIL.
    """

    background: Float32[np.ndarray, "S S 3"]
    torso: Float32[np.ndarray, "W W 4"]
    neck: Float32[np.ndarray, "W W 4"]
    head: Float32[np.ndarray, "W W 4"]
    """As photographed: smiling, eyes open."""
    relief: Float32[np.ndarray, "M M"]
    """How much farther than the eyes the head's surface is, in scene pixels (one head unit is `head_unit` of them)."""
    neck_weight: Float32[np.ndarray, "M M"]
    """How much the neck goes with the head (1) and with the torso (0)."""
    landmarks: Float[np.ndarray, "478 3"]
    """mediapipe's landmarks in scene pixels; z as `relief`."""

    @property
    def head_unit(self) -> float:
        """Distance of the outer eye corners in scene pixels."""
        left, right = self.landmarks[list(OUTER_EYE_CORNERS)]
        return float(np.linalg.norm(right - left))

    def unproject(self, points: Float[np.ndarray, "*n 3"], focal: float) -> Float[np.ndarray, "*n 3"]:
        """Scene pixels with relief to camera space, in head units (OpenGL axes).

        Args:
            points: x, y and relief.
            focal: focal length of the reference camera in scene pixels; the eyes are then `focal / head_unit` away.
        """
        depth = (focal + points[..., 2]) / self.head_unit
        x, y = ((points[..., i] - SCENE / 2) * depth / focal for i in (0, 1))
        return np.stack([x, -y, -depth], -1)

    def head_pose(self, focal: float) -> Float[np.ndarray, "4 4"]:
        """Head space to camera space in the portrait: x between the sides of the face, y from chin to forehead."""
        points = self.unproject(self.landmarks, focal)
        x = sum(points[right] - points[left] for left, right in _SIDES)
        y = points[_MIDLINE[1]] - points[_MIDLINE[0]]
        x = x / np.linalg.norm(x)
        y -= (y @ x) * x
        y = y / np.linalg.norm(y)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([x, y, np.cross(x, y)], 1)
        pose[:3, 3] = points[list(RIGID)].mean(0)
        return pose


@cache
def load_portrait() -> Portrait:
    """Takes the portrait apart; a second or two, then kept."""
    landmarks = reference_landmarks()
    with np.load(FOUND) as data:
        matte = data["matte"].astype(np.float32) / 255
    image = skimage.data.astronaut().astype(np.float32) / 255
    landmarks[:, :2] -= CORNER
    landmarks[:, 2] -= landmarks[list(OUTER_EYE_CORNERS), 2].mean()
    image, matte = _scene(image), _scene(matte)

    jaw = landmarks[list(JAW), :2]
    left, right = jaw[2], jaw[-3]  # below the ears: all of the person above the line through them is head
    above = np.array([(left[0] - 200, left[1]), left, right, (right[0] + 200, right[1]), (SCENE + 99, -99), (-99, -99)])
    head = np.clip((matte - 0.3) / 0.6, 0, 1) * np.maximum(_polygon(above), _polygon(jaw))
    neck = _polygon(np.array(_NECK) - CORNER)
    outline = np.array([*_TORSO, (450, 400), (40, 400)]) - CORNER
    hidden = _grow(np.maximum(head, neck), 5)
    torso = np.where(hidden > 0.02, _polygon(np.array(_HIDDEN) - CORNER), matte) * _polygon(outline)

    clean_neck = (neck > 0.98) & (_grow(head, 2) < 0.02) & (_grow(1 - neck, 1) < 0.3)
    skin = cv2.GaussianBlur(fill(image, clean_neck), (0, 0), 2.0)
    shade = 1 - 0.35 * cv2.GaussianBlur(head, (0, 0), 2.5)  # of the jaw
    layers = {
        "torso": (fill(image, (matte > 0.97) & (hidden < 0.02)), torso),
        "neck": (skin * shade[..., None], neck),
        "head": (fill(image, _shrink(head, 1) > 0.9), head),
    }
    textures = {
        name: _enlarge(np.concatenate([colour * alpha[..., None], alpha[..., None]], -1))
        for name, (colour, alpha) in layers.items()
    }
    rows = np.arange(len(matte), dtype=np.float32)[:, None].repeat(len(matte), 1) - MARGIN
    beside = (_grow(matte, 8) < 0.02) & (rows > -CORNER[1])
    visible = slice(MARGIN * DETAIL, -MARGIN * DETAIL)
    collar, throat = 187 - CORNER[1], 160 - CORNER[1]
    return Portrait(
        background=_enlarge(fill(image, beside, grain=0.012))[visible, visible],
        **textures,
        relief=_relief(landmarks, head),
        neck_weight=_smoothstep((collar - rows) / (collar - throat)),
        landmarks=landmarks,
    )


def fill(image: Float32[np.ndarray, "H W C"], known: np.ndarray, grain: float = 0.0) -> Float32[np.ndarray, "H W C"]:
    """Continues the known pixels smoothly into the unknown ones: means over ever larger squares (push and pull).

    Args:
        known: [H W] of bool.
        grain: standard deviation of the noise that keeps what is filled from looking painted.
    """
    weight = known[..., None].astype(np.float32)
    levels: list[tuple[np.ndarray, np.ndarray]] = [(image * weight, weight)]
    while min(levels[-1][0].shape[:2]) > 2:
        size = [(side + 1) // 2 for side in levels[-1][0].shape[1::-1]]
        colour, count = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in levels[-1])
        levels.append((colour, count.reshape(*colour.shape[:2], 1)))
    colour, weight = levels[-1]
    result = colour / np.maximum(weight, 1e-6)
    for colour, weight in reversed(levels[:-1]):
        result = cv2.resize(result, colour.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        share = np.clip(weight * 2, 0, 1)
        result = share * colour / np.maximum(weight, 1e-6) + (1 - share) * result
    if grain:
        noise = cv2.GaussianBlur(np.random.default_rng(0).standard_normal(image.shape[:2]), (0, 0), 0.8)
        result += np.where(known[..., None], 0, 1.5 * grain * noise[..., None])
    return np.clip(result, 0, 1).astype(np.float32)


def _relief(landmarks: np.ndarray, head: np.ndarray) -> np.ndarray:
    """A smooth surface through the face that bends back to the silhouette of the hair."""
    contours, _ = cv2.findContours((head > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)[:, 0][::8] + 0.5 - MARGIN
    outline = outline[outline[:, 1] < landmarks[454, 1]]
    centre = np.array([SCENE / 2, landmarks[152, 1] - 60])
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    far = centre + 150 * np.stack([np.cos(angles), np.sin(angles)], 1)
    inner = 0.8 * outline + 0.2 * landmarks[168, :2]  # hair is thick: it stands out like a ball
    inner_depth = np.where(inner[:, 1] < landmarks[10, 1] + 5, 8.0, 20.0)
    face_depth = np.minimum(landmarks[:468, 2], 24 + 0.7 * (landmarks[:468, 2] - 24))  # the temples lie under hair
    points = np.concatenate([landmarks[:468, :2], outline, inner, far])
    depth = np.concatenate([face_depth, np.full(len(outline), 36.0), inner_depth, np.full(len(far), 50.0)])
    coarse = len(head) // 4
    rows, columns = np.mgrid[:coarse, :coarse] * 4 + 2.0 - MARGIN
    surface = RBFInterpolator(points, depth, kernel="thin_plate_spline", smoothing=30.0)(
        np.stack([columns.ravel(), rows.ravel()], 1)
    )
    surface = np.clip(surface.reshape(coarse, coarse), -40, 70).astype(np.float32)
    return cv2.GaussianBlur(cv2.resize(surface, head.shape, interpolation=cv2.INTER_CUBIC), (0, 0), 3.0)


def _scene(image: np.ndarray) -> np.ndarray:
    """Cuts the scene with its margin out of the portrait."""
    x, y = CORNER.astype(int) - MARGIN
    padded = np.pad(image, ((-y, 0), *[(0, 0)] * (image.ndim - 1)), mode="edge")
    side = SCENE + 2 * MARGIN
    return np.ascontiguousarray(padded[:side, x : x + side])


def _polygon(points: np.ndarray) -> np.ndarray:
    """Coverage of a polygon given in scene pixels, with soft edges."""
    side = SCENE + 2 * MARGIN
    fine = np.zeros((side * 4, side * 4), np.float32)
    cv2.fillPoly(fine, [np.round((points + MARGIN) * 4).astype(np.int32)], (1.0,))
    return cv2.GaussianBlur(cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA), (0, 0), 0.7)


def _grow(mask: np.ndarray, radius: int) -> np.ndarray:
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))


def _shrink(mask: np.ndarray, radius: int) -> np.ndarray:
    return 1 - _grow(1 - mask, radius)


def _enlarge(image: np.ndarray) -> np.ndarray:
    larger = cv2.resize(image, None, fx=DETAIL, fy=DETAIL, interpolation=cv2.INTER_CUBIC)
    return np.clip(larger, 0, 1).astype(np.float32)


def _smoothstep(values: np.ndarray) -> np.ndarray:
    values = np.clip(values, 0, 1)
    return (values * values * (3 - 2 * values)).astype(np.float32)
