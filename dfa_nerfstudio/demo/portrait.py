"""Splits the portrait into layers (background, torso, neck, head), with the head's depth and pose.

The portrait is `skimage.data.astronaut()` (NASA, public domain). Coordinates are *scene pixels*: a square of
`SCENE_SIZE` pixels around head and shoulders, x to the right, y down, pixel centres at halves. Moving layers have
`SCENE_MARGIN` more pixels on every side, so that no gap opens when they shift.
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
from dfa_nerfstudio.face.topology import OUTER_EYE_CORNERS

SCENE_SIZE = 300
"""Side length of the scene, in pixels of the portrait."""
SCENE_ORIGIN = np.array([77.0, -14.0])
"""Upper left corner of the scene in the portrait: x, y in pixels. Rows above the portrait are background."""
SCENE_MARGIN = 30
"""Width of the border around the scene in every texture and map, in scene pixels."""
TEXTURE_SCALE = 2
"""Texture pixels per scene pixel. More than one, so that drawn lips and lids have sharp edges."""

PORTRAIT_MATTE = Path(__file__).parent / "portrait.npz"
"""File of the portrait's alpha matte, written by tests/demo/make_portrait.py."""

PORTRAIT_RIGID_LANDMARKS = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 45, 275, 234, 454, 127, 356)
"""Landmarks that do not move with mouth or lids: eye corners, nose, temples. Their centroid is the origin of the
demo's head space."""
JAW_LANDMARKS = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454)
_SIDES = ((33, 263), (133, 362), (234, 454), (58, 288), (127, 356))
_MIDLINE = (152, 10)
# Outline of the neck, drawn by hand, in pixels of the portrait: its sides, behind the head, and the collar's edge.
_NECK = (
    *((188, 128), (187, 152), (187, 178), (198, 184), (213, 187)),
    *((234, 188), (253, 184), (256, 172), (259, 152), (259, 128)),
)
# Upper outline of the torso: along the back of the helmet ring, which head and neck hide, then around the rest.
_TORSO = ((40, 170), (130, 148), (168, 148), (186, 152), (222, 159), (256, 171), (275, 177), (320, 200), (450, 260))
# Part of the torso that head and neck hide.
_HIDDEN = ((150, 160), (170, 153), (186, 152), (222, 159), (256, 173), (275, 190), (307, 316), (127, 316))


@dataclass
class Portrait:
    """Layers of the portrait from back to front, as RGBA textures with premultiplied alpha in [0, 1].

    S = SCENE_SIZE TEXTURE_SCALE, M = SCENE_SIZE + 2 SCENE_MARGIN, W = M TEXTURE_SCALE.
    """

    background: Float32[np.ndarray, "S S 3"]
    torso: Float32[np.ndarray, "W W 4"]
    neck: Float32[np.ndarray, "W W 4"]
    head: Float32[np.ndarray, "W W 4"]
    """The head as photographed: smiling, eyes open."""
    relief: Float32[np.ndarray, "M M"]
    """Depth of the head's surface behind the eyes, in scene pixels (`head_unit` of them are one head unit)."""
    neck_weight: Float32[np.ndarray, "M M"]
    """Blend weight of the neck's motion: 1 moves with the head, 0 with the torso."""
    landmarks: Float[np.ndarray, "478 3"]
    """mediapipe's landmarks in scene pixels; z is a depth as in `relief`."""

    @property
    def head_unit(self) -> float:
        """Distance between the outer eye corners in scene pixels."""
        left, right = self.landmarks[list(OUTER_EYE_CORNERS)]
        return float(np.linalg.norm(right - left))

    def unproject(self, points: Float[np.ndarray, "*n 3"], focal: float) -> Float[np.ndarray, "*n 3"]:
        """Unprojects scene pixels with relief to camera space, in head units (OpenGL axes).

        Args:
            points: x, y and relief.
            focal: focal length of the reference camera in scene pixels; the eyes are at the depth `focal / head_unit`.
        """
        depth = (focal + points[..., 2]) / self.head_unit
        x, y = ((points[..., i] - SCENE_SIZE / 2) * depth / focal for i in (0, 1))
        return np.stack([x, -y, -depth], -1)

    def head_pose(self, focal: float) -> Float[np.ndarray, "4 4"]:
        """Returns the head-to-camera matrix of the portrait.

        The x axis points from one side of the face to the other, the y axis from chin to forehead.
        """
        points = self.unproject(self.landmarks, focal)
        x = sum(points[right] - points[left] for left, right in _SIDES)
        y = points[_MIDLINE[1]] - points[_MIDLINE[0]]
        x = x / np.linalg.norm(x)
        y -= (y @ x) * x
        y = y / np.linalg.norm(y)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([x, y, np.cross(x, y)], 1)
        pose[:3, 3] = points[list(PORTRAIT_RIGID_LANDMARKS)].mean(0)
        return pose


@cache
def load_portrait() -> Portrait:
    """Loads the portrait and splits it into layers (one or two seconds; cached)."""
    landmarks = reference_landmarks()
    with np.load(PORTRAIT_MATTE) as data:
        matte = data["matte"].astype(np.float32) / 255
    image = skimage.data.astronaut().astype(np.float32) / 255
    landmarks[:, :2] -= SCENE_ORIGIN
    landmarks[:, 2] -= landmarks[list(OUTER_EYE_CORNERS), 2].mean()
    image, matte = _scene(image), _scene(matte)

    jaw = landmarks[list(JAW_LANDMARKS), :2]
    left, right = jaw[2], jaw[-3]  # below the ears: above the line through them, all of the person is head
    top = (SCENE_SIZE + 99, -99), (-99, -99)
    above = np.array([(left[0] - 200, left[1]), left, right, (right[0] + 200, right[1]), *top])
    head = np.clip((matte - 0.3) / 0.6, 0, 1) * np.maximum(_polygon(above), _polygon(jaw))
    neck = _polygon(np.array(_NECK) - SCENE_ORIGIN)
    outline = np.array([*_TORSO, (450, 400), (40, 400)]) - SCENE_ORIGIN
    hidden = _dilate(np.maximum(head, neck), 5)
    torso = np.where(hidden > 0.02, _polygon(np.array(_HIDDEN) - SCENE_ORIGIN), matte) * _polygon(outline)

    clean_neck = (neck > 0.98) & (_dilate(head, 2) < 0.02) & (_dilate(1 - neck, 1) < 0.3)
    skin = cv2.GaussianBlur(push_pull_fill(image, clean_neck), (0, 0), 2.0)
    shade = 1 - 0.35 * cv2.GaussianBlur(head, (0, 0), 2.5)  # shadow of the jaw
    layers = {
        "torso": (push_pull_fill(image, (matte > 0.97) & (hidden < 0.02)), torso),
        "neck": (skin * shade[..., None], neck),
        "head": (push_pull_fill(image, _erode(head, 1) > 0.9), head),
    }
    textures = {
        name: _upsample(np.concatenate([colour * alpha[..., None], alpha[..., None]], -1))
        for name, (colour, alpha) in layers.items()
    }
    rows = np.arange(len(matte), dtype=np.float32)[:, None].repeat(len(matte), 1) - SCENE_MARGIN
    beside = (_dilate(matte, 8) < 0.02) & (rows > -SCENE_ORIGIN[1])
    visible = slice(SCENE_MARGIN * TEXTURE_SCALE, -SCENE_MARGIN * TEXTURE_SCALE)
    collar, throat = 187 - SCENE_ORIGIN[1], 160 - SCENE_ORIGIN[1]
    return Portrait(
        background=_upsample(push_pull_fill(image, beside, grain=0.012))[visible, visible],
        **textures,
        relief=_relief(landmarks, head),
        neck_weight=smoothstep((collar - rows) / (collar - throat)).astype(np.float32),
        landmarks=landmarks,
    )


def push_pull_fill(
    image: Float32[np.ndarray, "H W C"], known: np.ndarray, grain: float = 0.0
) -> Float32[np.ndarray, "H W C"]:
    """Inpaints unknown pixels smoothly from the known ones by push-pull: means over ever larger squares.

    Args:
        image: values in [0, 1].
        known: bool [H W], true where `image` is kept.
        grain: standard deviation of the noise added to inpainted pixels, so that they do not look flat.
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
    """Fits a smooth depth map through the face landmarks that falls back to the silhouette of the hair."""
    contours, _ = cv2.findContours((head > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)[:, 0][::8] + 0.5 - SCENE_MARGIN
    outline = outline[outline[:, 1] < landmarks[454, 1]]
    centre = np.array([SCENE_SIZE / 2, landmarks[152, 1] - 60])
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    far = centre + 150 * np.stack([np.cos(angles), np.sin(angles)], 1)
    inner = 0.8 * outline + 0.2 * landmarks[168, :2]  # hair is thick: its surface bulges
    inner_depth = np.where(inner[:, 1] < landmarks[10, 1] + 5, 8.0, 20.0)
    face_depth = np.minimum(landmarks[:468, 2], 24 + 0.7 * (landmarks[:468, 2] - 24))  # hair covers the temples
    points = np.concatenate([landmarks[:468, :2], outline, inner, far])
    depth = np.concatenate([face_depth, np.full(len(outline), 36.0), inner_depth, np.full(len(far), 50.0)])
    coarse = len(head) // 4
    rows, columns = np.mgrid[:coarse, :coarse] * 4 + 2.0 - SCENE_MARGIN
    surface = RBFInterpolator(points, depth, kernel="thin_plate_spline", smoothing=30.0)(
        np.stack([columns.ravel(), rows.ravel()], 1)
    )
    surface = np.clip(surface.reshape(coarse, coarse), -40, 70).astype(np.float32)
    return cv2.GaussianBlur(cv2.resize(surface, head.shape, interpolation=cv2.INTER_CUBIC), (0, 0), 3.0)


def _scene(image: np.ndarray) -> np.ndarray:
    """Crops the scene with its margin from the portrait."""
    x, y = SCENE_ORIGIN.astype(int) - SCENE_MARGIN
    padded = np.pad(image, ((-y, 0), *[(0, 0)] * (image.ndim - 1)), mode="edge")
    side = SCENE_SIZE + 2 * SCENE_MARGIN
    return np.ascontiguousarray(padded[:side, x : x + side])


def _polygon(points: np.ndarray) -> np.ndarray:
    """Rasterises a polygon, given in scene pixels, to a coverage map with soft edges."""
    side = SCENE_SIZE + 2 * SCENE_MARGIN
    fine = np.zeros((side * 4, side * 4), np.float32)
    cv2.fillPoly(fine, [np.round((points + SCENE_MARGIN) * 4).astype(np.int32)], (1.0,))
    return cv2.GaussianBlur(cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA), (0, 0), 0.7)


def _dilate(mask: np.ndarray, radius: int) -> np.ndarray:
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))


def _erode(mask: np.ndarray, radius: int) -> np.ndarray:
    return 1 - _dilate(1 - mask, radius)


def _upsample(image: np.ndarray) -> np.ndarray:
    larger = cv2.resize(image, None, fx=TEXTURE_SCALE, fy=TEXTURE_SCALE, interpolation=cv2.INTER_CUBIC)
    return np.clip(larger, 0, 1).astype(np.float32)


def smoothstep(values: np.ndarray) -> np.ndarray:
    """Hermite step 3x^2 - 2x^3 of `values`, clamped to [0, 1]."""
    values = np.clip(values, 0, 1)
    return values * values * (3 - 2 * values)
