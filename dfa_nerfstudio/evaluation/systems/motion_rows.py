"""Motion models by name: the rows of Table 4, and the systems that the paper compares with."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

import torch

from dfa_nerfstudio.attributes.attribute_trainer import AttributeTrainer
from dfa_nerfstudio.attributes.cross_modal_encoder import CrossModalEncoder
from dfa_nerfstudio.attributes.gp_vae import TransformerGPVAE
from dfa_nerfstudio.attributes.gp_vae_objective import reference_speed
from dfa_nerfstudio.attributes.sequence_models import Architecture
from dfa_nerfstudio.evaluation.systems.motion import adversarial_motion, speaker_aware_motion
from dfa_nerfstudio.evaluation.systems.motion.adversarial_motion import (
    ADVERSARIAL_FIT,
    AdversarialMotion,
    AdversarialObjective,
)
from dfa_nerfstudio.evaluation.systems.motion.autoregressive_motion import (
    AUTOREGRESSIVE_FIT,
    AutoregressiveMotion,
    LikelihoodObjective,
)
from dfa_nerfstudio.evaluation.systems.motion.gp_vae_motion import GPVAEMotion
from dfa_nerfstudio.evaluation.systems.motion.motion_model import (
    REGRESSION_FIT,
    MotionModel,
    RegressionObjective,
)
from dfa_nerfstudio.evaluation.systems.motion.recurrent_motion import RecurrentMotion
from dfa_nerfstudio.evaluation.systems.motion.rhythmic_motion import REFERENCE_FRAMES, RhythmicMotion
from dfa_nerfstudio.evaluation.systems.motion.source_motion import SourceMotion, StillMotion
from dfa_nerfstudio.evaluation.systems.motion.speaker_aware_motion import (
    SpeakerAwareMotion,
    mean_voice,
    with_speakers,
)
from dfa_nerfstudio.evaluation.systems.person_data import PersonData
from dfa_nerfstudio.evaluation.systems.train_row import fit_model

MotionTrainer = Callable[[PersonData, int], MotionModel]
"""Trains a model on a person's training frames with a random seed."""
Prior = Literal["gaussian-process", "independent"]

OURS = "Transformer GP-VAE (DFA-NeRF)"
RECURRENT = "LSTM (Yi et al.)"
SPEAKER_AWARE = "speaker-aware self-attention (MakeItTalk)"
AUTOREGRESSIVE = "autoregressive Gaussian (LSP)"
ADVERSARIAL = "adversarial (FACIAL)"
RHYTHMIC = "rhythm of a reference clip (Chen et al.)"
SOURCE = "source video's motion (Wav2Lip)"
STILL = "still head (ATVG)"


def _train_vae(architecture: Architecture, prior: Prior, person: PersonData, seed: int) -> MotionModel:
    """Trains E_h, D and E_ah anew; f_a and h are those of the person's attribute models."""
    models = copy.deepcopy(person.models)
    latent = replace(models.config.latent, architecture=architecture, prior=prior)
    models.config = replace(models.config, latent=latent)
    models.vae = TransformerGPVAE(latent, models.motion.dim)
    models.cross_modal = CrossModalEncoder(models.config.cross_modal, models.vae, models.config.audio.embedding_dim)
    trainer = AttributeTrainer(seed=seed, progress=False)
    trainer.train_motion_vae(models, person.train_motion)
    trainer.train_cross_modal_encoder(models, person.train_motion)
    return GPVAEMotion(models.eval())


def _train_recurrent(person: PersonData, seed: int) -> MotionModel:
    train = person.train_motion
    model = RecurrentMotion(train.audio.shape[1], train.motion.shape[1])
    fit_model(RegressionObjective(model, train, 4 * model.bop), REGRESSION_FIT, seed)
    return model


def _train_speaker_aware(person: PersonData, seed: int) -> MotionModel:
    """Trained on the person and, where there are reference clips, on other people too."""
    own = person.train_motion
    model = SpeakerAwareMotion(own.audio.shape[1], own.motion.shape[1], mean_voice(own.audio))
    train = with_speakers([own, *person.other_motion])
    fit_model(RegressionObjective(model, train, speaker_aware_motion.WINDOW), REGRESSION_FIT, seed)
    return model


def _train_autoregressive(person: PersonData, seed: int) -> MotionModel:
    train, space = person.train_motion, person.models.motion
    speed = reference_speed(train.motion, train.shot)
    model = AutoregressiveMotion(train.audio.shape[1], speed, torch.stack([space.low, space.high]))
    fit_model(LikelihoodObjective(model, train, 128), AUTOREGRESSIVE_FIT, seed)
    return model


def _train_adversarial(person: PersonData, seed: int) -> MotionModel:
    train = person.train_motion
    model = AdversarialMotion(train.audio.shape[1], train.motion.shape[1])
    fit_model(AdversarialObjective(model, train, adversarial_motion.WINDOW), ADVERSARIAL_FIT, seed)
    return model


def _train_rhythmic(person: PersonData, seed: int) -> MotionModel:
    train = person.train_motion
    model = RhythmicMotion(train)
    fit_model(RegressionObjective(model, train, REFERENCE_FRAMES), REGRESSION_FIT, seed)
    return model


def _source(model: type[SourceMotion], person: PersonData, seed: int) -> MotionModel:
    return model(person.models, person.track[torch.from_numpy(person.folder.train_frames)])


VAE_VARIANTS: dict[str, tuple[Architecture, Prior]] = {
    "MLP VAE": ("mlp", "independent"),
    "LSTM VAE": ("lstm", "independent"),
    "Transformer VAE": ("transformer", "independent"),
    OURS: ("transformer", "gaussian-process"),
}
"""Architecture and prior of the motion VAEs in the paper's Table 4."""

TABLE_4: dict[str, MotionTrainer] = {name: partial(_train_vae, *options) for name, options in VAE_VARIANTS.items()}
"""The rows of the paper's Table 4."""

OTHER_SYSTEMS: dict[str, MotionTrainer] = {
    RECURRENT: _train_recurrent,
    SPEAKER_AWARE: _train_speaker_aware,
    AUTOREGRESSIVE: _train_autoregressive,
    ADVERSARIAL: _train_adversarial,
    RHYTHMIC: _train_rhythmic,
    SOURCE: partial(_source, SourceMotion),
    STILL: partial(_source, StillMotion),
}
"""Motion of the systems in Tables 1 to 3, and of others that the paper cites."""

MOTION_ROWS: dict[str, MotionTrainer] = TABLE_4 | OTHER_SYSTEMS
