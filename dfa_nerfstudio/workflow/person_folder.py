"""A person's folder: everything between their video and their talking videos, stage by stage, resumable."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console

from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME
from dfa_nerfstudio.attributes.train_attributes import AttributesConfig, train_attributes
from dfa_nerfstudio.data.dataset_folder import REPORT_FILE, TRACK, TRANSFORMS
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.file_hash import file_sha256
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport
from dfa_nerfstudio.reporting.progress import report_progress
from dfa_nerfstudio.talk.find_run import CONFIG
from dfa_nerfstudio.workflow.stage_records import FILE, Stage, StageRecords, recorded_options
from dfa_nerfstudio.workflow.train_field import RUNS, TrainConfig, train_field

DATA, TALKING = "data", "talking"
"""Names of the dataset folder and of the folder of talking videos."""
SOURCE, UPLOADS = "source", "uploads"
"""Names, in the app's library, of the uploaded video without its suffix, and of the folder of other uploads."""
LOCK = ".stages.lock"


class PersonFolder:
    """A folder with the dataset, the attribute models, the renderer and the talking videos of one person.

    Each stage runs once. An interrupted training of the renderer goes on where it stopped. With another video or other
    options, a stage runs again, and those after it, only where `overwrite` allows it.

    The folder contains:

    - `data/`: dataset folder with attribute models, as of `dfa-process` and `dfa-attributes`;
    - `runs/METHOD/run/`: run of the renderer, as of `ns-train`, with `preview.jpg`;
    - `talking/`: talking videos;
    - `source.mp4`, `uploads/`: what was uploaded to `dfa-app`;
    - `stages.json`: which stages are done.

    Args:
        path: the folder; it is made when the first stage runs.
        overwrite: whether results of another video or other options are replaced.

    Raises:
        UserError: if the path is a file, or a folder with other files.
    """

    def __init__(self, path: Path | str, overwrite: bool = False) -> None:
        path = Path(path)
        if path.is_file():
            raise UserError(f"{path}: is a file; give a folder")
        others = [file for file in path.glob("[!.]*") if file.stem not in (SOURCE, UPLOADS)]
        if others and not (path / FILE).exists():
            raise UserError(f"{path}: contains other files; give a new or empty folder")
        self.path, self.overwrite = path, overwrite
        self.records = StageRecords(path)

    @property
    def data(self) -> Path:
        """The dataset folder."""
        return self.path / DATA

    @property
    def report(self) -> ProcessReport | None:
        """What preprocessing found; None before it has finished."""
        return ProcessReport.read(self.data / REPORT_FILE) if self.records.is_finished("process") else None

    @property
    def config(self) -> Path | None:
        """The `config.yml` of the trained renderer; None before its training has finished."""
        found = list(self.path.glob(f"{RUNS}/*/*/{CONFIG}")) if self.records.is_finished("train") else []
        return found[0] if found else None

    def process(self, video: Path | str, config: ProcessConfig, console: Console | None = None) -> bool:
        """Converts the video to the dataset folder; returns False if that was done already.

        Raises:
            UserError: see `process_video`.
        """
        if config.scene_cut == "split":
            raise UserError(
                "`process.scene_cut=split`: one folder holds one person in one scene; run dfa-process with it, then "
                "the other commands on each dataset folder"
            )
        video = Path(video)
        if not video.is_file():
            raise UserError(f"{video}: no such file; give the video of a person talking")
        from dfa_nerfstudio.preprocessing.process_video import process_video  # the import takes a second

        options = recorded_options(config) | {"video": file_sha256(video)}
        with self._stage("process", options, self.data / TRANSFORMS) as to_do:
            if to_do:
                shutil.rmtree(self.data, ignore_errors=True)
                process_video(video, self.data, config, console)
        return to_do

    def train_attributes(self, config: AttributesConfig) -> bool:
        """Trains the attribute models; returns False if that was done already.

        Raises:
            UserError: see `train_attributes`.
        """
        self._require("process", "process a video first")
        outputs = self.data / MODELS_FILE_NAME, self.data / TRACK
        with self._stage("attributes", recorded_options(config), *outputs) as to_do:
            if to_do:
                report_progress("attribute models")
                train_attributes(self.data, config)
        return to_do

    def train_field(self, config: TrainConfig) -> bool:
        """Trains the renderer; returns False if that was done already.

        Raises:
            UserError: see `train_field`.
            KeyboardInterrupt: after an interrupt; the next call goes on from the checkpoint.
        """
        self._require("attributes", "train the attribute models first")
        options = recorded_options(config)
        resumes = self.records.was_started("train") and not self.records.differences("train", options)
        with self._stage("train", options, self.path / RUNS) as to_do:
            if to_do:
                if not resumes:
                    shutil.rmtree(self.path / RUNS, ignore_errors=True)
                report_progress("training the renderer")
                train_field(self.data, self.path, config)
        return to_do

    def is_trained_with(self, attributes: AttributesConfig, train: TrainConfig) -> bool:
        """Whether the renderer has been trained with these options, so that another training would change nothing."""
        options: dict[Stage, dict[str, Any]] = {
            "attributes": recorded_options(attributes),
            "train": recorded_options(train),
        }
        return self.config is not None and not any(
            self.records.differences(stage, values) for stage, values in options.items()
        )

    def talking_video(self, audio: Path, suffix: str = ".mp4") -> Path:
        """Returns the path of the talking video of an audio file."""
        return self.path / TALKING / f"{audio.stem}{suffix}"

    def _require(self, stage: Stage, advice: str) -> None:
        if not self.records.is_finished(stage):
            raise UserError(f"{self.path}: {advice}")

    @contextlib.contextmanager
    def _stage(self, stage: Stage, options: dict[str, Any], *outputs: Path) -> Iterator[bool]:
        """Yields whether a stage is to be done, and records that it is started and, without an exception, finished.

        Raises:
            UserError: if it was done with other options, or another process works in the folder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise UserError(f"{self.path}: another process works in this folder; wait for it") from None
        try:
            different = self.records.differences(stage, options) if self.records.is_finished(stage) else []
            if different and not self.overwrite:
                raise UserError(
                    f"{self.path}: the stage {stage} was done with other options ({'; '.join(different)}): give the "
                    "same, another `output`, or `overwrite` to do it again"
                )
            if self.records.is_finished(stage) and not different and all(path.exists() for path in outputs):
                yield False
                return
            self.records.start(stage, options)
            yield True
            self.records.finish(stage)
        finally:
            lock.release()
