"""Reads and checks a data folder of the AD-NeRF family.

    transforms_train.json, transforms_val.json   focal_len, cx, cy and per frame img_id, aud_id, transform_matrix;
                                                 with `_ba` before the dot: after bundle adjustment, preferred
    gt_imgs/ com_imgs/ ori_imgs/                 images, the first of these folders that is complete
    ori_imgs/N.lms                               68 landmarks, x and y in pixels
    parsing/ torso_imgs/ head_imgs/              masks of person and torso (`mask_import`)
    bc.jpg  aud.wav  bs.npy  au.csv              background, audio, eyes

A file's number is its name, with or without leading zeros.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from dfa_nerfstudio.data.inside_folder import check_link
from dfa_nerfstudio.errors import UserError, brief
from dfa_nerfstudio.face.head_pose import is_rigid
from dfa_nerfstudio.face.landmarks_68 import NUM_LANDMARKS_68
from dfa_nerfstudio.media.json_file import is_number, read_json

IMAGE_FOLDERS = ("gt_imgs", "com_imgs", "ori_imgs")
SUBFOLDERS = (*IMAGE_FOLDERS, "parsing", "torso_imgs", "head_imgs")
FILES = ("bc.jpg", "aud.wav", "bs.npy", "au.csv")
LENGTHS = ("focal_len", "cx", "cy")
"""Focal length and principal point in pixels."""
MAX_LENGTH, MAX_NUMBER = 1e6, 10**8
"""Largest length, or coordinate of a landmark, in pixels; and largest number of an image or a frame."""
ADVICE = "write it again with the program that made this folder"


@dataclass
class ADNeRFFolder:
    """A data folder with N frames at 25 frames/s, in temporal order.

    Example:
        >>> folder = ADNeRFFolder.open(Path("data/obama"))  # doctest: +SKIP
        >>> folder.cameras[: folder.num_train]  # doctest: +SKIP
    """

    path: Path
    transforms: list[Path]
    """The `transforms_*.json` files that are read."""
    focal: float
    """Focal length in pixels of an image of size `size`."""
    size: tuple[float, float]
    """Width and height of the images that the poses were estimated in: twice the principal point."""
    image_ids: Int[np.ndarray, " N"]
    """Number of each frame's image."""
    time_ids: Int[np.ndarray, " N"]
    """Frame of the audio, at 25 frames/s, that belongs to each image; ascending."""
    cameras: Float[np.ndarray, "N 4 4"]
    """Transforms from camera space to the folder's own head space, OpenGL axes."""
    num_train: int
    """Number of frames of `transforms_train`, which come first; those of `transforms_val` follow."""

    @classmethod
    def open(cls, path: Path) -> ADNeRFFolder:
        """Reads the transforms.

        Raises:
            UserError: if they are missing or damaged, if the held-out frames do not come last, or if a file is a link
                that leads out of the folder.
        """
        if not path.is_dir():
            raise UserError(f"{path}: no such folder; a folder with transforms_train.json is needed")
        train_file, val_file = _transforms(path)
        meta, train = _read_transforms(train_file)
        val = []
        if val_file:
            val_meta, val = _read_transforms(val_file)
            if not np.allclose(list(meta.values()), list(val_meta.values()), rtol=1e-3):
                raise UserError(
                    f"{val_file}: its focal length or principal point is not that of {train_file.name}; make them equal"
                )
        times = {time for _, time, _ in train}
        val = [frame for frame in val if frame[1] not in times]  # training frames are not held out
        if val and min(time for _, time, _ in val) < max(times):
            raise UserError(
                f"{val_file}: its frames do not all come after those of {train_file.name}, but held-out frames must be "
                "the last ones; move frames from one file to the other"
            )
        frames = sorted(train, key=_time) + sorted(val, key=_time)
        image_ids, time_ids, cameras = (np.array(column) for column in zip(*frames, strict=True))
        if (np.diff(time_ids) == 0).any():
            raise UserError(
                f"{train_file}: frame {time_ids[:-1][np.diff(time_ids) == 0][0]} is listed twice; delete one entry"
            )
        folder = cls(
            path=path,
            transforms=[file for file in (train_file, val_file) if file],
            focal=meta["focal_len"],
            size=(2 * meta["cx"], 2 * meta["cy"]),
            image_ids=image_ids,
            time_ids=time_ids,
            cameras=cameras,
            num_train=len(train),
        )
        for file in folder._all_files():
            check_link(path, file)
        return folder

    @cached_property
    def images(self) -> dict[int, Path]:
        """The images by number, from the first folder that has one for every frame.

        Raises:
            UserError: if no folder has all images.
        """
        problem = ""
        for name in IMAGE_FOLDERS:
            found = self.numbered(name, ".jpg", ".jpeg", ".png")
            missing = [number for number in self.image_ids if number not in found]
            if found and not missing:
                return found
            if found and not problem:
                problem = f"{self.path / name}: no image of frame {missing[0]} ({len(missing)} are missing)"
        raise UserError(problem or f"{self.path}: no images; {', '.join(IMAGE_FOLDERS[:2])} or ori_imgs is needed")

    def numbered(self, name: str, *suffixes: str) -> dict[int, Path]:
        """The files of a subfolder by number; empty if there is no such folder."""
        if not (self.path / name).is_dir():
            return {}
        return {
            int(file.stem): file
            for file in (self.path / name).iterdir()
            if file.suffix.lower() in suffixes and file.stem.isdecimal()
        }

    def file(self, name: str) -> Path | None:
        """Path of a file beside the transforms, or None if it does not exist."""
        return self.path / name if (self.path / name).is_file() else None

    def latest_mtime(self) -> float:
        """Latest modification time of the files and folders that an import may read, in seconds since the epoch."""
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


def read_landmarks(path: Path) -> Float[np.ndarray, "68 2"]:
    """Reads an `.lms` file.

    Raises:
        UserError: if it does not hold 68 finite points.
    """
    try:
        points = np.array([line.split() for line in path.read_text().splitlines() if line.strip()], dtype=np.float64)
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: unreadable ({brief(error)}); delete it to interpolate the landmarks") from None
    if points.shape != (NUM_LANDMARKS_68, 2) or not (np.abs(points) <= MAX_LENGTH).all():
        raise UserError(f"{path}: not {NUM_LANDMARKS_68} rows of x and y; delete it to interpolate the landmarks")
    return points


def _transforms(path: Path) -> tuple[Path, Path | None]:
    """The transforms of training and of held-out frames: both after bundle adjustment, or both before it."""
    pairs = [(path / f"transforms_train{kind}.json", path / f"transforms_val{kind}.json") for kind in ("_ba", "")]
    existing = [(train, val if val.is_file() else None) for train, val in pairs if train.is_file()]
    if not existing:
        raise UserError(f"{path}: no transforms_train.json, so this is no data folder of the AD-NeRF family")
    return next((pair for pair in existing if pair[1]), existing[0])


def _time(frame: tuple[int, int, np.ndarray]) -> int:
    return frame[1]


def _read_transforms(path: Path) -> tuple[dict[str, float], list[tuple[int, int, np.ndarray]]]:
    """Reads focal length and principal point, and img_id, aud_id and transform_matrix of each frame."""
    content = read_json(path, ADVICE)
    for key in LENGTHS:
        if not is_number(content.get(key), 1, MAX_LENGTH):
            raise UserError(f"{path}: damaged ({key} is {reprlib.repr(content.get(key))}); {ADVICE}")
    listed = content.get("frames")
    if not isinstance(listed, list) or not listed or not all(isinstance(frame, dict) for frame in listed):
        raise UserError(f"{path}: damaged (holds no frames); {ADVICE}")
    frames = []
    for frame in listed:
        image, time = frame.get("img_id"), frame.get("aud_id", frame.get("img_id"))
        if not all(is_number(number, 0, MAX_NUMBER) and number % 1 == 0 for number in (image, time)):
            ids = f"img_id {reprlib.repr(image)}, aud_id {reprlib.repr(time)}"
            raise UserError(f"{path}: damaged (a frame has {ids}); {ADVICE}")
        try:
            camera = np.array(frame.get("transform_matrix"), float)
        except (ValueError, TypeError, OverflowError):  # of another shape, no numbers, too large
            camera = np.zeros(0)
        if camera.shape != (4, 4) or not is_rigid(camera):
            raise UserError(f"{path}: transform_matrix of frame {image} is not a rotation and a translation; {ADVICE}")
        frames.append((int(image), int(time), camera))
    return {key: float(content[key]) for key in LENGTHS}, frames
