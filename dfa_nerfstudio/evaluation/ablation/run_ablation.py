"""`dfa-eval ablate`: trains and evaluates variants; finished rows are kept, so an interrupted run can be resumed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data.dataset_folder import TRACK, DatasetFolder
from dfa_nerfstudio.errors import UserError, as_flags
from dfa_nerfstudio.evaluation.ablation.ablation_page import AblationResults, row_folder, write_ablations
from dfa_nerfstudio.evaluation.ablation.image_strips import read_strips, write_strips
from dfa_nerfstudio.evaluation.ablation.latent_identity import project_latents
from dfa_nerfstudio.evaluation.ablation.motion_variants import MOTION_VARIANTS, MotionRow, motion_row, require_held_out
from dfa_nerfstudio.evaluation.ablation.ns_train import ns_train
from dfa_nerfstudio.evaluation.ablation.variants import CONDITIONING_VARIANTS, DEFAULT_FIELD_VARIANTS, FIELD_VARIANTS
from dfa_nerfstudio.evaluation.evaluate import Evaluation, EvaluationConfig, evaluate
from dfa_nerfstudio.evaluation.report.evaluation_io import REPORT, load, save
from dfa_nerfstudio.evaluation.report.evaluation_page import PAGE, write_page
from dfa_nerfstudio.evaluation.video_pairs import held_out_pair
from dfa_nerfstudio.jobs import Job, run_in_subprocess
from dfa_nerfstudio.media.audio import audio_duration
from dfa_nerfstudio.reporting.console import make_console

FEATURES = "features of {}"
"""Name of the row of Table 5 for a feature file."""
TRAINED, SCORED = "trained.json", "scored.json"
"""Files in a row's folder that hold the settings of its training and of its evaluation."""


@dataclass
class AblateConfig:
    """Variants to train and their common settings."""

    data: tyro.conf.Positional[Path]
    """A dataset folder with its attribute track."""
    output: Path | None = None
    """Folder of runs and tables; by default NAME_ablations beside the dataset folder NAME."""
    minutes: float = 3.0
    """Training time of each row of the renderer in minutes."""
    method: Literal["dfa-nerf-lite", "dfa-nerf"] = "dfa-nerf-lite"
    """The method whose parts are removed or replaced."""
    seed: int | None = None
    """Seed of the renderer's trainings; nerfstudio's default if None. Runs with other seeds and outputs show the
    variance."""
    only: tuple[str, ...] = ()
    """Names of the rows to train, any variant of the field included. By default the paper's tables and the variants of
    the field with the largest effect."""
    audio_features: tuple[Path, ...] = ()
    """Feature files (.npy, a row for each frame) that become further rows of Table 5."""
    reference_clips: tuple[Path, ...] = ()
    """Dataset folders of other people's videos, for Fig. 6; without them it is left out."""
    evaluation: tyro.conf.OmitArgPrefixes[EvaluationConfig] = field(default_factory=EvaluationConfig)
    """Protocols, pretrained scorers and additional audio."""


def ablate(config: tyro.conf.OmitArgPrefixes[AblateConfig]) -> None:
    """Trains variants of the method for the same time each, evaluates them on the held-out end, and writes tables:
    conditions of the mouth (Table 5), motion models (Table 4), f_e (Fig. 7), the latent space (Fig. 6), AD-NeRF
    conditioning (Table 2) and variants of the field. Rows that were trained or evaluated before with the same options
    are kept.

    Raises:
        UserError: for bad input, or a row whose training failed.
    """
    folder = DatasetFolder.open(config.data)
    if not (folder.path / TRACK).is_file():
        raise UserError(f"{folder.path}: has no attribute track; run dfa-attributes {folder.path}")
    if not len(folder.held_out_frames):
        raise UserError(f"{folder.path}: no frame is held out; run dfa-process again with some `held_out` frames")
    if config.minutes <= 0:
        raise UserError(f"`minutes={config.minutes:g}`: must be more than 0")
    for path in config.evaluation.speech:
        audio_duration(path)  # reports unreadable files before anything trains
    files = {FEATURES.format(path.name): ["dfa-data", "--mouth", str(path)] for path in config.audio_features}
    renderer = CONDITIONING_VARIANTS | files | FIELD_VARIANTS
    if unknown := set(config.only) - set(renderer) - set(MOTION_VARIANTS):
        names = ", ".join([*renderer, *MOTION_VARIANTS])
        raise UserError(f"`only={unknown.pop()}`: no such row; there are {names}")
    console = make_console()
    rows = config.only or (*CONDITIONING_VARIANTS, *files, *DEFAULT_FIELD_VARIANTS, *MOTION_VARIANTS)
    if not set(rows).isdisjoint(MOTION_VARIANTS):
        try:
            require_held_out(folder)
        except UserError as error:
            if config.only:
                raise
            console.print(f"Table 4 is left out: {as_flags(str(error))}", style="yellow", soft_wrap=True)
            rows = tuple(name for name in rows if name not in MOTION_VARIANTS)
    output = config.output or folder.path.with_name(f"{folder.path.resolve().name}_ablations")
    results = AblationResults(folder.path.resolve().name, config.minutes)
    for number, name in enumerate(rows):
        console.rule(f"{number + 1} of {len(rows)}: {name}")
        row_path = output / row_folder(name)
        if name in MOTION_VARIANTS:
            results.motion[name] = _motion_row(row_path, folder, name)
        else:
            options = [*([] if config.seed is None else ["--machine.seed", str(config.seed)]), *renderer[name]]
            results.renderer[name] = _renderer_row(config, folder.path, output, row_path, options)
            results.strips |= read_strips(row_path, name)
        write_ablations(output, results)
    if config.reference_clips:
        results.latent = project_latents(folder.path, config.reference_clips)
        write_ablations(output, results)
    console.print(results.table())
    console.print(f"wrote {output / 'ablations.html'}, .json and .tex", soft_wrap=True)


def _renderer_row(config: AblateConfig, data: Path, output: Path, row_path: Path, options: list[str]) -> Evaluation:
    """Trains and evaluates a variant, except for what was done before with the same settings."""
    training: dict[str, object] = {
        "data": str(data.resolve()),
        "track": (data / TRACK).stat().st_mtime_ns,
        "minutes": config.minutes,
        "method": config.method,
        "options": options,
    }
    scoring = training | {name: str(value) for name, value in vars(config.evaluation).items()}
    if _is_current(row_path / SCORED, scoring):
        return load(row_path)
    (row_path / SCORED).unlink(missing_ok=True)
    if not _is_current(row_path / TRAINED, training):
        (row_path / TRAINED).unlink(missing_ok=True)
        _train(config, data, output, row_path, options)
        _write_settings(row_path / TRAINED, training)
    run = output / "runs" / row_path.name / config.method / "run"
    pair = held_out_pair(run / "config.yml", config.evaluation.speech)
    evaluation = evaluate(pair, config.evaluation)
    save(evaluation, row_path / REPORT)
    write_page(row_path / PAGE, evaluation, pair)
    write_strips(row_path, evaluation, pair)
    _write_settings(row_path / SCORED, scoring)
    return evaluation


def _train(config: AblateConfig, data: Path, output: Path, row_path: Path, options: list[str]) -> None:
    run = ["--output-dir", output / "runs", "--experiment-name", row_path.name, "--timestamp", "run"]
    schedule = ["--max-num-iterations", "1000000", "--pipeline.schedule.max-seconds", 60 * config.minutes]
    words = [config.method, "--data", data, *run, "--vis", "tensorboard", *schedule, *options]
    # In a process that ends with this one: a training that went on would disturb the next run.
    job = Job(row_path.name, output / "runs" / row_path.name, ns_train, ([str(word) for word in words],))
    if reason := run_in_subprocess(job):
        raise UserError(f"ns-train {' '.join(job.arguments[0])}: failed: {reason}")


def _motion_row(row_path: Path, folder: DatasetFolder, name: str) -> MotionRow:
    attributes, stored = folder.path / "attributes.npz", row_path / "motion.json"
    settings: dict[str, object] = {"data": str(folder.path.resolve()), "attributes": attributes.stat().st_mtime_ns}
    if _is_current(row_path / TRAINED, settings):
        return MotionRow(**json.loads(stored.read_text()))
    (row_path / TRAINED).unlink(missing_ok=True)
    row = motion_row(folder, name)
    with atomic_write(stored) as partial:
        partial.write_text(json.dumps(vars(row)))
    _write_settings(row_path / TRAINED, settings)
    return row


def _is_current(path: Path, settings: dict[str, object]) -> bool:
    """Whether a stored result was computed with these settings."""
    try:
        return json.loads(path.read_text()) == settings
    except (OSError, ValueError):
        return False


def _write_settings(path: Path, settings: dict[str, object]) -> None:
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(settings))
