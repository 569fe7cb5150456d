"""The people of the app: a folder for each of them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.report.evaluation_page import FOLDER, PAGE
from dfa_nerfstudio.workflow.person_folder import SOURCE, TALKING, UPLOADS, PersonFolder
from dfa_nerfstudio.workflow.preview import PREVIEW
from dfa_nerfstudio.workflow.train_field import RUNS

NAME = re.compile(r"\w[\w -]{0,59}")
"""Letters, digits, spaces and hyphens, in any script."""
MEDIA_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")


class Library:
    """The folder of all people.

    Args:
        path: the folder; made if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.path.mkdir(parents=True, exist_ok=True)

    def names(self) -> list[str]:
        """Names of all people, in alphabetical order."""
        return sorted(path.name for path in self.path.iterdir() if path.is_dir() and NAME.fullmatch(path.name))

    def person(self, name: str) -> PersonFolder:
        """The folder of a person, who may be new.

        Raises:
            UserError: if the name cannot be one.
        """
        name = name.strip()
        if not NAME.fullmatch(name):
            raise UserError("give a name of letters, digits, spaces and hyphens, at most 60")
        return PersonFolder(self.path / name, overwrite=True)

    def store_video(self, name: str, upload: Path) -> Path:
        """Copies an uploaded video into the person's folder, in the place of an earlier one; returns the copy."""
        folder = self.person(name).path
        folder.mkdir(exist_ok=True)
        for old in folder.glob(f"{SOURCE}.*"):
            old.unlink()
        return Path(shutil.copyfile(upload, folder / f"{SOURCE}{_suffix(upload)}"))

    def source_video(self, name: str) -> Path | None:
        """The person's uploaded video."""
        return next(iter(self.person(name).path.glob(f"{SOURCE}.*")), None)

    def store_upload(self, name: str, upload: Path) -> Path:
        """Copies uploaded speech, or a background, into the person's folder under a free name; returns the copy."""
        folder = self.person(name).path / UPLOADS
        folder.mkdir(parents=True, exist_ok=True)
        stem = re.sub(r"[^\w-]+", "_", upload.stem).strip("_")[:40] or "upload"
        number = 1
        while list(folder.glob(f"{stem}_{number:02d}.*")):
            number += 1
        return Path(shutil.copyfile(upload, folder / f"{stem}_{number:02d}{_suffix(upload)}"))

    def preview(self, name: str) -> Path | None:
        """The latest preview of the training of the person's renderer."""
        return next(iter(self.person(name).path.glob(f"{RUNS}/*/*/{PREVIEW}")), None)

    def evaluation(self, name: str) -> Path | None:
        """The page with the evaluation of the person's renderer, if there is one."""
        config = self.person(name).config
        page = config and config.parent / FOLDER / PAGE
        return page if page and page.is_file() else None

    def delete(self, name: str) -> None:
        """Deletes a person with all files."""
        shutil.rmtree(self.person(name).path, ignore_errors=True)

    def talking_videos(self, name: str) -> list[Path]:
        """The person's talking videos, newest first."""
        videos = self.person(name).path.glob(f"{TALKING}/[!.]*")
        return sorted(videos, key=lambda path: path.stat().st_mtime, reverse=True)


def _suffix(upload: Path) -> str:
    suffix = upload.suffix.lower()
    return suffix if MEDIA_SUFFIX.fullmatch(suffix) else ".bin"
