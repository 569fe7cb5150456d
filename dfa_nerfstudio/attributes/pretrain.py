"""Training on a corpus: `dfa-attributes pretrain`."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.attributes.attribute_report import corpus_figures, print_figures
from dfa_nerfstudio.attributes.attribute_trainer import Training
from dfa_nerfstudio.attributes.motion_dataset import motion_sequences, usual_scale
from dfa_nerfstudio.attributes.objective import Hardware
from dfa_nerfstudio.attributes.pretrained_models import GeneralModels, ModelsConfig
from dfa_nerfstudio.attributes.recordings import Recording, read_recordings
from dfa_nerfstudio.errors import UserError


@dataclass
class PretrainConfig:
    """Options of `dfa-attributes pretrain`."""

    output: Path = Path("general_models.pt")
    """The file of weights to write."""
    models: ModelsConfig = field(default_factory=ModelsConfig)
    """Options of each model."""
    effort: float = 2.0
    """Multiplies every model's training steps, which are those for a minute of one person."""
    validation: float = 0.1
    """Share of the recordings that train nothing, stop the training early and are reported on."""
    offsets: bool = True
    """Measure by how much each recording's sound comes late, and take it back."""
    resume: bool = False
    """Go on with what an interrupted run of the same options has left."""
    seed: int = 0
    """Makes the training repeatable."""
    progress: bool = True
    """Show progress bars."""
    hardware: Hardware = field(default_factory=Hardware)
    """Where to train."""

    def training(self, resume: Path | None = None) -> Training:
        """How to train, and where to keep the state."""
        return Training(self.effort, self.seed, self.progress, self.hardware, resume)


def train_on_corpus(
    recordings: list[Recording],
    config: PretrainConfig,
    check: list[Recording] | None = None,
    resume: Path | None = None,
) -> tuple[GeneralModels, dict[str, int]]:
    """Trains F_d and E_a on many recordings; see `train_motion` for the rest.

    Args:
        recordings: what is learnt from.
        config: options.
        check: recordings that train nothing and choose the best weights.
        resume: folder in which the state is kept.

    Returns:
        The models and each recording's offset in rows, those of `check` too.

    Raises:
        UserError: for a single recording.
    """
    if len(recordings) < 2:
        raise UserError(
            f"{len(recordings)} recording to learn from; a corpus needs two or more (of one person: dfa-attributes DIR)"
        )
    training = config.training(resume)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        models = GeneralModels(config.models, recordings[0].mfcc.shape[1])
        neutral = torch.stack([recording.neutral for recording in recordings]).mean(0)
        models.autoencoder.measure(
            neutral, torch.cat([recording.expression[recording.useful] for recording in recordings])
        )
        training.faces(models, recordings, check)
        offsets = training.offsets(models, recordings, check) if config.offsets else {}
        training.sound(models, recordings, offsets, check)
    return models.eval(), offsets


def train_motion(
    models: GeneralModels,
    recordings: list[Recording],
    offsets: dict[str, int],
    config: PretrainConfig,
    check: list[Recording] | None = None,
    resume: Path | None = None,
) -> None:
    """Trains the latent space of motion and E_ah on many recordings.

    Args:
        models: of which F_d and E_a are trained.
        recordings: what is learnt from.
        offsets: each recording's, in rows, those of `check` too.
        config: options.
        check: recordings that train nothing and choose the best weights.
        resume: folder in which the state is kept.
    """
    training = config.training(resume)
    models.motion.scale = usual_scale(models, recordings)
    learnt = motion_sequences(models, recordings, offsets)
    checked = motion_sequences(models, check, offsets) if check else None
    training.motion(models, learnt, checked)
    training.sound_to_motion(models, learnt, checked)
    models.eval()


def pretrain(
    folders: tyro.conf.Positional[list[Path]], config: Annotated[PretrainConfig, tyro.conf.arg(name="")]
) -> None:
    """Trains on the training parts of many dataset folders; `dfa-attributes DIR --pretrained FILE` goes on from it.

    Args:
        folders: dataset folders, or folders of them.
        config: options.

    Raises:
        UserError: for a corpus that cannot be used.
    """
    if not config.effort > 0 or not 0 <= config.validation < 1:
        raise UserError("--effort must be above 0, and --validation from 0 to below 1")
    console = Console(soft_wrap=True)
    recordings, skipped = read_recordings(folders)
    for line in skipped:
        console.print(f"left out: {line}", highlight=False)
    aside = round(config.validation * len(recordings))
    check = set(random.Random(config.seed).sample(range(len(recordings)), aside))
    learnt = [recording for number, recording in enumerate(recordings) if number not in check]
    checked = [recordings[number] for number in sorted(check)]
    console.print(f"{len(learnt)} recordings to learn from, {len(checked)} to check with", highlight=False)
    resume = config.output.with_name(f".{config.output.stem}.resume")
    if not config.resume:
        shutil.rmtree(resume, ignore_errors=True)
    resume.mkdir(parents=True, exist_ok=True)
    _check_options(resume / "options.txt", f"{replace(config, resume=True)} {[recording.name for recording in learnt]}")
    models, offsets = train_on_corpus(learnt, config, checked, resume)
    train_motion(models, learnt, offsets, config, checked, resume)
    models.save(config.output)
    figures = corpus_figures(models, checked, offsets)
    print_figures(figures, "recordings that trained nothing", console)
    report = {
        "figures": figures,
        "offsets_ms": {name: 10 * late for name, late in offsets.items()},
        "left_out": skipped,
    }
    with atomic_write(config.output.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(report, indent=1))
    shutil.rmtree(resume)
    console.print(f"wrote {config.output}", highlight=False)


def _check_options(path: Path, options: str) -> None:
    """Notes the options beside an unfinished state, or compares them with those noted."""
    if path.is_file() and path.read_text() != options:
        raise UserError(f"{path.parent}: was left by a run with other options or recordings; run without --resume")
    path.write_text(options)
