"""The dataset folder: written by preprocessing and read by everything else.

    transforms.json   intrinsics, and per frame its image, masks, time and the camera in head space (the head pose)
    images/  masks/   the frames (JPEG) and the person's alpha (PNG, 8 bit)
    torso_masks/      the alpha of the person without the head (PNG, 8 bit)
    background.png    the scene without the person, in the video camera's view
    audio.wav         16 kHz mono, starting with the first frame
    attributes.npz    `ClipAttributes` without the head pose
    report.json       detected, lost and interpolated frames, jitter, stage times; report.html shows it

Axes. *Camera space* has OpenGL axes: x to the image's right, y up, z towards the viewer. *Head space* moves with the
head. Its origin is the centroid of the rigid landmarks, its axes are those of camera space when the head faces the
camera, and its unit of length is the distance of the outer eye corners. In it the head is fixed and the
camera moves around it: `transform_matrix` is the camera in head space.

Times. A folder has a frame every 1/25 s, whatever the source had. The image of a frame is the source's nearest one,
which was recorded up to half a frame earlier or later: `time` in `transforms.json` is when, from 0 for the first frame
to 1 for the last. `ClipAttributes` belong to the frames, except `landmarks` and `face_found`, which belong to the
images. For a source with 25 or 50 frames/s this is the same.

The head pose is stored once, as `transform_matrix` of each image, because nerfstudio's tools read it there;
`ClipAttributes.head_to_camera` is computed from it when the folder is read. An attribute track has head poses of its
own, because it may be generated.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data.find_files import find_files
from dfa_nerfstudio.data.inside_folder import check_links, file_inside
from dfa_nerfstudio.data.transforms_file import ADVICE, FORMAT_VERSION, IMAGE_FILES, read_cameras, read_transforms
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.head_pose import Poses, poses_to_vectors, vectors_to_poses
from dfa_nerfstudio.media.audio import read_wav
from dfa_nerfstudio.media.frame_times import FrameTimes
from dfa_nerfstudio.media.npz import check_arrays, load_npz, save_npz
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME, SAMPLE_RATE
from dfa_nerfstudio.media.timeline import Timeline

TRANSFORMS, ATTRIBUTES, AUDIO, BACKGROUND = "transforms.json", "attributes.npz", "audio.wav", "background.png"
TRACK, F_A_TRACK = "track.npz", "track_f_a.npz"
"""Files of the clip's own attribute track, which dfa-attributes adds: the mouth's condition is lips f_m, or f_a."""
REPORT_FILE, REPORT_PAGE = "report.json", "report.html"
"""Names of the report of dfa-process: as data, and as a page."""

PER_FRAME = (
    *("shot", "face_found", "landmarks", "front_landmarks", "torso_motion", "torso_deviation", "torso_found"),
    *("eye_opening", "mouth_opening", "expression", "blendshapes"),
)
"""Arrays of `attributes.npz` with one row per frame."""
PER_MFCC = ("mfcc", "loudness", "voice")
"""Arrays of `attributes.npz` with four rows per frame."""


@dataclass
class ClipAttributes:
    """Attributes of T frames, extracted by preprocessing."""

    shot: Int32[np.ndarray, " T"]
    """Number of each frame's shot; a shot contains no cut. -1 marks invalid frames, in which the face was lost for too
    long. They are neither used for training nor scored."""
    face_found: Bool[np.ndarray, " T"]
    """Whether the face was found in the frame; in the other frames all arrays of the face are interpolated."""
    landmarks: Float32[np.ndarray, "T 478 3"]
    """mediapipe's landmarks in pixels of the dataset's images, x right, y down; z is the depth
    relative to the head, in the same scale as x. For an
    imported clip with 68 landmarks the others are interpolated."""
    front_landmarks: Float32[np.ndarray, "T 68 3"]
    """The paper's 68 landmarks in head space, without the head pose (front view)."""
    head_to_camera: Float32[np.ndarray, "T 4 4"]
    """Head pose as the transform from head space to camera space; computed from `transforms.json`."""
    torso_motion: Float32[np.ndarray, "T 4"]
    """2-D similarity (dx, dy, log scale, angle in radians) of the torso relative to the reference frame. It maps
    image-plane points in units of the focal length (x right, y up): q_t = exp(log scale) R(angle) q_ref + (dx, dy)."""
    torso_deviation: Float32[np.ndarray, "T 4"]
    """Standard deviation of `torso_motion`, in its units."""
    torso_found: Bool[np.ndarray, " T"]
    """Whether the torso was found in the frame; other rows are interpolated. All False if no torso is visible."""
    eye_opening: Float32[np.ndarray, "T 2"]
    """Eye openness from 0 (closed) to 1 (open); the eye on the image's left first."""
    blinks: Float32[np.ndarray, "B 3"]
    """Start, apex and end of each blink, in seconds."""
    mouth_opening: Float32[np.ndarray, " T"]
    """Mouth aperture: distance of the inner lips in head space units."""
    expression: Float32[np.ndarray, "T K"]
    """Expression coefficients F_exp of Eq. 1."""
    blendshapes: Float32[np.ndarray, "T S"]
    """The 52 scores of mediapipe's face landmarker, 0 to 1, in its order; S = 0 if another tracker was used."""
    mean_shape: Float32[np.ndarray, "N 3"]
    """Mean shape S-bar of Eq. 1, in head space."""
    identity_basis: Float32[np.ndarray, "N 3 I"]
    """Identity basis B_id of Eq. 1."""
    identity: Float32[np.ndarray, " I"]
    """Identity coefficients F_id of Eq. 1, one set for the clip."""
    expression_basis: Float32[np.ndarray, "N 3 K"]
    """Expression basis B_exp of Eq. 1."""
    mfcc: Float32[np.ndarray, "T*4 D"]
    """MFCC every 10 ms, four per frame; row 4 i is centred on the start of frame i's display interval, i / 25 s."""
    mfcc_mean: Float32[np.ndarray, " D"]
    """Mean of `mfcc` over the training rows with voice (`MfccStatistics`)."""
    mfcc_std: Float32[np.ndarray, " D"]
    """Standard deviation of `mfcc` over the training rows with voice."""
    loudness: Float32[np.ndarray, " T*4"]
    """Root mean square of the audio in dB of full scale, in the rows of `mfcc`."""
    voice: Bool[np.ndarray, " T*4"]
    """Voice activity, in the rows of `mfcc`."""

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> ClipAttributes:
        """Creates attributes from arrays of any floating-point precision."""
        return cls(
            **{
                name: values.astype(np.float32) if values.dtype.kind == "f" and values.dtype != np.float32 else values
                for name, values in arrays.items()
            }
        )

    def __len__(self) -> int:
        return len(self.shot)

    def valid_indices(self, first: int, stop: int) -> Int64[np.ndarray, " N"]:
        """Indices of the valid frames from `first` to before `stop`; see `shot`."""
        return first + np.flatnonzero(self.shot[first:stop] >= 0)

    def save(self, path: Path) -> None:
        """Writes the `.npz` atomically, without the head pose (see `DatasetFolder.write_transforms`)."""
        save_npz(path, {name: values for name, values in vars(self).items() if name != "head_to_camera"})

    @classmethod
    def load(
        cls, path: Path, image_poses: Float32[np.ndarray, "T 4 4"], times: FrameTimes, num_train: int
    ) -> ClipAttributes:
        """Reads and checks the `.npz`.

        Args:
            path: the `.npz`.
            image_poses: head pose of each image, from `transforms.json`.
            times: when each image was recorded.
            num_train: number of training frames.

        Raises:
            UserError: if it is missing or truncated, or an array has another type or shape or holds numbers that it
                cannot hold.
        """
        arrays = {**load_npz(path), "head_to_camera": image_poses}
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in names if name not in arrays]
        if missing:
            raise UserError(f"{path}: arrays missing: {', '.join(missing)}; {ADVICE}")
        frames = len(image_poses)
        for group, rows in ((PER_FRAME, frames), (PER_MFCC, MFCC_PER_FRAME * frames)):
            for name in group:
                found = arrays[name].shape[0] if arrays[name].ndim else 0
                if found != rows:
                    raise UserError(
                        f"{path}: {name} has {found} rows, but the {frames} frames in {TRANSFORMS} need {rows}; "
                        f"{ADVICE}"
                    )
        clip = cls(**{name: arrays[name] for name in names})
        check_arrays(path, vars(clip), cls, ADVICE)
        if (clip.mfcc_std <= 0).any():
            raise UserError(f"{path}: mfcc_std holds numbers that are not positive; {ADVICE}")
        if clip.shot.min() < -1 or (np.diff(clip.shot[clip.shot >= 0]) < 0).any():
            raise UserError(f"{path}: shot must be ascending, or -1; {ADVICE}")
        if not times.are_constant:
            motion = poses_to_vectors(Poses(image_poses[:, :3, :3], image_poses[:, :3, 3]))
            poses = vectors_to_poses(times.to_frames(motion, Timeline(clip.shot, num_train).segments()))
            clip.head_to_camera = poses.matrices().astype(np.float32)
        return clip


@dataclass
class DatasetFolder:
    """A dataset folder on disk, which is checked when it is opened.

    Example:
        >>> folder = DatasetFolder.open(Path("data/me"))  # doctest: +SKIP
        >>> folder.attributes.head_to_camera[: folder.num_train]  # doctest: +SKIP
    """

    path: Path
    meta: dict[str, Any]
    """Contents of `transforms.json`."""

    @classmethod
    def open(cls, path: Path) -> DatasetFolder:
        """Opens and checks a folder.

        Raises:
            UserError: if a file that later stages read is missing, unreadable, or lies outside the folder.
        """
        if not path.is_dir():
            raise UserError(f"{path}: no such folder; create it with: dfa-process VIDEO --output {path}")
        if (path / "transforms_train.json").is_file():
            raise UserError(
                f"{path}: a data folder of the AD-NeRF family; convert it with: dfa-import {path}, or train with: "
                f"ns-train dfa-nerf --data {path} adnerf-data"
            )
        check_links(path)
        for name in (TRANSFORMS, ATTRIBUTES, AUDIO, BACKGROUND):
            if not (path / name).is_file():
                raise UserError(f"{path / name}: missing; {ADVICE}")
        folder = cls(path, read_transforms(path / TRANSFORMS))
        for frame in folder.meta["frames"]:
            for key in IMAGE_FILES:
                file = file_inside(path, frame[key], path / TRANSFORMS)
                if not os.path.isfile(file):  # also False for a name that is too long
                    raise UserError(f"{file}: missing; {ADVICE}")
        if not len(folder.train_frames):
            raise UserError(f"{path / ATTRIBUTES}: no training frame is valid; {ADVICE}")
        return folder

    @cached_property
    def attributes(self) -> ClipAttributes:
        """Attributes of all frames."""
        image_poses = np.linalg.inv(self.cameras).astype(np.float32)
        return ClipAttributes.load(self.path / ATTRIBUTES, image_poses, self.times, self.num_train)

    @cached_property
    def times(self) -> FrameTimes:
        """When each image was recorded."""
        times = np.array([frame["time"] for frame in self.meta["frames"]], np.float64)
        return FrameTimes(times * (len(times) - 1))

    @cached_property
    def cameras(self) -> Float64[np.ndarray, "T 4 4"]:
        """The camera in head space in every image, the inverse of the head pose."""
        return read_cameras(self.path / TRANSFORMS, self.meta["frames"])

    @property
    def num_frames(self) -> int:
        """Number of frames, held-out ones included."""
        return len(self.meta["frames"])

    @property
    def num_train(self) -> int:
        """Number of training frames, which come first; the others are held out."""
        return self.meta["num_train"]

    @property
    def train_frames(self) -> Int64[np.ndarray, " N"]:
        """Numbers of the valid training frames."""
        return self.attributes.valid_indices(0, self.num_train)

    @property
    def held_out_frames(self) -> Int64[np.ndarray, " N"]:
        """Numbers of the valid held-out frames."""
        return self.attributes.valid_indices(self.num_train, self.num_frames)

    def held_out_audio(self) -> Float32[np.ndarray, " S"]:
        """Samples at 16 kHz from the first held-out frame on."""
        return read_wav(self.path / AUDIO, round(self.num_train / FRAME_RATE * SAMPLE_RATE))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames in pixels."""
        return self.meta["w"], self.meta["h"]

    @property
    def source_frame_rate(self) -> float:
        """Frames per second of the source video."""
        return float(self.meta.get("source_fps", FRAME_RATE))

    @staticmethod
    def write_transforms(
        path: Path,
        *,
        focal_length: float,
        size: tuple[int, int],
        num_train: int,
        head_to_camera: Float32[np.ndarray, "T 4 4"],
        times: FrameTimes | None = None,
        source_frame_rate: float = FRAME_RATE,
    ) -> None:
        """Writes `transforms.json` for frames `images/00000.jpg`..., `masks/00000.png`... and
        `torso_masks/00000.png`...

        Args:
            path: the dataset folder.
            focal_length: focal length in pixels of the working image; pixels are square, the principal point is the
                image's centre.
            size: width and height of the frames in pixels.
            num_train: number of training frames.
            head_to_camera: head pose of every image.
            times: when each image was recorded; by default at 25 frames/s.
            source_frame_rate: frames per second of the source video.
        """
        width, height = size
        count = len(head_to_camera)
        moments = (times or FrameTimes.constant(count)).frames.clip(0, count - 1) / max(count - 1, 1)
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
            "source_fps": source_frame_rate,
            "num_train": num_train,
            "frames": [
                {
                    "file_path": f"images/{index:05d}.jpg",
                    "person_mask_path": f"masks/{index:05d}.png",
                    "torso_mask_path": f"torso_masks/{index:05d}.png",
                    "time": float(moments[index]),
                    "transform_matrix": camera.tolist(),
                }
                for index, camera in enumerate(cameras)
            ],
        }
        with atomic_write(path / TRANSFORMS) as partial, partial.open("w") as file:
            json.dump(meta, file, indent=1)  # written in chunks, so that memory stays small


def find_dataset_folders(root: Path) -> list[Path]:
    """The dataset folder `root` itself, or those below it, in alphabetical order; see `find_files`."""
    if (root / TRANSFORMS).is_file():
        return [root]
    return [path.parent for path in find_files(root, lambda path: path.name == TRANSFORMS)]


def image_path(folder: Path, number: int) -> Path:
    """Path of the image of frame `number`."""
    return folder / "images" / f"{number:05d}.jpg"


def mask_path(folder: Path, number: int) -> Path:
    """Path of the person mask of frame `number`."""
    return folder / "masks" / f"{number:05d}.png"


def torso_mask_path(folder: Path, number: int) -> Path:
    """Path of the torso mask of frame `number`: the person without the head."""
    return folder / "torso_masks" / f"{number:05d}.png"
