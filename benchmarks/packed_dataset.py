"""Packs a dataset folder to copy it to a GPU machine, and unpacks it there.

Images and masks are packed as videos. PyAV writes them; OpenCV reads them, because the GPU machine may lack PyAV.
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
from dfa_nerfstudio.media.rates import FRAME_RATE

VIDEOS = {"file_path": "images.mp4", "person_mask_path": "masks.mp4", "torso_mask_path": "torso_masks.mp4"}
"""Packed video of each file key of a frame."""
_QUALITIES = range(0, 32, 4)
"""H.264 constant rate factors to try for images, best quality first."""
_MASK_CRF = 16
"""H.264 constant rate factor of masks."""


@dataclass
class PackDataset:
    """Copies the files of a dataset folder that training and scoring read; images as H.264 of the best quality that
    fits."""

    data: Path
    """A dataset folder with its track."""
    target: Path
    """Folder of the packed copy; it must not exist."""
    shared: Path = Path("../shared")
    """Unused; every benchmark has this option."""
    mib: float = 40.0
    """Maximum size of each video, in MiB."""

    def run(self) -> None:
        """Writes the copy and prints size, rate factor and PSNR of each video."""
        folder = DatasetFolder.open(self.data)
        if self.target.exists():
            raise UserError(f"{self.target}: exists already; name another folder or remove it")
        self.target.mkdir(parents=True)
        for name in (TRANSFORMS, ATTRIBUTES, AUDIO, BACKGROUND, TRACK):
            shutil.copy(folder.path / name, self.target / name)
        for key in VIDEOS:
            qualities = _QUALITIES if key == "file_path" else (_MASK_CRF,)
            fits = (quality for quality in qualities if self._encode(folder, key, quality) < self.mib * 2**20)
            if (quality := next(fits, None)) is None:
                raise UserError(f"{self.data}: too many frames for {self.mib:g} MiB; reduce their size or raise `mib`")
            size = (self.target / VIDEOS[key]).stat().st_size / 2**20
            kept = self._fidelity(folder, key)
            console.print(f"{VIDEOS[key]}: {size:.1f} MiB, H.264 at {quality}, {kept:.1f} dB to the originals")

    def _encode(self, folder: DatasetFolder, key: str, quality: int) -> int:
        """Writes a video and returns its size in bytes."""
        import av  # imported here, because the machine that unpacks may lack it

        path = self.target / VIDEOS[key]
        options = {"crf": str(quality), "preset": "veryfast"}
        with av.open(path, "w") as container:
            stream = container.add_stream("libx264", rate=round(FRAME_RATE), options=options)
            stream.width, stream.height = folder.size
            stream.pix_fmt = "yuv444p"
            for image in _read_images(folder.path, folder.meta, key):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
            container.mux(stream.encode())
        return path.stat().st_size

    def _fidelity(self, folder: DatasetFolder, key: str) -> float:
        """PSNR in dB of the decoded video with respect to the original files."""
        pairs = zip(_read_video(self.target / VIDEOS[key]), _read_images(folder.path, folder.meta, key), strict=True)
        error = np.mean([np.square(np.subtract(seen, true, dtype=np.float64)).mean() for seen, true in pairs])
        return float(-10 * np.log10(max(error, 1e-9) / 255**2))


def unpack_dataset(path: Path, target: Path) -> DatasetFolder:
    """Unpacks a packed dataset folder to image files and opens it; opens any other dataset folder in place.

    Args:
        path: a dataset folder, packed or not.
        target: folder to unpack to; it is overwritten.
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
            frame[key] = str(Path(frame[key]).with_suffix(".png"))  # lossless, so that unpacking does not degrade again
        (target / meta["frames"][0][key]).parent.mkdir(parents=True, exist_ok=True)
        names = [str(target / frame[key]) for frame in meta["frames"]]
        images = _read_video(path / video)
        if key != "file_path":
            images = (image[:, :, 1] for image in images)
        with ThreadPoolExecutor() as pool:
            written = list(pool.map(cv2.imwrite, names, images))
        if not all(written) or len(written) != len(names):
            raise UserError(f"{path / video}: does not hold the {len(names)} frames of {TRANSFORMS}; copy it again")
    (target / TRANSFORMS).write_text(json.dumps(meta))
    return DatasetFolder.open(target)


def _read_images(path: Path, meta: dict[str, Any], key: str) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    for frame in meta["frames"]:
        yield np.ascontiguousarray(cv2.imread(str(path / frame[key]), cv2.IMREAD_COLOR))


def _read_video(video: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    reader = cv2.VideoCapture(str(video))
    while True:
        success, image = reader.read()
        if not success:
            return
        yield image
