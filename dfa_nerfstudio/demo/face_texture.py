"""Animates the face in the head's texture: the mouth opens and closes, the eyelids close.

Each part maps every texture point back to the source of its skin, in closed form. Coordinates are local to the part:
u along the line through its corners, v perpendicular to it and downwards, in scene pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32
from scipy.interpolate import PchipInterpolator, RBFInterpolator

from dfa_nerfstudio.demo.portrait import SCENE_MARGIN, TEXTURE_SCALE, Portrait, smoothstep

_UPPER_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_LOWER_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
_UPPER_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
_LOWER_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
_STILL = (2, 98, 327, 50, 280, 205, 425, 207, 427, 152, 148, 377, 150, 379, 172, 397, 58, 288, 136, 365)
_EYES = (
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263)),
)
_DARK, _TONGUE, _LOWER_TEETH = np.array([[0.20, 0.06, 0.05], [0.38, 0.14, 0.13], [0.45, 0.38, 0.34]], np.float32)
EDGE = 0.9
"""Width of the transition between two surfaces, in scene pixels."""


class TexturePatch:
    """A rectangle of the texture around one part of the face, with local coordinates."""

    def __init__(self, left: np.ndarray, right: np.ndarray, above: float, below: float, beside: float) -> None:
        """Creates the patch around two corners.

        Args:
            left: left corner of the part, x and y in scene pixels.
            right: right corner.
            above: extent of the patch above the centre, in scene pixels.
            below: extent below it.
            beside: extent beyond the corners.
        """
        self.origin = (left + right) / 2
        along = (right - left) / np.linalg.norm(right - left)
        self.axes = np.stack([along, [-along[1], along[0]]])  # rows: directions of u and v
        self.half_width = float(np.linalg.norm(right - left) / 2)
        reach = self.half_width + beside
        x0, y0 = np.floor((self.origin + SCENE_MARGIN - (reach, above)) * TEXTURE_SCALE).astype(int)
        x1, y1 = np.ceil((self.origin + SCENE_MARGIN + (reach, below)) * TEXTURE_SCALE).astype(int)
        self.window = (slice(y0, y1), slice(x0, x1))
        rows, columns = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        points = np.stack([columns + 0.5, rows + 0.5], -1) / TEXTURE_SCALE - SCENE_MARGIN
        u, v = self.to_local(points).transpose(2, 0, 1)
        self.u, self.v = u.astype(np.float32), v.astype(np.float32)

    def to_local(self, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Converts scene pixels to local coordinates u, v."""
        return (points - self.origin) @ self.axes.T

    def sample(self, texture: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Samples the texture at local coordinates, bilinearly."""
        scene = np.stack([u, v], -1) @ self.axes + self.origin
        scene = ((scene + SCENE_MARGIN) * TEXTURE_SCALE - 0.5).astype(np.float32)
        return cv2.remap(texture, scene[..., 0], scene[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _coverage(edge: np.ndarray) -> np.ndarray:
    """Anti-aliased coverage [H W 1] of the area where the signed distance `edge` (scene pixels) is positive."""
    return np.clip(edge / EDGE + 0.5, 0, 1)[..., None].astype(np.float32)


class MouthTexture:
    """Renders lips, jaw and the inside of the mouth.

    The portrait smiles and shows its teeth. First the lips are closed along a seam by thin-plate splines, one for each
    lip; this gives the face at rest. To open the mouth, the lower lip and the jaw move down and the upper lip moves
    slightly up. Rounding moves the corners inwards.
    """

    def __init__(self, portrait: Portrait) -> None:
        points = portrait.landmarks[:, :2]
        self.unit = portrait.head_unit
        self.patch = TexturePatch(points[78], points[308], above=20, below=52, beside=34)
        local = self.patch.to_local(points)
        self.width = 0.88 * self.patch.half_width  # half width of the mouth at rest
        self.rest = self._closed_texture(portrait.head, local)
        self._draw_inside(portrait.head, local)

    def seam(self, u: np.ndarray) -> np.ndarray:
        """Height v of the line where the closed lips meet."""
        return 2.6 + 2.4 * np.clip(1 - (u / self.width) ** 2, -0.5, 1)

    def _closed_texture(self, head: np.ndarray, local: np.ndarray) -> np.ndarray:
        """Returns the whole head texture with the mouth closed."""
        patch = self.patch
        shrink = self.width / patch.half_width
        lips = []
        for inner, outer, inset in ((_UPPER_INNER, _UPPER_OUTER, -0.5), (_LOWER_INNER, _LOWER_OUTER, 1.0)):
            source, target = [], []
            for lip, share in ((inner, 1.0), (outer, 0.7)):
                there = local[list(lip)]
                back = np.stack([there[:, 0] * shrink, self.seam(there[:, 0] * shrink)], 1)
                moved = there + share * (back - local[list(inner)])
                if lip is inner:
                    bulge = 1 - (there[:, 0] / patch.half_width) ** 2
                    there = there + np.stack([np.zeros(len(lip)), inset * np.clip(bulge, 0, 1)], 1)
                source.append(there)
                target.append(moved)
            still = local[list(_STILL)]
            rim = np.array([[x, y] for x in (-60, -30, 0, 30, 60) for y in (-22, 56)] + [[-60, 10], [60, 10]], float)
            source += [still, rim]
            target += [still, rim]
            target_all, first = np.unique(np.concatenate(target), axis=0, return_index=True)
            origins = np.concatenate(source)[first]
            spline = RBFInterpolator(target_all, origins, kernel="thin_plate_spline", smoothing=0.05)
            origin = spline(np.stack([patch.u.ravel(), patch.v.ravel()], 1)).reshape(*patch.u.shape, 2)
            lips.append(patch.sample(head, origin[..., 0], origin[..., 1]))
        below = patch.v - self.seam(patch.u)
        beyond = np.maximum(np.abs(patch.u) - self.width, 0)  # beyond the corners the two splines nearly agree
        closed = lips[0] + _coverage(below * EDGE / (EDGE + beyond)) * (lips[1] - lips[0])
        line = np.exp(-((below / 0.9) ** 2)) * smoothstep((self.width + 1.5 - np.abs(patch.u)) / 4)
        closed[..., :3] *= 1 - 0.45 * line[..., None]
        rest = head.copy()
        rest[patch.window] = closed
        return rest

    def _draw_inside(self, head: np.ndarray, local: np.ndarray) -> None:
        """Extracts the upper teeth, which move with the skull, from the photograph."""
        patch = self.patch
        upper, lower = local[list(_UPPER_INNER)], local[list(_LOWER_INNER)]
        lift = 3.4  # a smile shows more of the teeth than a speaking mouth
        top = np.interp(patch.u, upper[:, 0], upper[:, 1]) - lift
        bottom = np.interp(patch.u, lower[:, 0], lower[:, 1]) - lift - 0.8
        clipped = np.clip(patch.v, top + 1.2, np.maximum(bottom - 0.8, top + 1.2))
        teeth = patch.sample(head, patch.u, clipped + lift)[..., :3]
        shade = 0.92 - 0.35 * np.clip(np.abs(patch.u) / self.width, 0, 1) ** 2
        self.teeth = cv2.GaussianBlur(teeth, (0, 0), 0.5) * shade[..., None].astype(np.float32)
        self.teeth_end = bottom

    def draw(self, texture: Float32[np.ndarray, "W W 4"], opening: float, rounding: float) -> None:
        """Draws the mouth into the texture of the head.

        Args:
            texture: head texture, changed in place.
            opening: gap between the inner lips at the middle of the mouth, in head units.
            rounding: -1 (spread) to 1 (rounded, corners moved inwards).
        """
        patch = self.patch
        centre = np.exp(-((patch.u / 34) ** 2) - ((patch.v - 6) / 22) ** 2)
        u = patch.u * (1 + (0.30 * max(rounding, 0) + 0.10 * min(rounding, 0) + 0.35 * opening) * centre)
        gap = opening * self.unit
        up, down = 0.25 * gap, 0.75 * gap
        lens = np.clip(1 - (u / self.width) ** 2, 0, 1) ** 0.65
        seam = self.seam(u)
        upper_edge, lower_edge = seam - up * lens, seam + down * lens
        jaw = smoothstep((54 - np.abs(u)) / 42)

        follow = smoothstep(1 - (upper_edge - patch.v) / 14)
        upper = patch.sample(self.rest, u, patch.v + up * lens * follow)
        sink = lens + (jaw - lens) * smoothstep((patch.v - lower_edge) / 26)
        lower = patch.sample(self.rest, u, patch.v - down * sink)
        skin_above, skin_below = _coverage(upper_edge - patch.v), _coverage(patch.v - lower_edge)
        result = skin_above * upper + skin_below * lower
        inside = 1 - skin_above - skin_below
        if gap > 0.05:
            result[..., :3] += inside * self._inside(u, upper_edge, lower_edge, down)
            result[..., 3:] += inside
        texture[patch.window] = result

    def _inside(self, u: np.ndarray, upper_edge: np.ndarray, lower_edge: np.ndarray, down: float) -> np.ndarray:
        """Colours tongue, teeth and the dark behind them, visible between the lips."""
        v = self.patch.v
        depth = np.clip((v - upper_edge) / np.maximum(lower_edge - upper_edge, 1), 0, 1)[..., None]
        colour = _DARK * (0.7 + 0.6 * depth)
        lip = self.seam(u) + down  # edge of the lower lip in the middle of the mouth
        tongue = _coverage(1.2 * (1 - (u / (0.62 * self.width)) ** 2 - ((v - (lip + 1)) / 5.5) ** 2) * 2)
        colour += tongue * (_TONGUE * (0.6 + 0.4 * depth) - colour)
        lower_teeth = _coverage(v - (lip - 1.6)) * _coverage(0.5 * self.width - np.abs(u)) * min(down / 10, 1)
        colour += lower_teeth * (_LOWER_TEETH - colour)
        colour += _coverage(self.teeth_end - v) * _coverage(0.9 * self.width - np.abs(u)) * (self.teeth - colour)
        shadow = 1 - 0.45 * np.exp(-np.maximum(v - upper_edge, 0) / 1.2)  # shadow of the upper lip
        return (colour * shadow[..., None]).astype(np.float32)


class EyeTexture:
    """Renders an eye whose upper lid and lashes move down over a fixed eyeball."""

    LID = 8.0
    """Height of the skin fold above the lid margin that unfolds when the eye closes, in scene pixels."""

    def __init__(self, portrait: Portrait, side: int) -> None:
        """Reads the lid margins of an eye; `side` 0 is the eye on the left of the image, 1 the other."""
        points = portrait.landmarks[:, :2]
        upper, lower = (list(indices) for indices in _EYES[side])
        self.patch = TexturePatch(points[upper[0]], points[upper[-1]], above=16, below=13, beside=6)
        u = self.patch.u
        margins = []
        for indices in (upper, lower):
            local = self.patch.to_local(points[indices])
            margins.append(PchipInterpolator(local[:, 0], local[:, 1])(np.clip(u, local[0, 0], local[-1, 0])))
        self.top, self.bottom = (cv2.GaussianBlur(margin, (0, 0), 1.5) for margin in margins)
        self.bottom = np.maximum(self.bottom, self.top)

    def draw(self, texture: Float32[np.ndarray, "W W 4"], opening: float) -> None:
        """Draws the eye into the texture of the head; `opening` is 0 (closed) to 1 (as in the portrait)."""
        patch, v = self.patch, self.patch.v
        height = self.bottom - self.top
        rise = 0.15 * (1 - opening) * height  # motion of the lower lid
        drop = (1 - opening) * 0.85 * height
        margin = self.top + drop
        skin = v - drop * (1 - smoothstep((margin - v) / (self.LID + drop)))
        lid = patch.sample(texture, patch.u, np.minimum(skin, self.top + 0.8))
        low = patch.sample(texture, patch.u, v + rise * smoothstep(1 - (v - self.bottom + rise) / 9))
        eyeball = texture[patch.window]
        covered = _coverage(margin + 0.6 - v)
        below = _coverage(v - (self.bottom - rise + 0.4)) * (1 - opening > 0)
        result = eyeball + below * (low - eyeball)
        result = result + covered * (lid - result)
        texture[patch.window] = result if opening < 1 else eyeball


class FaceTexture:
    """Renders the head's texture for a mouth shape and an eye opening."""

    def __init__(self, portrait: Portrait) -> None:
        self.mouth = MouthTexture(portrait)
        self.eyes = [EyeTexture(portrait, 0), EyeTexture(portrait, 1)]
        self._texture = self.mouth.rest.copy()
        self._open_eyes = [self.mouth.rest[eye.patch.window].copy() for eye in self.eyes]

    def texture(
        self, mouth_opening: float, rounding: float, eye_opening: Float[np.ndarray, "2"]
    ) -> Float32[np.ndarray, "W W 4"]:
        """Returns the head's texture, RGBA with premultiplied alpha. The next call overwrites it."""
        self.mouth.draw(self._texture, mouth_opening, rounding)
        for eye, opened, opening in zip(self.eyes, self._open_eyes, eye_opening, strict=True):
            self._texture[eye.patch.window] = opened
            eye.draw(self._texture, float(opening))
        return self._texture
