"""The dataset folder: what preprocessing hands on, and everything later reads.

    transforms.json   intrinsics, and per frame its image, mask, time and camera in head space
    images/  masks/   the frames (JPEG) and the person's alpha (PNG, 8 bit)
    torso_masks/      the alpha of what of the person is not the head (PNG, 8 bit)
    background.png    the scene without the person, seen from the film's camera
    audio.wav         16 kHz mono, starting with the first frame
    attributes.npz    `ClipAttributes`
    report.json       what was found, lost and interpolated; report.html shows it

Axes. *Camera space* has OpenGL axes: x to the image's right, y up, z towards the viewer. *Head space* stands still on
the head, has its origin at the centroid of the rigid landmarks, the same axes when the head faces the camera, and the
distance of the outer eye corners as its unit of length. A moving head is a moving camera: `transform_matrix` is the
camera in head space.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.npz import load_npz
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME

FORMAT_VERSION = 2

TRANSFORMS, ATTRIBUTES, AUDIO, BACKGROUND = "transforms.json", "attributes.npz", "audio.wav", "background.png"
TRACK = "track.npz"
"""The clip's own attribute track, which dfa-attributes adds."""

PER_FRAME = (
    *("shot", "face_found", "landmarks", "front_landmarks", "torso_motion", "torso_deviation", "torso_found"),
    *("eye_opening", "mouth_opening", "expression", "blendshapes"),
)
PER_MFCC = ("mfcc", "loudness", "voice")


@dataclass
class ClipAttributes:
    """What preprocessing measures in T frames (`attributes.npz`)."""

    shot: Int32[np.ndarray, " T"]
    """Frames of one number follow each other without a cut; -1 where the face was lost for so long that the frame is of
    no use: it trains nothing and is not scored."""
    face_found: Bool[np.ndarray, " T"]
    """False where the face was lost and the row is interpolated."""
    landmarks: Float32[np.ndarray, "T 478 3"]
    """mediapipe's landmarks in pixels of the working image, x right, y down; z in pixels, weak perspective. Of an
    imported clip that has 68 of them, the others are interpolated."""
    front_landmarks: Float32[np.ndarray, "T 68 3"]
    """The paper's 68 landmarks in head space, seen from the front: the pose is taken out."""
    head_to_camera: Float32[np.ndarray, "T 4 4"]
    """Head pose: takes head space to camera space."""
    torso_motion: Float32[np.ndarray, "T 4"]
    """2-D similarity (dx, dy, log scale, angle in radians) of the torso since the reference frame. It maps image-plane
    points in units of the focal length (x right, y up): q_t = exp(log scale) R(angle) q_ref + (dx, dy)."""
    torso_deviation: Float32[np.ndarray, "T 4"]
    """Standard deviation of `torso_motion`, in its units."""
    torso_found: Bool[np.ndarray, " T"]
    """False where the torso was lost and its motion is interpolated; nowhere true where no torso is in the picture."""
    eye_opening: Float32[np.ndarray, "T 2"]
    """0 closed to 1 open; the eye on the image's left first."""
    blinks: Float32[np.ndarray, "B 3"]
    """Start, apex and end of each blink in seconds."""
    mouth_opening: Float32[np.ndarray, " T"]
    """Distance of the inner lips in head space units."""
    expression: Float32[np.ndarray, "T K"]
    """Coefficients F_exp of Eq. 1."""
    blendshapes: Float32[np.ndarray, "T B"]
    """The 52 scores of mediapipe's face landmarker, 0 to 1, in its order; B = 0 where another tracker was used."""
    mean_shape: Float32[np.ndarray, "N 3"]
    """S-bar of Eq. 1, head space."""
    identity_basis: Float32[np.ndarray, "N 3 I"]
    """B_id of Eq. 1."""
    identity: Float32[np.ndarray, " I"]
    """Coefficients F_id of Eq. 1, one set for the clip."""
    expression_basis: Float32[np.ndarray, "N 3 K"]
    """B_exp of Eq. 1."""
    mfcc: Float32[np.ndarray, "T*4 D"]
    """MFCC every 10 ms, four per frame; row 4 i is centred on the start of frame i's display interval, i / 25 s."""
    mfcc_mean: Float32[np.ndarray, " D"]
    """Over the training rows in which someone speaks (`MfccStatistics`)."""
    mfcc_std: Float32[np.ndarray, " D"]
    loudness: Float32[np.ndarray, " R"]
    """Root mean square of the sound in dB of full scale, R = 4 T rows as in `mfcc`."""
    voice: Bool[np.ndarray, " R"]
    """Whether someone speaks, R = 4 T rows as in `mfcc`."""

    @classmethod
    def of(cls, measured: dict[str, np.ndarray]) -> ClipAttributes:
        """From arrays of any precision."""
        return cls(
            **{
                name: values.astype(np.float32, copy=False) if values.dtype.kind == "f" else values
                for name, values in measured.items()
            }
        )

    def __len__(self) -> int:
        return len(self.head_to_camera)

    def valid_frames(self, first: int, stop: int) -> Int64[np.ndarray, " N"]:
        """The frames from `first` to before `stop` that show the face."""
        return first + np.flatnonzero(self.shot[first:stop] >= 0)

    def save(self, path: Path) -> None:
        """Writes the `.npz`, whole or not at all."""
        with atomic_write(path) as partial:
            np.savez(partial, **vars(self))

    @classmethod
    def load(cls, path: Path) -> ClipAttributes:
        """Reads and checks the `.npz`.

        Raises:
            UserError: if it is missing, truncated, of the wrong shape, or holds non-finite numbers.
        """
        arrays = load_npz(path)
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in names if name not in arrays]
        if missing:
            raise UserError(f"{path}: no array {', '.join(missing)}; run dfa-process again")
        frames = len(arrays["head_to_camera"])
        for names_of, rows in ((PER_FRAME, frames), (PER_MFCC, MFCC_PER_FRAME * frames)):
            for name in names_of:
                if len(arrays[name]) != rows:
                    raise UserError(
                        f"{path}: {name} has {len(arrays[name])} rows instead of {rows}; run dfa-process again"
                    )
        for name in names:
            if not np.isfinite(arrays[name]).all():
                raise UserError(f"{path}: {name} holds numbers that are not finite; run dfa-process again")
        return cls(**{name: arrays[name] for name in names})


@dataclass
class DatasetFolder:
    """A dataset folder on disk, checked when it is opened.

    Example:
        >>> folder = DatasetFolder.open(Path("data/me"))  # doctest: +SKIP
        >>> folder.attributes.head_to_camera[: folder.num_train]  # doctest: +SKIP
    """

    path: Path
    meta: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> DatasetFolder:
        """Opens and checks a folder.

        Raises:
            UserError: if anything that later stages read is missing or unreadable.
        """
        if not path.is_dir():
            raise UserError(f"{path}: no such folder; make it with: dfa-process VIDEO --output {path}")
        if (path / "transforms_train.json").is_file():
            raise UserError(
                f"{path}: a data folder of the AD-NeRF family; make a dataset of it with: dfa-import {path}, or train "
                f"with: ns-train dfa-nerf --data {path} adnerf-data"
            )
        for name in (TRANSFORMS, ATTRIBUTES, AUDIO, BACKGROUND):
            if not (path / name).is_file():
                raise UserError(f"{path / name}: missing; run dfa-process again")
        try:
            meta = json.loads((path / TRANSFORMS).read_text())
            version = meta["dfa_format_version"]
            frames = meta["frames"]
            keys = {"fl_x", "fl_y", "cx", "cy", "w", "h", "num_train"} - meta.keys()
        except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path / TRANSFORMS}: not a dataset of this program ({error!r}); run dfa-process"
            ) from None
        if version != FORMAT_VERSION or keys or not frames:
            raise UserError(
                f"{path / TRANSFORMS}: format {version}, this program reads {FORMAT_VERSION}; run dfa-process"
            )
        folder = cls(path, meta)
        for frame in frames:
            for key in ("file_path", "person_mask_path", "torso_mask_path"):
                if not (path / frame[key]).is_file():
                    raise UserError(f"{path / frame[key]}: missing; run dfa-process again")
        if len(folder.attributes) != folder.num_frames:
            raise UserError(
                f"{path / ATTRIBUTES}: {len(folder.attributes)} frames, but {TRANSFORMS} has {folder.num_frames}; "
                "run dfa-process again"
            )
        return folder

    @cached_property
    def attributes(self) -> ClipAttributes:
        """The measured attributes of all frames."""
        return ClipAttributes.load(self.path / ATTRIBUTES)

    @property
    def num_frames(self) -> int:
        return len(self.meta["frames"])

    @property
    def num_train(self) -> int:
        """The first `num_train` frames are for training, the rest is held out."""
        return self.meta["num_train"]

    @property
    def train_frames(self) -> Int64[np.ndarray, " N"]:
        """The training frames that are of use."""
        return self.attributes.valid_frames(0, self.num_train)

    @property
    def held_out_frames(self) -> Int64[np.ndarray, " N"]:
        """The held-out frames that are of use."""
        return self.attributes.valid_frames(self.num_train, self.num_frames)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.meta["w"], self.meta["h"]

    @staticmethod
    def write_transforms(
        path: Path,
        *,
        focal_length: float,
        size: tuple[int, int],
        num_train: int,
        head_to_camera: Float32[np.ndarray, "T 4 4"],
    ) -> None:
        """Writes `transforms.json` for frames `images/00000.jpg`..., `masks/00000.png`... and
        `torso_masks/00000.png`...

        Args:
            path: the dataset folder.
            focal_length: in pixels of the working image; pixels are square, the principal point is the centre.
            size: width and height.
            num_train: number of frames for training.
            head_to_camera: the head pose of every frame.
        """
        width, height = size
        count = len(head_to_camera)
        cameras = np.linalg.inv(head_to_camera.astype(np.float64))
        meta = {
            "dfa_format_version": FORMAT_VERSION,
            "camera_model": "OPENCV",
            "fl_x": float(focal_length),
            "fl_y": float(focal_length),
            "cx": width / 2,
            "cy": height / 2,
            "w": width,
            "h": height,
            "fps": FRAME_RATE,
            "num_train": num_train,
            "frames": [
                {
                    "file_path": f"images/{index:05d}.jpg",
                    "person_mask_path": f"masks/{index:05d}.png",
                    "torso_mask_path": f"torso_masks/{index:05d}.png",
                    "time": index / max(count - 1, 1),
                    "transform_matrix": camera.tolist(),
                }
                for index, camera in enumerate(cameras)
            ],
        }
        with atomic_write(path / TRANSFORMS) as partial, partial.open("w") as file:
            json.dump(meta, file, indent=1)  # in small pieces


def image_path(folder: Path, number: int) -> Path:
    """Where frame `number` lies."""
    return folder / "images" / f"{number:05d}.jpg"


def mask_path(folder: Path, number: int) -> Path:
    """Where the person mask of frame `number` lies."""
    return folder / "masks" / f"{number:05d}.png"


def torso_mask_path(folder: Path, number: int) -> Path:
    """Where the mask of what is not head lies."""
    return folder / "torso_masks" / f"{number:05d}.png"
