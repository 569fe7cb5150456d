"""Rows that are rendered: a field is trained, its held-out end and other speech are rendered and evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.data.dataset_folder import TRACK, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.ablation.audio_rows import AudioRow, AudioRows
from dfa_nerfstudio.evaluation.ablation.image_strips import write_strips
from dfa_nerfstudio.evaluation.ablation.ns_train import ns_train
from dfa_nerfstudio.evaluation.ablation.result_table import Column
from dfa_nerfstudio.evaluation.ablation.stored_row import (
    Settings,
    StoredRow,
    dataset_digest,
    file_digest,
    row_folder,
)
from dfa_nerfstudio.evaluation.ablation.system_rows import LIP_IMAGE_ROWS
from dfa_nerfstudio.evaluation.ablation.variants import FULL_MODEL
from dfa_nerfstudio.evaluation.cross_driven import LipPredictor
from dfa_nerfstudio.evaluation.evaluate import Evaluation, EvaluationConfig, evaluate
from dfa_nerfstudio.evaluation.evaluation_context import track_landmarks
from dfa_nerfstudio.evaluation.landmark_track import LandmarkTrack
from dfa_nerfstudio.evaluation.metric_registry import metric_infos
from dfa_nerfstudio.evaluation.report.evaluation_io import REPORT, load, save
from dfa_nerfstudio.evaluation.report.evaluation_page import PAGE, write_page
from dfa_nerfstudio.evaluation.systems.lip_scores import HELD_OUT
from dfa_nerfstudio.evaluation.video_pairs import MEAN_IMAGE, VideoPair, held_out_pair, mean_image_pair
from dfa_nerfstudio.jobs import Job, run_in_subprocess

METRICS = (
    *(("full", "psnr"), ("full", "ssim"), ("full", "lpips"), ("face", "psnr"), ("", "lmd")),
    *(("", "mouth_amplitude_ratio"), ("", "mouth_correlation"), ("", "mouth_closed_recall")),
    *(("", "sync"), ("", "sync_error"), ("", "cross_driven_sync"), ("", "cross_driven_sync_error"), ("", "lse_c")),
    *(("", "eyes_correlation"), ("", "blink_rate")),
)
"""Protocol and name of the metrics of rendered rows."""


def image_columns() -> tuple[Column, ...]:
    """Columns of rendered rows."""
    infos = metric_infos()
    return tuple(Column(infos[name], protocol) for protocol, name in METRICS)


@dataclass
class FieldTrainer:
    """Trains fields, each once for each seed, and keeps them."""

    data: Path
    """The dataset folder."""
    output: Path
    """Folder of runs and rows."""
    method: str
    """Name of the method whose parts are removed or replaced."""
    minutes: float
    """Training time of each field in minutes."""
    options: dict[str, list[str]]
    """Options of ns-train by the name of the field."""

    def settings(self, field: str, seed: int) -> Settings:
        """Everything that a field depends on."""
        options = [file_digest(Path(word)) if Path(word).is_file() else word for word in self.options[field]]
        return {
            "data": str(self.data.resolve()),  # config.yml names it
            "dataset": dataset_digest(self.data),
            "track": file_digest(self.data / TRACK),
            "minutes": self.minutes,
            "method": self.method,
            "options": [*options, seed],
        }

    def train(self, field: str, seed: int) -> tuple[Path, float]:
        """Trains a field unless it was trained before.

        Returns:
            The run's `config.yml`, and the training time in minutes.

        Raises:
            UserError: if the training fails.
        """
        run = self.output / "runs" / row_folder(field) / self.method / f"seed_{seed}"
        stored = StoredRow(run, self.settings(field, seed), partial(self._run, field, seed))
        return run / "config.yml", stored.values()["minutes"]

    def _run(self, field: str, seed: int) -> dict[str, float]:
        name, runs = row_folder(field), self.output / "runs"
        where = ["--output-dir", runs, "--experiment-name", name, "--timestamp", f"seed_{seed}"]
        schedule = ["--max-num-iterations", "1000000", "--pipeline.schedule.max-seconds", 60 * self.minutes]
        words = [self.method, "--data", self.data, *where, "--vis", "tensorboard", *schedule]
        words += ["--machine.seed", seed, *self.options[field]]
        # In a process that ends with this one: a training that went on would disturb the next run.
        job = Job(name, runs / name, ns_train, ([str(word) for word in words],))
        if reason := run_in_subprocess(job):
            raise UserError(f"ns-train {' '.join(job.arguments[0])}: failed: {reason}")
        return {"minutes": self.minutes}


@dataclass
class ImageRows:
    """Evaluates rendered rows; what was done before with the same settings is kept."""

    trainer: FieldTrainer
    evaluation: EvaluationConfig
    audio: AudioRows
    """Lip models that drive the full model's field."""
    _truth: LandmarkTrack | None = field(default=None, init=False)
    """Landmarks of the true held-out end, once they are tracked."""

    def values(self, name: str, seed: int) -> dict[str, float]:
        """Metrics of a row by column key.

        Raises:
            UserError: if the training fails, or a metric cannot be computed.
        """
        return self.stored(name, seed).values()

    def stored(self, name: str, seed: int) -> StoredRow:
        """A row with its report and image strips."""
        settings = self.settings(name, seed) | {"row": name, **self._scoring_settings}
        return StoredRow(self.folder(name, seed), settings, partial(self._evaluate, name, seed))

    def settings(self, name: str, seed: int) -> Settings:
        """Everything that the rendered frames of a row depend on."""
        settings = self.trainer.settings(self.field_of(name), seed)
        if name in LIP_IMAGE_ROWS:
            settings["lips"] = self.audio.settings(AudioRow("lips", name, seed))
        return settings

    def folder(self, name: str, seed: int) -> Path:
        """Folder of a row and seed."""
        return self.trainer.output / "rows" / row_folder(name) / f"seed_{seed}"

    def evaluation_of(self, name: str, seed: int) -> Evaluation:
        """The whole evaluation of a row that has values."""
        return load(self.folder(name, seed))

    def mean_image_values(self) -> dict[str, float]:
        """Metrics of the mean training image by column key."""
        folder = DatasetFolder.open(self.trainer.data)
        settings = {"dataset": dataset_digest(folder.path), **self._scoring_settings}
        place = self.trainer.output / "rows" / row_folder(MEAN_IMAGE)
        return StoredRow(place, settings, lambda: _column_values(self._score(mean_image_pair(folder)))).values()

    @staticmethod
    def field_of(row: str) -> str:
        """The field of a rendered row: lip models drive that of the full model."""
        return FULL_MODEL if row in LIP_IMAGE_ROWS else row

    def _evaluate(self, name: str, seed: int) -> dict[str, float]:
        config, minutes = self.trainer.train(self.field_of(name), seed)
        predict_lips: LipPredictor | None = None
        if name in LIP_IMAGE_ROWS:
            shapes = self.audio.lip_shapes(name, seed)
            minutes += self.audio.values(AudioRow("lips", name, seed))["minutes"]
            predict_lips = _stored_lips(shapes)
        pair = held_out_pair(config, self.evaluation.speech, predict_lips=predict_lips)
        evaluation = self._score(pair)
        folder = self.folder(name, seed)
        save(evaluation, folder / REPORT)
        write_page(folder / PAGE, evaluation, pair)
        write_strips(folder, evaluation, pair)
        return _column_values(evaluation) | {"minutes": minutes}

    def _score(self, pair: VideoPair) -> Evaluation:
        if self._truth is None:  # every row has the same true video
            self._truth = track_landmarks(pair.truth, "the truth")
        return evaluate(pair, self.evaluation, self._truth)

    @property
    def _scoring_settings(self) -> Settings:
        options = vars(self.evaluation) | {"speech": [file_digest(path) for path in self.evaluation.speech]}
        return {name: file_digest(value) if isinstance(value, Path) else value for name, value in options.items()}


def _column_values(evaluation: Evaluation) -> dict[str, float]:
    """Metrics of an evaluation by column key."""
    found = {column.key: evaluation.metric(column.protocol, column.info.name) for column in image_columns()}
    return {key: value for key, value in found.items() if value is not None}


def _stored_lips(shapes: dict[str, Float[Tensor, "T K"]]) -> LipPredictor:
    """Looks predicted lips up by the name of the audio file."""

    def predict(path: Path | None) -> Float[Tensor, "T K"]:
        return shapes[HELD_OUT if path is None else path.name]

    return predict
