"""Trains the four attribute models of one person on a dataset folder."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME, REPORT_FILE_NAME, AttributeModels
from dfa_nerfstudio.attributes.attribute_report import data_warnings, held_out_metrics, latent_channels, print_metrics
from dfa_nerfstudio.attributes.attribute_trainer import AttributeTrainer
from dfa_nerfstudio.attributes.av_offset import measure_offset
from dfa_nerfstudio.attributes.lips.audio_to_lips import AudioToLipsConfig
from dfa_nerfstudio.attributes.lips.general_lips import general_lip_models
from dfa_nerfstudio.attributes.lips.lip_config import LipConfig
from dfa_nerfstudio.attributes.lips.train_lips import train_lips
from dfa_nerfstudio.attributes.lips.voice_match import VoiceMatch, lip_gap_from_features
from dfa_nerfstudio.attributes.motion_dataset import fit_motion_space, prepare_motion_sequences
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import Hardware
from dfa_nerfstudio.attributes.pretrained_models import ModelsConfig, PretrainedModels
from dfa_nerfstudio.attributes.recordings import Recording, read_recordings, shifted_rows, voiced_frames
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.audio_features import AudioFeature, audio_feature_from_option, clip_audio_feature
from dfa_nerfstudio.data.dataset_folder import F_A_TRACK, TRACK, ClipAttributes, DatasetFolder
from dfa_nerfstudio.data.finite_check import require_finite
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME
from dfa_nerfstudio.reporting.console import make_console


@dataclass
class AttributesConfig:
    """Options of `dfa-attributes`."""

    models: ModelsConfig = field(default_factory=ModelsConfig)
    """Options of each model."""
    pretrained: Path | None = None
    """Weights of `dfa-attributes pretrain` that training starts from. Their model options replace `models`."""
    general_lips: bool = True
    """Whether the lip model starts from the package's, which was trained on seven people of the GRID corpus. It helps
    with less than half a minute of video and changes little with more. Without effect if `pretrained` is given, or if
    `models.lips` names another audio feature or another size."""
    more: tuple[Path, ...] = ()
    """Further dataset folders of the same person, in other clothes, rooms or cameras. Their training frames teach lips
    and head motion, which do not depend on appearance; the renderer learns from the first folder alone."""
    finetune: float = 0.5
    """Share of E_a's training steps that are spent on this person when training starts from pretrained weights; 0
    leaves E_a and E_ah unchanged. Above 0, E_ah is trained for all of its steps, because only the person's own video
    shows how much the head moves. F_d and the latent space of motion are never fine-tuned: they generalise to new
    people as well as to those that they were trained on."""
    step_multiplier: float = 1.0
    """Factor on every model's training steps, e.g. 0.1 for a quick test, or above 1 for a long clip and a fast
    machine."""
    validation: float = 0.0
    """Share of the training frames, at their end, that is used for early stopping of the audio and motion models
    instead of for training. It is 0 by default because at the default steps early stopping improves nothing on a
    minute of video, and the training data are few."""
    seed: int = 0
    """Random seed; the same seed gives the same models."""
    progress: bool = True
    """Whether to show progress bars."""
    hardware: Hardware = field(default_factory=Hardware)
    """Training device."""


def train_models(
    clip: ClipAttributes,
    num_train: int,
    config: AttributesConfig,
    source: str = "the clip",
    speech: Float[Tensor, "T F"] | None = None,
    speech_kind: str = "",
    more: list[Recording] | None = None,
) -> AttributeModels:
    """Trains all attribute models on the first `num_train` frames; later frames are never read.

    Args:
        clip: the measured attributes.
        num_train: number of training frames.
        config: options.
        source: name of the clip in error messages.
        speech: the audio feature of all frames that lips are predicted from; without it no lip model is trained.
        speech_kind: kind of that feature.
        more: further recordings of the person, for lips and motion.

    Raises:
        UserError: if the clip is shorter than one training window, or silent throughout, or holds numbers that are not
            finite.
    """
    require_finite(vars(clip) | {"audio feature": speech}, source, "run dfa-process again")
    pretrained = PretrainedModels.load(config.pretrained) if config.pretrained else None
    options = pretrained.config if pretrained else config.models
    window = max(options.latent.window, options.cross_modal.window)
    valid = torch.from_numpy(clip.valid_indices(0, num_train))  # [N]
    if len(valid) <= window:
        raise UserError(
            f"{source}: {len(valid)} frames for training; the motion models need more than {window} "
            f"({window / FRAME_RATE:.1f} s): use a longer video"
        )
    mfcc = clip.mfcc[: num_train * MFCC_PER_FRAME]  # [T*4, D]: audio has no gaps
    statistics = MfccStatistics.from_mfcc(mfcc, source)
    recording = Recording.from_clip(clip, slice(num_train), source, speech=speech)
    num_val = round(config.validation * len(valid))
    if not (config.validation >= 0 and len(valid) - num_val > window):
        raise UserError(
            f"`validation={config.validation}`: must be 0 or more and leave more than {window} frames for training"
        )

    if pretrained and pretrained.sizes["num_coefficients"] != mfcc.shape[1]:
        raise UserError(
            f"{config.pretrained}: expects {pretrained.sizes['num_coefficients']} MFCC per row, {source} has "
            f"{mfcc.shape[1]}; run dfa-process again"
        )
    if pretrained and speech is not None and pretrained.sizes["speech_kind"] != speech_kind:
        raise UserError(
            f"{config.pretrained}: its lip model was trained on {pretrained.sizes['speech_kind']}, but "
            f"`{options.lips.features}` now computes {speech_kind}; pretrain again"
        )
    trainer = AttributeTrainer(config.step_multiplier, config.seed, config.progress, config.hardware)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        models = AttributeModels(options, mfcc.shape[1], recording.speech.shape[1], len(valid), speech_kind)
        models.mfcc_mean, models.mfcc_std = torch.from_numpy(statistics.mean), torch.from_numpy(statistics.std)
        models.offset = torch.tensor(
            train_speech_models(models, trainer, recording, num_val, pretrained, config.finetune)
        )
        # Offsets of further recordings are relative to this one, whose own offset E_a has learned without `pretrained`.
        offsets = {recording.name: int(models.offset)}
        offsets |= {other.name: measure_offset(pretrained or models, other) for other in more or []}
        if recording.speech.shape[1]:
            synchronised = [part.shift_audio(offsets[part.name]) for part in (recording, *(more or []))]
            start = pretrained.lips if pretrained else None
            if start is None and config.general_lips:
                start = general_lip_models(options.lips, speech_kind)
            train_lips(models.lips, synchronised, start)
            models.training_lips = models.lips.space.encode(recording.expression[valid])
        scale = pretrained.motion.scale if pretrained else None
        motion = fit_motion_space(models, recording, models.eye, models.motion, scale)
        models.training_motion, models.training_shot = motion, recording.shot[valid]
        models.training_opening = recording.eye_opening[valid].clone()
        sequences = MotionSequences(
            motion, models.clip_audio(mfcc)[valid], models.training_shot, torch.ones(len(valid))
        )
        split = len(valid) - num_val
        train, val = sequences.part(slice(split)), sequences.part(slice(split, None)) if num_val else None
        if more:
            train = train.joined(prepare_motion_sequences(models, more, offsets))
        if not pretrained:
            trainer.train_motion_vae(models, train, val)
        if not pretrained or config.finetune > 0:
            trainer.train_cross_modal_encoder(models, train, val)
    return models.eval()


def train_speech_models(
    models: SpeechModels,
    trainer: AttributeTrainer,
    recording: Recording,
    num_val: int = 0,
    pretrained: SpeechModels | None = None,
    finetune: float = AttributesConfig.finetune,
) -> int:
    """Trains F_d and E_a on one person, from scratch or from pretrained weights.

    Args:
        models: the models to train, in place.
        trainer: runs the training.
        recording: the person's training frames.
        num_val: number of frames at the end of the recording that are used for early stopping of E_a instead of for
            training.
        pretrained: models of the same configuration, from which training starts.
        finetune: see `AttributesConfig.finetune`.

    Returns:
        The delay of the recording's audio in MFCC rows (10 ms), as the pretrained models measure it; 0 without them.
    """
    split, offset, share = len(recording) - num_val, 0, 1.0
    train, val = recording.part(slice(split)), [recording.part(slice(split, None))] if num_val else None
    models.autoencoder.set_statistics(recording.neutral, recording.expression[recording.valid_frames])
    if pretrained:
        offset, share = measure_offset(pretrained, recording), finetune
        models.warm_start(pretrained)
        models.autoencoder.mean_face = recording.neutral
    else:
        trainer.train_autoencoder(models, [train])
    if share > 0:
        trainer.train_audio_encoder(models, [train], {recording.name: offset}, val, share=share)
    return offset


@torch.no_grad()
def clip_lips(
    models: AttributeModels, clip: ClipAttributes, num_train: int, speech: Float[Tensor, "T F"]
) -> Float[Tensor, "T K"]:
    """Computes f_m of a whole clip: from the lips in training frames, from the audio alone in held-out frames."""
    recording = Recording.from_clip(clip, slice(num_train))
    lips = [models.lips.space.encode(recording.expression)]
    if num_train < len(clip):
        frames = torch.from_numpy(shifted_rows(len(clip), round(int(models.offset) / MFCC_PER_FRAME)))[num_train:]
        lips += models.stream_lips([speech[frames]], [voiced_frames(clip.voice)[frames]], LipConfig())
    return torch.cat(lips)


def clip_track(models: AttributeModels, clip: ClipAttributes) -> AttributeTrack:
    """Computes the attribute track of a whole clip, conditioned on f_a.

    It reads head pose, torso motion, eye opening and audio of every frame, and never the lips.
    """
    return AttributeTrack(
        head_to_camera=torch.from_numpy(clip.head_to_camera),
        torso_motion=torch.from_numpy(clip.torso_motion),
        eye=models.eye.from_opening(torch.from_numpy(clip.eye_opening)),
        mouth=models.clip_audio(clip.mfcc),
        eye_kind=models.eye_kind,
        mouth_kind=models.audio_kind,
        fps=FRAME_RATE,
    )


def voice_match(clip: ClipAttributes, feature: AudioFeature, speech: Float[Tensor, "T F"]) -> VoiceMatch | None:
    """Compares the lips of a clip with its voice; None if its audio feature is not the package's speech encoder."""
    if AudioToLipsConfig.features != feature.NAME:
        return None
    return VoiceMatch.of(lip_gap_from_features(speech), clip.mouth_opening, clip.face_found & (clip.shot >= 0))


def train_attributes(
    folder: tyro.conf.Positional[Path], config: Annotated[AttributesConfig, tyro.conf.arg(name="")]
) -> None:
    """Trains on a dataset folder and writes `attribute_models.pt`, `track.npz` and `attribute_report.json` into it.

    Args:
        folder: the dataset folder.
        config: options.

    Raises:
        UserError: if the folder or an option cannot be used.
    """
    if not config.step_multiplier > 0:
        raise UserError(f"`step_multiplier={config.step_multiplier}`: must be above 0")
    dataset = DatasetFolder.open(folder)
    clip = dataset.attributes
    options = PretrainedModels.load(config.pretrained).config if config.pretrained else config.models
    feature = audio_feature_from_option(options.lips.features)
    speech = clip_audio_feature(dataset, feature)
    more, skipped = read_recordings(list(config.more), options.lips.features)
    for line in skipped:
        raise UserError(f"`more`: {line}")
    models = train_models(clip, dataset.num_train, config, str(folder), speech, str(feature.kind), more)
    models.save(folder / MODELS_FILE_NAME)
    track = clip_track(models, clip)
    track.save(folder / F_A_TRACK)
    lips = clip_lips(models, clip, dataset.num_train, speech)
    replace(track, mouth=lips, mouth_kind=models.lip_kind).save(folder / TRACK)
    console = make_console()
    metrics = held_out_metrics(models, clip, dataset.num_train, lips)
    print_metrics(metrics, "held-out frames", console)
    for line in data_warnings(models):
        console.print(line, soft_wrap=True)
    match = voice_match(clip, feature, speech)
    if match and (warning := match.warning()):
        console.print(warning, soft_wrap=True)
    if config.pretrained:
        console.print(f"audio delay of the video: {10 * int(models.offset):+d} ms (corrected in training)")
    if match:
        metrics["voice and lips, correlation"] = match.correlation
    report = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    with atomic_write(folder / REPORT_FILE_NAME) as partial:
        partial.write_text(json.dumps(report | {"latent channels": latent_channels(models)}, indent=1))
    console.print(f"wrote {folder / MODELS_FILE_NAME} and {folder / TRACK}", soft_wrap=True)
