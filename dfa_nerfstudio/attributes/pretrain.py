"""Trains the attribute models on a corpus of many people: `dfa-attributes pretrain`."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.attributes.attribute_report import corpus_metrics, print_metrics
from dfa_nerfstudio.attributes.attribute_trainer import AttributeTrainer
from dfa_nerfstudio.attributes.lips.train_lips import pretrain_lips
from dfa_nerfstudio.attributes.motion_dataset import prepare_motion_sequences, reference_scale
from dfa_nerfstudio.attributes.objective import Hardware
from dfa_nerfstudio.attributes.pretrained_models import ModelsConfig, PretrainedModels
from dfa_nerfstudio.attributes.recordings import Recording, read_recordings
from dfa_nerfstudio.data.audio_features import audio_feature_from_option
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.reporting.console import make_console


@dataclass
class PretrainConfig:
    """Options of `dfa-attributes pretrain`."""

    output: Path = Path("pretrained_models.pt")
    """The file of weights to write."""
    models: ModelsConfig = field(default_factory=ModelsConfig)
    """Options of each model."""
    step_multiplier: float = 2.0
    """Factor on every model's training steps, whose defaults are for a minute of one person."""
    validation: float = 0.1
    """Share of the recordings that is held out for early stopping and for the reported metrics."""
    offsets: bool = True
    """Whether to measure the audio delay of each recording and correct it."""
    resume: bool = False
    """Whether to resume an interrupted run of the same options."""
    seed: int = 0
    """Random seed; the same seed gives the same models."""
    progress: bool = True
    """Whether to show progress bars."""
    hardware: Hardware = field(default_factory=Hardware)
    """Training device."""

    def trainer(self, resume: Path | None = None) -> AttributeTrainer:
        """A trainer with these options, which keeps its state in the folder `resume`."""
        return AttributeTrainer(self.step_multiplier, self.seed, self.progress, self.hardware, resume)


def train_on_corpus(
    recordings: list[Recording],
    config: PretrainConfig,
    val: list[Recording] | None = None,
    resume: Path | None = None,
) -> tuple[PretrainedModels, dict[str, int]]:
    """Trains F_d, E_a and the lip model on many recordings; `train_motion` trains the other models.

    Args:
        recordings: training recordings.
        config: options.
        val: validation recordings, which select the best weights.
        resume: folder for the training state.

    Returns:
        The models, and the audio delay of each recording, validation included, in MFCC rows.

    Raises:
        UserError: if there is only one recording.
    """
    _check_corpus(recordings)
    trainer = config.trainer(resume)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        sizes = recordings[0].mfcc.shape[1], recordings[0].speech.shape[1]
        models = PretrainedModels(
            config.models, *sizes, str(audio_feature_from_option(config.models.lips.features).kind)
        )
        neutral = torch.stack([recording.neutral for recording in recordings]).mean(0)
        models.autoencoder.set_statistics(
            neutral, torch.cat([recording.expression[recording.valid_frames] for recording in recordings])
        )
        trainer.train_autoencoder(models, recordings, val)
        offsets = trainer.measure_offsets(models, recordings, val) if config.offsets else {}
        trainer.train_audio_encoder(models, recordings, offsets, val)
        if recordings[0].speech.shape[1]:
            synchronised = [recording.shift_audio(offsets.get(recording.name, 0)) for recording in recordings]
            pretrain_lips(models.lips, synchronised)
    return models.eval(), offsets


def train_motion(
    models: PretrainedModels,
    recordings: list[Recording],
    offsets: dict[str, int],
    config: PretrainConfig,
    val: list[Recording] | None = None,
    resume: Path | None = None,
) -> None:
    """Trains the latent space of motion and E_ah on many recordings.

    Args:
        models: models with trained F_d and E_a.
        recordings: training recordings.
        offsets: audio delay of each recording, validation included, in MFCC rows.
        config: options.
        val: validation recordings, which select the best weights.
        resume: folder for the training state.
    """
    trainer = config.trainer(resume)
    models.motion.scale = reference_scale(models, recordings)
    train_data = prepare_motion_sequences(models, recordings, offsets)
    val_data = prepare_motion_sequences(models, val, offsets) if val else None
    trainer.train_motion_vae(models, train_data, val_data)
    trainer.train_cross_modal_encoder(models, train_data, val_data)
    models.eval()


def pretrain(
    folders: tyro.conf.Positional[list[Path]], config: Annotated[PretrainConfig, tyro.conf.arg(name="")]
) -> None:
    """Trains on the training frames of many dataset folders, for `dfa-attributes DIR --pretrained FILE` to start from.

    Args:
        folders: dataset folders, or folders of them.
        config: options.

    Raises:
        UserError: if the corpus or an option cannot be used.
    """
    if not config.step_multiplier > 0:
        raise UserError(f"`step_multiplier={config.step_multiplier}`: must be above 0")
    if not 0 <= config.validation < 1:
        raise UserError(f"`validation={config.validation}`: must be from 0 to below 1")
    console = make_console()
    recordings, skipped = read_recordings(folders, config.models.lips.features)
    for line in skipped:
        console.print(f"skipped: {line}", soft_wrap=True)
    _check_corpus(recordings)
    num_val = round(config.validation * len(recordings))
    val_indices = set(random.Random(config.seed).sample(range(len(recordings)), num_val))
    train = [recording for number, recording in enumerate(recordings) if number not in val_indices]
    val = [recordings[number] for number in sorted(val_indices)]
    console.print(f"{len(train)} recordings for training, {len(val)} for validation")
    resume = config.output.with_name(f".{config.output.stem}.resume")
    options = f"{replace(config, resume=True)} {[recording.name for recording in train]}"
    _prepare_state(resume, options, config.resume)
    models, offsets = train_on_corpus(train, config, val, resume)
    train_motion(models, train, offsets, config, val, resume)
    models.save(config.output)
    metrics = corpus_metrics(models, val, offsets)
    print_metrics(metrics, "held-out recordings", console)
    report = {
        "metrics": metrics,
        "offsets_ms": {name: 10 * offset for name, offset in offsets.items()},
        "skipped": skipped,
    }
    with atomic_write(config.output.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(report, indent=1))
    shutil.rmtree(resume)
    console.print(f"wrote {config.output}", soft_wrap=True)


def _check_corpus(recordings: list[Recording]) -> None:
    if len(recordings) < 2:
        raise UserError(
            f"{len(recordings)} recording for training; a corpus needs two or more (for one person run dfa-attributes "
            "on its dataset folder)"
        )


def _prepare_state(folder: Path, options: str, resume: bool) -> None:
    """Makes the folder of the training state, in which an older state remains if it is to be resumed.

    Raises:
        UserError: if that state is of other options or recordings.
    """
    path = folder / "options.txt"
    if not (resume and path.is_file()):  # a state without options is the rest of one that was being removed
        shutil.rmtree(folder, ignore_errors=True)
    elif path.read_text() != options:
        raise UserError(f"{folder}: holds the state of a run with other options or recordings; run without `resume`")
    with atomic_write(path) as partial:
        partial.write_text(options)
