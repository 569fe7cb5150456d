"""Training the four sequence models on a dataset folder."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.attributes.attribute_models import FILE_NAME, REPORT_NAME, AttributeModels
from dfa_nerfstudio.attributes.attribute_report import latent_channels, measure, print_figures, remarks
from dfa_nerfstudio.attributes.attribute_trainer import Training
from dfa_nerfstudio.attributes.av_offset import measure_offset
from dfa_nerfstudio.attributes.motion_dataset import learn_motion
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import Hardware
from dfa_nerfstudio.attributes.pretrained_models import GeneralModels, ModelsConfig
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import TRACK, ClipAttributes, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME


@dataclass
class AttributesConfig:
    """Options of `dfa-attributes`."""

    models: ModelsConfig = field(default_factory=ModelsConfig)
    """Options of each model."""
    pretrained: Path | None = None
    """Weights of `dfa-attributes pretrain` to start from; their options of the models count, not these."""
    finetune: float = 0.5
    """Share of the steps of E_a that are made on this person where it starts from such weights; 0 takes it, and E_ah,
    as it is. E_ah makes all of its steps otherwise: how lively a head is, only the person can tell. F_d and the latent
    space of motion always stay as they are: mouth and eyes of people it has never seen come apart as well as those of
    others, and their motion is decoded as well."""
    effort: float = 1.0
    """Multiplies every model's training steps: 0.1 for a quick look, more for a long clip and a fast machine."""
    validation: float = 0.0
    """Share of the training part, at its end, that trains nothing and stops the audio and motion models early. At the
    default steps it gains nothing on a minute of film, and the minute is short; it is for more effort."""
    seed: int = 0
    """Makes the training repeatable."""
    progress: bool = True
    """Show progress bars."""
    hardware: Hardware = field(default_factory=Hardware)
    """Where to train."""


def train_models(
    clip: ClipAttributes, num_train: int, config: AttributesConfig, source: str = "the clip"
) -> AttributeModels:
    """Trains everything on the first `num_train` frames; nothing of a later frame is read.

    Args:
        clip: the measured attributes.
        num_train: frames for training.
        config: options.
        source: the clip's name for errors.

    Raises:
        UserError: for a clip too short for one training window, or silent throughout.
    """
    pretrained = GeneralModels.load(config.pretrained) if config.pretrained else None
    options = pretrained.config if pretrained else config.models
    window = max(options.latent.window, options.cross_modal.window)
    use = torch.from_numpy(clip.valid_frames(0, num_train))  # [N]
    if len(use) <= window:
        raise UserError(
            f"{source}: {len(use)} frames for training; the motion models need more than {window} "
            f"({window / FRAME_RATE:.1f} s): use a longer video"
        )
    mfcc = clip.mfcc[: num_train * MFCC_PER_FRAME]  # [T*4, D]: sound has no gaps
    statistics = MfccStatistics.of(mfcc, source)
    recording = Recording.of(clip, slice(num_train), source)
    aside = round(config.validation * len(use))
    if not (config.validation >= 0 and len(use) - aside > window):
        raise UserError(
            f"--validation {config.validation}: must be 0 or more and leave more than {window} frames to train"
        )

    if pretrained and pretrained.sizes["num_coefficients"] != mfcc.shape[1]:
        raise UserError(f"{config.pretrained}: hears {pretrained.sizes['num_coefficients']} MFCC, not {mfcc.shape[1]}")
    training = Training(config.effort, config.seed, config.progress, config.hardware)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        models = AttributeModels(options, mfcc.shape[1], len(use))
        models.mfcc_mean, models.mfcc_std = torch.from_numpy(statistics.mean), torch.from_numpy(statistics.std)
        models.offset = torch.tensor(train_speech(models, training, recording, aside, pretrained, config.finetune))
        scale = pretrained.motion.scale if pretrained else None
        motion = learn_motion(models, recording, models.eye, models.motion, scale)
        models.training_motion, models.training_shot = motion, recording.shot[use]
        models.training_opening = recording.eye_opening[use].clone()
        whole = MotionSequences(motion, models.clip_audio(mfcc)[use], models.training_shot, torch.ones(len(use)))
        split = len(use) - aside
        learnt, check = whole.part(slice(split)), whole.part(slice(split, None)) if aside else None
        if not pretrained:
            training.motion(models, learnt, check)
        if not pretrained or config.finetune > 0:
            training.sound_to_motion(models, learnt, check)
    return models.eval()


def train_speech(
    models: SpeechModels,
    training: Training,
    recording: Recording,
    aside: int = 0,
    pretrained: SpeechModels | None = None,
    finetune: float = AttributesConfig.finetune,
) -> int:
    """Trains F_d and E_a on one person, or goes on from pretrained ones.

    Args:
        models: what is trained.
        training: how.
        recording: the person's training frames.
        aside: so many of them, at the end, train nothing and stop E_a early.
        pretrained: of the same configuration.
        finetune: see `AttributesConfig.finetune`.

    Returns:
        By how many rows (10 ms) the recording's sound comes late, as the pretrained models hear it; else 0.
    """
    split, late, share = len(recording) - aside, 0, 1.0
    learnt, check = recording.part(slice(split)), [recording.part(slice(split, None))] if aside else None
    models.autoencoder.measure(recording.neutral, recording.expression[recording.useful])
    if pretrained:
        late, share = measure_offset(pretrained, recording), finetune
        models.start_from(pretrained)
        models.autoencoder.mean_face = recording.neutral
    else:
        training.faces(models, [learnt])
    if share > 0:
        training.sound(models, [learnt], {recording.name: late}, check, share=share)
    return late


def clip_track(models: AttributeModels, clip: ClipAttributes) -> AttributeTrack:
    """The attribute track of a whole clip.

    Of any frame it reads head pose, torso motion, eye opening and sound; never lips.
    """
    return AttributeTrack(
        head_to_camera=torch.from_numpy(clip.head_to_camera),
        torso_motion=torch.from_numpy(clip.torso_motion),
        eye=models.eye.from_opening(torch.from_numpy(clip.eye_opening)),
        audio=models.clip_audio(clip.mfcc),
        eye_kind=models.eye_kind,
        audio_kind=models.audio_kind,
        fps=FRAME_RATE,
    )


def train_attributes(
    folder: tyro.conf.Positional[Path], config: Annotated[AttributesConfig, tyro.conf.arg(name="")]
) -> None:
    """Trains on a dataset folder; writes its `attribute_models.pt`, `track.npz` and `attribute_report.json`.

    Args:
        folder: the dataset folder.
        config: options.

    Raises:
        UserError: for a folder that cannot be used.
    """
    if not config.effort > 0:
        raise UserError(f"--effort {config.effort}: must be above 0")
    dataset = DatasetFolder.open(folder)
    clip = dataset.attributes
    models = train_models(clip, dataset.num_train, config, str(folder))
    models.save(folder / FILE_NAME)
    clip_track(models, clip).save(folder / TRACK)
    console = Console()
    figures = measure(models, clip, dataset.num_train)
    print_figures(figures, "held-out frames", console)
    for line in remarks(models):
        console.print(line, highlight=False)
    if config.pretrained:
        console.print(
            f"the film's sound comes {10 * int(models.offset):+d} ms late, which is taken back", highlight=False
        )
    report = {name: value if math.isfinite(value) else None for name, value in figures.items()}
    with atomic_write(folder / REPORT_NAME) as partial:
        partial.write_text(json.dumps(report | {"latent channels": latent_channels(models)}, indent=1))
    console.print(f"wrote {folder / FILE_NAME} and {folder / TRACK}", highlight=False, soft_wrap=True)
