"""What lies in a data folder of the AD-NeRF family, found and checked.

    transforms_train.json, transforms_val.json   focal_len, cx, cy and per frame img_id, aud_id, transform_matrix;
                                                 with `_ba` before the dot: after bundle adjustment, preferred
    gt_imgs/ com_imgs/ ori_imgs/                 pictures, the first of these folders that is complete
    ori_imgs/N.lms                               68 landmarks, x and y in pixels
    parsing/ torso_imgs/ head_imgs/              what is person and torso (`masks`)
    bc.jpg  aud.wav  bs.npy  au.csv              background, sound, eyes

A file's number is its name, with or without leading zeros.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from dfa_nerfstudio.errors import UserError

PICTURES = ("gt_imgs", "com_imgs", "ori_imgs")
SUBFOLDERS = (*PICTURES, "parsing", "torso_imgs", "head_imgs")
FILES = ("bc.jpg", "aud.wav", "bs.npy", "au.csv")
LANDMARKS = 68


@dataclass
class ADNeRFFolder:
    """A data folder with N frames, 25 a second, in the order of time.

    Example:
        >>> folder = ADNeRFFolder.open(Path("data/obama"))  # doctest: +SKIP
        >>> folder.cameras[: folder.num_train]  # doctest: +SKIP
    """

    path: Path
    transforms: list[Path]
    """Its `transforms_*.json` that are read."""
    focal: float
    """Focal length in pixels of a picture of `size`."""
    size: tuple[float, float]
    """Twice the principal point, width and height: the size of the pictures that the poses were found in."""
    image_ids: Int[np.ndarray, " N"]
    time_ids: Int[np.ndarray, " N"]
    """Frame time_ids[i] of the sound, at 25 frames a second, belongs to picture image_ids[i]; ascending."""
    cameras: Float[np.ndarray, "N 4 4"]
    """Camera to the folder's own head space, OpenGL axes."""
    num_train: int
    """Frames of `transforms_train`; those of `transforms_val` follow."""

    @classmethod
    def open(cls, path: Path) -> ADNeRFFolder:
        """Reads the transforms.

        Raises:
            UserError: if they are missing, broken, or of frames whose held-out part does not come last.
        """
        if not path.is_dir():
            raise UserError(f"{path}: no such folder; give one with transforms_train.json")
        train_file, val_file = _transforms(path)
        meta, train = _read_transforms(train_file)
        val = []
        if val_file:
            val_meta, val = _read_transforms(val_file)
            if not np.allclose(list(meta.values()), list(val_meta.values()), rtol=1e-3):
                raise UserError(f"{val_file}: another focal length or principal point than {train_file.name}")
        times = [time for _, time, _ in train]
        val = [frame for frame in val if frame[1] not in set(times)]  # what trains is not held out
        if val and min(time for _, time, _ in val) < max(times):
            raise UserError(
                f"{val_file}: its frames do not all come after those of {train_file.name}; only a held-out end can be "
                "imported: move frames from one file to the other"
            )
        frames = sorted(train, key=_time) + sorted(val, key=_time)
        image_ids, time_ids, cameras = (np.array(column) for column in zip(*frames, strict=True))
        if (np.diff(time_ids) == 0).any():
            raise UserError(f"{train_file}: frame {time_ids[:-1][np.diff(time_ids) == 0][0]} comes twice")
        return cls(
            path=path,
            transforms=[file for file in (train_file, val_file) if file],
            focal=meta["focal_len"],
            size=(2 * meta["cx"], 2 * meta["cy"]),
            image_ids=image_ids,
            time_ids=time_ids,
            cameras=cameras,
            num_train=len(train),
        )

    @cached_property
    def pictures(self) -> dict[int, Path]:
        """The pictures by number: of the first folder that has one for every frame.

        Raises:
            UserError: if none has.
        """
        lacking = ""
        for name in PICTURES:
            found = self.numbered(name, ".jpg", ".jpeg", ".png")
            missing = [number for number in self.image_ids if number not in found]
            if found and not missing:
                return found
            if found and not lacking:
                lacking = f"{self.path / name}: no picture of frame {missing[0]} ({len(missing)} are missing)"
        raise UserError(lacking or f"{self.path}: no pictures; there is neither {', '.join(PICTURES[:2])} nor ori_imgs")

    def numbered(self, name: str, *suffixes: str) -> dict[int, Path]:
        """The files of a subfolder by number; empty where there is no such folder."""
        if not (self.path / name).is_dir():
            return {}
        return {
            int(file.stem): file
            for file in (self.path / name).iterdir()
            if file.suffix.lower() in suffixes and file.stem.isdecimal()
        }

    def file(self, name: str) -> Path | None:
        """A file beside the transforms, where it is there."""
        return self.path / name if (self.path / name).is_file() else None

    def newest(self) -> float:
        """When the youngest file that an import may read was changed, or one was added or taken away."""
        return max(path.stat().st_mtime for path in self._all_files())

    def _all_files(self) -> Iterator[Path]:
        yield from self.transforms
        for name in FILES:
            if file := self.file(name):
                yield file
        for name in SUBFOLDERS:
            if (self.path / name).is_dir():
                yield self.path / name
                yield from (self.path / name).iterdir()


def read_picture(path: Path, flags: int = cv2.IMREAD_COLOR) -> UInt8[np.ndarray, "H W C"]:
    """A picture as OpenCV has it, channels in the order blue, green, red.

    Raises:
        UserError: if it cannot be read.
    """
    picture = cv2.imread(str(path), flags)
    if picture is None:
        raise UserError(f"{path}: no readable picture; extract it again")
    return picture


def read_landmarks(path: Path) -> Float[np.ndarray, "68 2"]:
    """An `.lms` file.

    Raises:
        UserError: if it is not 68 finite points.
    """
    try:
        points = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: unreadable ({error}); delete it, and it is interpolated") from None
    if points.shape != (LANDMARKS, 2) or not np.isfinite(points).all():
        raise UserError(f"{path}: not {LANDMARKS} landmarks of x and y; delete it, and it is interpolated")
    return points


def _transforms(path: Path) -> tuple[Path, Path | None]:
    """The files of training and of held-out frames: both after bundle adjustment, or both before it."""
    pairs = [(path / f"transforms_train{kind}.json", path / f"transforms_val{kind}.json") for kind in ("_ba", "")]
    there = [(train, val if val.is_file() else None) for train, val in pairs if train.is_file()]
    if not there:
        raise UserError(f"{path}: no transforms_train.json; this is no data folder of the AD-NeRF family")
    return next((pair for pair in there if pair[1]), there[0])


def _time(frame: tuple[int, int, np.ndarray]) -> int:
    return frame[1]


def _read_transforms(path: Path) -> tuple[dict[str, float], list[tuple[int, int, np.ndarray]]]:
    """Focal length and principal point; img_id, aud_id and transform_matrix of each frame."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        meta = {key: float(content[key]) for key in ("focal_len", "cx", "cy")}
        frames = [
            (
                int(frame["img_id"]),
                int(frame.get("aud_id", frame["img_id"])),
                np.array(frame["transform_matrix"], float),
            )
            for frame in content["frames"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: broken or of another form ({type(error).__name__}: {error})") from None
    if not (frames and all(np.isfinite(value) and value > 0 for value in meta.values())):
        raise UserError(f"{path}: no frames, or no focal length and principal point")
    for number, _, camera in frames:
        if camera.shape != (4, 4) or not np.isfinite(camera).all() or not _is_rotation(camera[:3, :3]):
            raise UserError(f"{path}: transform_matrix of frame {number} is no rotation and translation")
    return meta, frames


def _is_rotation(matrix: np.ndarray) -> bool:
    return np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-2) and np.linalg.det(matrix) > 0
