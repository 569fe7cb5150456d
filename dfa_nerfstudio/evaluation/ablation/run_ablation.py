"""`dfa-eval ablate`: trains and evaluates variants; finished rows are kept, so an interrupted run can be resumed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from dfa_nerfstudio.data.dataset_folder import TRACK, DatasetFolder, find_dataset_folders
from dfa_nerfstudio.errors import UserError, as_flags
from dfa_nerfstudio.evaluation.ablation.ablation_page import AblationResults, write_ablations
from dfa_nerfstudio.evaluation.ablation.audio_rows import AudioRows
from dfa_nerfstudio.evaluation.ablation.dubbing_table import DubbingTable
from dfa_nerfstudio.evaluation.ablation.image_rows import FieldTrainer, ImageRows
from dfa_nerfstudio.evaluation.ablation.image_strips import read_strips
from dfa_nerfstudio.evaluation.ablation.latent_identity import project_latents
from dfa_nerfstudio.evaluation.ablation.row_table import SOURCE_VIDEO, ImageTable, LipTable, MotionTable, RowTable
from dfa_nerfstudio.evaluation.ablation.rows import DEFAULT_GROUPS, GROUPS, IMAGE_ROWS, RowGroup
from dfa_nerfstudio.evaluation.ablation.system_table import SystemTable
from dfa_nerfstudio.evaluation.ablation.variants import FIELD_CONDITIONS, FIELD_VARIANTS
from dfa_nerfstudio.evaluation.evaluate import EvaluationConfig
from dfa_nerfstudio.evaluation.report.evaluation_page import PAGE
from dfa_nerfstudio.evaluation.systems.motion_scores import too_short_for_prediction
from dfa_nerfstudio.media.audio import audio_duration
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.video_reader import Video
from dfa_nerfstudio.reporting.console import make_console
from dfa_nerfstudio.talk.portrait_compositor import PortraitCompositor

FEATURES = "features of {}"
"""Name of the row of Table 5 for a feature file."""
MOTION_GROUPS: tuple[RowGroup, ...] = ("table4", "motion")
"""Groups that predict motion on the held-out end."""


@dataclass
class AblateConfig:
    """Variants to train and their common settings."""

    data: tyro.conf.Positional[Path]
    """A dataset folder with its attribute models."""
    rows: tuple[RowGroup, ...] = DEFAULT_GROUPS
    """Tables to make. `table2`: whole systems. `table4`: motion VAEs. `table5`: what the field is conditioned on.
    `fig7`: eye features. `field`: variants of the field. `motion`: motion models of other systems. `lips`: lip models,
    without a renderer. `dubbing`: new lips in the source video (needs `video`)."""
    only: tuple[str, ...] = ()
    """Names of the rows to keep of these tables. Alone, without `rows`, it may name any variant of the field."""
    output: Path | None = None
    """Folder of runs and tables; by default NAME_ablations beside the dataset folder NAME."""
    minutes: float = 3.0
    """Training time of each field in minutes."""
    method: Literal["dfa-nerf-lite", "dfa-nerf"] = "dfa-nerf-lite"
    """The method whose parts are removed or replaced."""
    seeds: tuple[int, ...] = (42,)
    """Random seeds of the trainings. With two or more, each value is a mean with its standard deviation."""
    audio_features: tuple[Path, ...] = ()
    """Feature files (.npy, a row for each frame) that become further rows of Table 5."""
    reference_clips: tuple[Path, ...] = ()
    """Dataset folders of other people's videos, two or more, or folders of them: for Fig. 6, for the sync expert, and
    for the speaker-aware motion model. Without them Fig. 6 is left out, and both models see the person alone."""
    video: Path | None = None
    """The video that was given to dfa-process, for `dubbing`."""
    videos: bool = True
    """Writes a talking video of each system of Table 2 and each speech file, for `dfa-eval study`."""
    latex: bool = False
    """Also writes all tables as `ablations.tex`."""
    evaluation: tyro.conf.OmitArgPrefixes[EvaluationConfig] = field(default_factory=EvaluationConfig)
    """Protocols, pretrained scorers and additional audio."""


def ablate(config: tyro.conf.OmitArgPrefixes[AblateConfig]) -> None:
    """Trains variants of the method for the same time each, evaluates them on the held-out end, and writes tables. What
    makes each system of the paper's tables different is one of the variants, in the same field, scored by the same
    metrics. Rows that were trained or evaluated before with the same options are kept.

    Raises:
        UserError: for bad input, or a row whose training failed.
    """
    folder = DatasetFolder.open(config.data)
    _check(config, folder)
    files = {FEATURES.format(path.name): ["dfa-data", "--mouth", str(path)] for path in config.audio_features}
    groups = _selected(config, tuple(files))
    if "dubbing" in groups and (config.video is None or not config.evaluation.speech):
        raise UserError("`rows=dubbing`: needs `video`, the video that was given to dfa-process, and `speech`")
    if "dubbing" in groups and config.video is not None:
        PortraitCompositor(config.video, folder.path, [0], FRAME_RATE)  # reports another video before anything trains
    output = config.output or folder.path.with_name(f"{folder.path.resolve().name}_ablations")
    references, speech = config.reference_clips, config.evaluation.speech
    audio = AudioRows(folder.path, output, speech, references, config.evaluation.sync_encoders)
    console = make_console()
    if references:
        for line in audio.person.unused_clips:
            console.print(line, style="yellow", soft_wrap=True)
        if not audio.person.others:
            raise UserError("`reference_clips`: none of them shows another person")
    if not set(groups).isdisjoint(MOTION_GROUPS) and (reason := too_short_for_prediction(audio.person)):
        console.print(f"D-Rot and D-Pos are left out: {as_flags(reason)}", style="yellow", soft_wrap=True)
    fields = FIELD_CONDITIONS | files | FIELD_VARIANTS
    trainer = FieldTrainer(folder.path, output, config.method, config.minutes, fields)
    tables = _tables(config, audio, ImageRows(trainer, config.evaluation, audio))
    needed = [
        tables[group].audio_rows(name, seed) for group, rows in groups.items() for seed in config.seeds for name in rows
    ]
    audio.prepare([row for rows in needed for row in rows])
    results = AblationResults(folder.path.resolve().name, config.minutes, config.seeds)
    for group, rows in groups.items():
        source, table = tables[group], tables[group].empty(config.seeds[0])
        results.tables[group] = table
        for seed in config.seeds:
            console.rule(f"{group}, seed {seed}")
            source.prepare(rows, seed)
            for name in rows:
                table.rows.setdefault(name, {})[seed] = source.values(name, seed)
                if (image_row := source.image_row(name)) and name not in table.links:
                    _add_images(results, source, group, name, image_row, seed)
            write_ablations(output, results, config.latex)
    if config.reference_clips:
        results.latent = project_latents(audio.person)
        write_ablations(output, results, config.latex)
    for table in results.tables.values():
        console.print(*table.console_tables(console.width), sep="\n")
    console.print(f"wrote {output / 'ablations.html'} and .json", soft_wrap=True)


def _tables(config: AblateConfig, audio: AudioRows, images: ImageRows) -> dict[RowGroup, RowTable]:
    """All tables that can be made."""
    parts = audio, images
    tables: dict[RowGroup, RowTable] = {
        "table2": SystemTable("Table 2: whole systems", *parts, config.seeds[0] if config.videos else None),
        "table4": MotionTable("Table 4: motion models", *parts),
        "table5": ImageTable("Table 5: what the field is conditioned on", *parts),
        "fig7": ImageTable("Fig. 7: the eye feature f_e", *parts),
        "field": ImageTable("Variants of the field", *parts),
        "motion": MotionTable("Motion models of other systems", *parts),
        "lips": LipTable("Lip models, without a renderer", *parts),
    }
    if config.video is not None:
        tables["dubbing"] = DubbingTable("Dubbing: new lips in the source video", *parts, config.video)
    return tables


def _add_images(
    results: AblationResults, source: RowTable, group: RowGroup, name: str, image_row: str, seed: int
) -> None:
    """Adds the link to a row's report, its image strips, and the source video's values to the results."""
    table, folder = results.tables[group], source.images.folder(image_row, seed)
    truth = source.source_values(source.images.evaluation_of(image_row, seed).truth)
    known = {column.key: truth[column.key] for column in table.columns if column.key in truth}
    table.baselines[SOURCE_VIDEO], table.truth = known, table.truth | known
    table.links[name] = str((folder / PAGE).relative_to(source.images.trainer.output))
    results.strips.setdefault(group, {}).update(read_strips(folder, name))


def _check(config: AblateConfig, folder: DatasetFolder) -> None:
    """Refuses bad options before anything trains."""
    if not (folder.path / TRACK).is_file():
        raise UserError(f"{folder.path}: has no attribute track; run dfa-attributes {folder.path}")
    if not len(folder.held_out_frames):
        raise UserError(f"{folder.path}: no frame is held out; run dfa-process again with some `held_out` frames")
    if not config.minutes > 0:
        raise UserError(f"`minutes={config.minutes:g}`: must be more than 0")
    if not config.seeds or len(set(config.seeds)) < len(config.seeds) or min(config.seeds) < 0:
        raise UserError("`seeds`: give at least one; each must be 0 or more, and none may occur twice")
    names = [path.name for path in config.audio_features]
    if len(set(names)) < len(names):
        raise UserError("`audio_features`: two files have the same name, which is that of the row; rename one")
    for path in config.audio_features:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
    if config.video is not None:
        Video(config.video)  # reports an unreadable one
    for path in config.evaluation.speech:
        audio_duration(path)  # reports unreadable files
    if len({path.name for path in config.evaluation.speech}) < len(config.evaluation.speech):
        raise UserError("`speech`: two files have the same name, by which lips and videos are kept; rename one")
    for path in config.reference_clips:
        if not (path.is_dir() and find_dataset_folders(path)):
            raise UserError(f"{path}: contains no dataset folder; make one with: dfa-process VIDEO --output {path}")


def _selected(config: AblateConfig, files: tuple[str, ...]) -> dict[RowGroup, tuple[str, ...]]:
    """Rows of each table.

    Raises:
        UserError: if `only` names a row that does not exist.
    """
    groups: dict[RowGroup, tuple[str, ...]] = {
        group: GROUPS[group] + (files if group == "table5" else ()) for group in config.rows
    }
    if not config.only:
        return groups
    if config.rows == DEFAULT_GROUPS:  # names alone: every row can be chosen, each in the first table that has it
        groups = {**GROUPS, "field": tuple(dict.fromkeys((*IMAGE_ROWS, *files)))}
    chosen: dict[RowGroup, tuple[str, ...]] = {}
    left = list(dict.fromkeys(config.only))
    for group, rows in groups.items():
        names = tuple(name for name in left if name in rows)
        if names:
            chosen[group] = names
            left = [name for name in left if name not in names]
    if left:
        known = ", ".join(dict.fromkeys(name for rows in groups.values() for name in rows))
        raise UserError(f"`only={left[0]}`: no such row; there are {known}")
    return chosen
