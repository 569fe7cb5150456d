"""Reads and checks the `transforms.json` of a dataset folder."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from dfa_nerfstudio.data.format_version import check_format_version
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.head_pose import is_rigid
from dfa_nerfstudio.media.json_file import is_integer, is_number, read_json
from dfa_nerfstudio.media.rates import FRAME_RATE

FORMAT_VERSION = 2
"""Version of `transforms.json` and `attributes.npz`."""
ADVICE = "run dfa-process again"
IMAGE_FILES = ("file_path", "person_mask_path", "torso_mask_path")
"""Keys of a frame whose values are paths relative to the folder."""
FRAME_KEYS = (*IMAGE_FILES, "time", "transform_matrix")
SIZES = ("w", "h")
LENGTHS = ("fl_x", "fl_y", "cx", "cy")
"""Focal lengths and principal point in pixels."""
MAX_SIZE, MAX_LENGTH = 2**15, 1e6
"""Largest width or height, and largest focal length, in pixels."""
SOURCE_FPS = (0, 1000)
"""Range of the source video's frame rate; 0 where it is unknown."""
MAX_SHIFT = 13.0
"""Largest difference between a frame and the time of its image, in frames; a source may hold an image for half a
second."""


def read_transforms(path: Path) -> dict[str, Any]:
    """Reads and checks the file; of the poses, that each frame has one (see `read_cameras`).

    Raises:
        UserError: if it is missing or damaged, of another version, or a value has another type or is out of range.
    """
    meta = read_json(path, ADVICE)
    if "dfa_format_version" not in meta:
        raise UserError(f"{path}: not of a dataset folder of this program; {ADVICE}")
    check_format_version(path, meta["dfa_format_version"], FORMAT_VERSION, ADVICE)
    frames = meta.get("frames")
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise UserError(f"{path}: holds no frames; {ADVICE}")
    missing = {*SIZES, *LENGTHS, "num_train"} - meta.keys()
    missing |= {key for frame in frames for key in FRAME_KEYS if key not in frame}
    if missing:
        raise UserError(f"{path}: keys missing: {', '.join(sorted(missing))}; {ADVICE}")
    valid = {
        **{name: is_integer(meta[name], 1, MAX_SIZE) for name in SIZES},
        **{name: is_number(meta[name], 0, MAX_LENGTH) and meta[name] > 0 for name in LENGTHS},
        "num_train": is_integer(meta["num_train"], 1, len(frames)),
        "source_fps": is_number(meta.get("source_fps", FRAME_RATE), *SOURCE_FPS),
    }
    for name, is_valid in valid.items():
        if not is_valid:
            raise UserError(f"{path}: {name} is {reprlib.repr(meta.get(name))}, which is out of range; {ADVICE}")
    previous = 0.0
    for number, frame in enumerate(frames):
        if not all(isinstance(frame[key], str) for key in IMAGE_FILES):
            raise UserError(f"{path}: frame {number} has a path that is no text; {ADVICE}")
        time = frame["time"]
        if not is_number(time, previous, 1) or abs(time * (len(frames) - 1) - number) > MAX_SHIFT:
            raise UserError(
                f"{path}: frame {number} has the time {reprlib.repr(time)}; times ascend from 0 to 1, {ADVICE}"
            )
        previous = time
    return meta


def read_cameras(path: Path, frames: list[dict[str, Any]]) -> Float64[np.ndarray, "T 4 4"]:
    """The camera in head space of each frame, its `transform_matrix`.

    Raises:
        UserError: if one of them is no rotation and translation.
    """
    try:
        cameras = np.array([frame["transform_matrix"] for frame in frames], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):  # of another shape, no numbers, too large
        cameras = np.zeros(0)
    if cameras.shape != (len(frames), 4, 4) or not is_rigid(cameras).all():
        raise UserError(f"{path}: transform_matrix of a frame is no rotation and translation of 4x4 numbers; {ADVICE}")
    return cameras
