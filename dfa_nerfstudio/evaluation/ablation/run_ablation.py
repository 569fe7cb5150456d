"""`dfa-eval ablate`: one row after another, each of which is kept, so that an interrupted run goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data.dataset_folder import TRACK, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.ablation.ablation_page import AblationResults, row_folder, write_ablations
from dfa_nerfstudio.evaluation.ablation.image_strips import read_strips, write_strips
from dfa_nerfstudio.evaluation.ablation.latent_identity import latent_points
from dfa_nerfstudio.evaluation.ablation.motion_variants import MOTION, MotionRow, motion_row, require_held_out
from dfa_nerfstudio.evaluation.ablation.variants import FIELD, METHOD, USUAL
from dfa_nerfstudio.evaluation.evaluate import Evaluation, EvaluationConfig, evaluate
from dfa_nerfstudio.evaluation.report.evaluation_io import REPORT, load, save
from dfa_nerfstudio.evaluation.report.evaluation_page import PAGE, write_page
from dfa_nerfstudio.evaluation.video_pairs import held_out_pair
from dfa_nerfstudio.media.audio import audio_duration

FEATURES = "features of {}"
"""The row of Table 5 for a feature file."""
TRAINED, SCORED = "trained.json", "scored.json"
"""In a row's folder: how that was done."""


@dataclass
class AblateConfig:
    """What is left out or replaced, and for how long each row trains."""

    data: tyro.conf.Positional[Path]
    """A dataset folder with its attribute track."""
    output: Path | None = None
    """Where runs and tables go; by default NAME_ablations beside the dataset folder NAME."""
    minutes: float = 3.0
    """Training time of each row of the renderer."""
    method: Literal["dfa-nerf-lite", "dfa-nerf"] = "dfa-nerf-lite"
    """Whose parts are taken away."""
    seed: int | None = None
    """Of the renderer's trainings; nerfstudio's own if not given. How far chance goes, another one in another --output
    tells."""
    only: tuple[str, ...] = ()
    """Only these rows, by name; those of all switches of the field may be asked for. By default the paper's tables and
    the field's switches that are worth most."""
    audio_features: tuple[Path, ...] = ()
    """Further rows of Table 5: feature files (.npy, a row for each frame)."""
    others: tuple[Path, ...] = ()
    """Dataset folders of other films, for the picture and the number of Fig. 6; without them there is none."""
    evaluation: tyro.conf.OmitArgPrefixes[EvaluationConfig] = field(default_factory=EvaluationConfig)
    """What is measured."""


def ablate(config: tyro.conf.OmitArgPrefixes[AblateConfig]) -> None:
    """Trains the method without one of its parts after another, for the same time each, scores the held-out end, and
    tabulates: audio features (Table 5), models of motion (Table 4), f_e (Fig. 7), the latent space (Fig. 6), the
    AD-NeRF way (Table 2) and the field's switches. What was trained or scored already with the same options is kept.

    Raises:
        UserError: for bad input, or a row whose training failed.
    """
    folder = DatasetFolder.open(config.data)
    if not (folder.path / TRACK).is_file():
        raise UserError(f"{folder.path}: has no attribute track; run dfa-attributes {folder.path}")
    if not len(folder.held_out_frames):
        raise UserError(f"{folder.path}: no frame is held out; run dfa-process again without --held-out 0")
    if config.minutes <= 0:
        raise UserError(f"--minutes {config.minutes:g}: must be more than 0")
    for path in config.evaluation.speech:
        audio_duration(path)  # what cannot be read is said before anything trains
    files = {FEATURES.format(path.name): ["dfa-data", "--audio-features", str(path)] for path in config.audio_features}
    renderer = METHOD | files | FIELD
    if unknown := set(config.only) - set(renderer) - set(MOTION):
        raise UserError(f"--only {unknown.pop()!r}: no such row; there are {', '.join([*renderer, *MOTION])}")
    console = Console()
    wanted = config.only or (*METHOD, *files, *USUAL, *MOTION)
    if not set(wanted).isdisjoint(MOTION):
        try:
            require_held_out(folder)
        except UserError as error:
            if config.only:
                raise
            console.print(f"Table 4 is left out: {error}", style="yellow", soft_wrap=True)
            wanted = tuple(name for name in wanted if name not in MOTION)
    output = config.output or folder.path.with_name(f"{folder.path.resolve().name}_ablations")
    results = AblationResults(folder.path.resolve().name, config.minutes)
    for number, name in enumerate(wanted):
        console.rule(f"{number + 1} of {len(wanted)}: {name}")
        place = output / row_folder(name)
        if name in MOTION:
            results.motion[name] = _kept_motion_row(place, folder, name)
        else:
            options = [*([] if config.seed is None else ["--machine.seed", str(config.seed)]), *renderer[name]]
            results.renderer[name] = _kept_render_row(config, folder.path, output, place, options)
            results.strips |= read_strips(place, name)
        write_ablations(output, results)
    if config.others:
        results.latent = latent_points(folder.path, config.others)
        write_ablations(output, results)
    console.print(results.table())
    console.print(f"wrote {output / 'ablations.html'}, .json and .tex", highlight=False, soft_wrap=True)


def _kept_render_row(config: AblateConfig, data: Path, output: Path, place: Path, options: list[str]) -> Evaluation:
    """Trains, unless it was done before with the same options, and scores, unless that was done the same way."""
    training: dict[str, object] = {
        "data": str(data.resolve()),
        "track": (data / TRACK).stat().st_mtime_ns,
        "minutes": config.minutes,
        "method": config.method,
        "options": options,
    }
    scoring = training | {name: str(value) for name, value in vars(config.evaluation).items()}
    if _was_made(place / SCORED, scoring):
        return load(place)
    (place / SCORED).unlink(missing_ok=True)
    if not _was_made(place / TRAINED, training):
        (place / TRAINED).unlink(missing_ok=True)
        _train(config, data, output, place, options)
        _note_made(place / TRAINED, training)
    pair = held_out_pair(output / "runs" / place.name / config.method / "run" / "config.yml", config.evaluation.speech)
    result = evaluate(pair, config.evaluation)
    save(result, place / REPORT)
    write_page(place / PAGE, result, pair)
    write_strips(place, result, pair)
    _note_made(place / SCORED, scoring)
    return result


def _train(config: AblateConfig, data: Path, output: Path, place: Path, options: list[str]) -> None:
    run = ["--output-dir", output / "runs", "--experiment-name", place.name, "--timestamp", "run"]
    budget = ["--max-num-iterations", "1000000", "--pipeline.model.budget.max-seconds", 60 * config.minutes]
    words = [config.method, "--data", data, *run, "--vis", "tensorboard", *budget, *options]
    command = [str(Path(sys.executable).with_name("ns-train")), *map(str, words)]
    trained = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if trained.returncode:
        raise UserError(f"{' '.join(command[1:])}: failed: {trained.stderr.strip()[-400:]}")


def _kept_motion_row(place: Path, folder: DatasetFolder, name: str) -> MotionRow:
    attributes = folder.path / "attributes.npz"
    made: dict[str, object] = {"data": str(folder.path.resolve()), "attributes": attributes.stat().st_mtime_ns}
    stored = place / "motion.json"
    if _was_made(place / TRAINED, made):
        return MotionRow(**json.loads(stored.read_text()))
    row = motion_row(folder, name)
    with atomic_write(stored) as partial:
        partial.write_text(json.dumps(vars(row)))
    _note_made(place / TRAINED, made)
    return row


def _was_made(note: Path, how: dict[str, object]) -> bool:
    try:
        return json.loads(note.read_text()) == how
    except (OSError, ValueError):
        return False


def _note_made(note: Path, how: dict[str, object]) -> None:
    with atomic_write(note) as partial:
        partial.write_text(json.dumps(how))
