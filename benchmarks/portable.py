"""A dataset folder made small enough to be carried to another machine, and unpacked there.

Pictures and masks travel as videos: PyAV writes them here, and OpenCV, which is everywhere, reads them there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from benchmarks.record import console
from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, AUDIO, BACKGROUND, TRACK, TRANSFORMS, DatasetFolder
from dfa_nerfstudio.errors import UserError

VIDEOS = {"file_path": "images.mp4", "person_mask_path": "masks.mp4", "torso_mask_path": "torso_masks.mp4"}
"""The video that holds what each key of a frame names."""
_QUALITIES = range(0, 32, 4)
"""Constant rate factors of H.264, the best first."""
_MASKS = 16


@dataclass
class Portable:
    """Copies what training and scoring read of a dataset folder; its pictures as H.264 of the best quality that
    fits."""

    data: Path
    """A dataset folder with its track."""
    target: Path
    """The copy to make."""
    shared: Path = Path("../shared")
    """Not used; every benchmark takes it."""
    mib: float = 40.0
    """What the pictures may take."""

    def run(self) -> None:
        """Makes the copy and says at what quality."""
        folder = DatasetFolder.open(self.data)
        if self.target.exists():
            raise UserError(f"{self.target}: exists already; name another folder or remove it")
        self.target.mkdir(parents=True)
        for name in (TRANSFORMS, ATTRIBUTES, AUDIO, BACKGROUND, TRACK):
            shutil.copy(folder.path / name, self.target / name)
        for key in VIDEOS:
            qualities = _QUALITIES if key == "file_path" else (_MASKS,)
            fits = (quality for quality in qualities if self._encode(folder, key, quality) < self.mib * 2**20)
            if (quality := next(fits, None)) is None:
                raise UserError(f"{self.data}: too many frames for {self.mib:g} MiB; take a smaller size of picture")
            size = (self.target / VIDEOS[key]).stat().st_size / 2**20
            kept = self._fidelity(folder, key)
            console.print(f"{VIDEOS[key]}: {size:.1f} MiB, H.264 at {quality}, {kept:.1f} dB to the originals")

    def _encode(self, folder: DatasetFolder, key: str, quality: int) -> int:
        """Writes a video; its bytes."""
        import av  # not where it is unpacked

        path = self.target / VIDEOS[key]
        options = {"crf": str(quality), "preset": "veryfast"}
        with av.open(path, "w") as container:
            stream = container.add_stream("libx264", rate=25, options=options)
            stream.width, stream.height = folder.size
            stream.pix_fmt = "yuv444p"
            for picture in _pictures(folder.path, folder.meta, key):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
            container.mux(stream.encode())
        return path.stat().st_size

    def _fidelity(self, folder: DatasetFolder, key: str) -> float:
        """PSNR in dB of the video, as it will be read, to what it was made of."""
        pairs = zip(_frames(self.target / VIDEOS[key]), _pictures(folder.path, folder.meta, key), strict=True)
        error = np.mean([np.square(np.subtract(seen, true, dtype=np.float64)).mean() for seen, true in pairs])
        return float(-10 * np.log10(max(error, 1e-9) / 255**2))


def unpacked(path: Path, target: Path) -> DatasetFolder:
    """A dataset folder that was made portable, with files for its pictures again; one that was not, as it is.

    Args:
        path: a dataset folder.
        target: where to unpack it.
    """
    if not all((path / video).is_file() for video in VIDEOS.values()):
        return DatasetFolder.open(path)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    meta = json.loads((path / TRANSFORMS).read_text())
    for name in (ATTRIBUTES, AUDIO, BACKGROUND, TRACK):
        shutil.copy(path / name, target / name)
    for key, video in VIDEOS.items():
        for frame in meta["frames"]:
            frame[key] = str(Path(frame[key]).with_suffix(".png"))  # a JPEG would lose once more
        (target / meta["frames"][0][key]).parent.mkdir(parents=True, exist_ok=True)
        names = [str(target / frame[key]) for frame in meta["frames"]]
        pictures = _frames(path / video)
        if key != "file_path":
            pictures = (picture[:, :, 1] for picture in pictures)
        with ThreadPoolExecutor() as pool:
            written = list(pool.map(cv2.imwrite, names, pictures))
        if not all(written) or len(written) != len(names):
            raise UserError(f"{path / video}: does not hold the {len(names)} frames of {TRANSFORMS}; copy it again")
    (target / TRANSFORMS).write_text(json.dumps(meta))
    return DatasetFolder.open(target)


def _pictures(path: Path, meta: dict[str, Any], key: str) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    for frame in meta["frames"]:
        yield np.ascontiguousarray(cv2.imread(str(path / frame[key]), cv2.IMREAD_COLOR))


def _frames(video: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    reader = cv2.VideoCapture(str(video))
    while True:
        there, picture = reader.read()
        if not there:
            return
        yield picture
