"""A dataset folder made small enough to be carried to another machine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2

from benchmarks.record import console
from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, AUDIO, BACKGROUND, TRACK, TRANSFORMS, DatasetFolder
from dfa_nerfstudio.errors import UserError

_QUALITIES = range(95, 39, -5)


@dataclass
class Portable:
    """Copies what training and scoring read of a dataset folder; its frames as JPEG of the best quality that fits."""

    data: Path
    """A dataset folder with its track."""
    target: Path
    """The copy to make."""
    shared: Path = Path("../shared")
    """Not used; every benchmark takes it."""
    mib: float = 40.0
    """What the frames may take."""

    def run(self) -> None:
        """Makes the copy and says at what quality."""
        folder = DatasetFolder.open(self.data)
        if self.target.exists():
            raise UserError(f"{self.target}: exists already; name another folder or remove it")
        for key in ("file_path", "person_mask_path", "torso_mask_path"):
            (self.target / folder.meta["frames"][0][key]).parent.mkdir(parents=True, exist_ok=True)
        for name in (TRANSFORMS, ATTRIBUTES, AUDIO, BACKGROUND, TRACK):
            shutil.copy(folder.path / name, self.target / name)
        for frame in folder.meta["frames"]:
            for key in ("person_mask_path", "torso_mask_path"):
                shutil.copy(folder.path / frame[key], self.target / frame[key])
        paths = [frame["file_path"] for frame in folder.meta["frames"]]
        for quality in _QUALITIES:
            if self._size(paths[::20], quality) * 20 < self.mib * 2**20:
                size = self._size(paths, quality)
                console.print(f"{self.target}: {len(paths)} frames, {size / 2**20:.1f} MiB, JPEG quality {quality}")
                return
        raise UserError(f"{self.data}: too many frames for {self.mib:g} MiB; take a smaller size of picture")

    def _size(self, paths: list[str], quality: int) -> int:
        for path in paths:
            image = cv2.imread(str(self.data / path))
            cv2.imwrite(str(self.target / path), image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return sum((self.target / path).stat().st_size for path in paths)
