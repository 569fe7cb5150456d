"""NaN and infinite numbers in features and weights of the attribute models are refused by their name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.contrastive_loss import ContrastiveObjective
from dfa_nerfstudio.attributes.cross_modal_encoder import CrossModalObjective
from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingObjective
from dfa_nerfstudio.attributes.gp_vae_objective import GPVAEObjective
from dfa_nerfstudio.attributes.lightning_module import fit
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import FitConfig, Objective
from dfa_nerfstudio.attributes.pretrained_models import ModelsConfig
from dfa_nerfstudio.attributes.recordings import AudioVisualSequence, Recording
from dfa_nerfstudio.attributes.train_attributes import AttributesConfig, train_models
from dfa_nerfstudio.errors import UserError
from tests.attributes.synthetic import COEFFICIENTS, synthetic_clip

FRAMES = 200


@pytest.fixture(scope="module")
def models() -> AttributeModels:
    torch.manual_seed(0)
    return AttributeModels(ModelsConfig(), COEFFICIENTS, 0, FRAMES)


@pytest.mark.parametrize("name", ["front_landmarks", "mfcc", "head_to_camera", "audio feature"])
def test_features_are_named_before_training(name: str) -> None:
    clip, speech = synthetic_clip(FRAMES), torch.zeros(FRAMES, 4)
    if name == "audio feature":
        speech[7] = torch.inf
    else:
        values = getattr(clip, name).copy()
        values[7] = np.nan
        clip = replace(clip, **{name: values})
    with pytest.raises(UserError, match=rf"data/me: {name} holds numbers that are not finite"):
        train_models(clip, FRAMES, AttributesConfig(progress=False), "data/me", speech, "feature")


def autoencoder_objective(models: AttributeModels, recording: Recording) -> Objective:
    return DisentanglingObjective(models.autoencoder, models.faces(recording), torch.ones(FRAMES), None)


def encoder_objective(models: AttributeModels, recording: Recording) -> Objective:
    sequence = AudioVisualSequence.from_recordings(
        [recording], [torch.zeros(FRAMES, models.config.disentangling.mouth_dim)]
    )
    return ContrastiveObjective(models.audio, models.mouth, sequence)


def motion_objective(models: AttributeModels, recording: Recording) -> Objective:
    motion = torch.randn(FRAMES, models.motion.dim)
    audio = torch.randn(FRAMES, models.config.audio.embedding_dim)
    return GPVAEObjective(models.vae, MotionSequences(motion, audio, recording.shot, torch.ones(FRAMES)))


def cross_modal_objective(models: AttributeModels, recording: Recording) -> Objective:
    train = motion_objective(models, recording)
    audio = torch.randn(FRAMES, models.config.audio.embedding_dim)
    sequences = MotionSequences(train.motion, audio, recording.shot, torch.ones(FRAMES))
    return CrossModalObjective(models.cross_modal, models.vae, sequences)


@pytest.mark.parametrize(
    ("make", "data"),
    [
        (autoencoder_objective, "landmarks"),
        (encoder_objective, "mfcc"),
        (motion_objective, "motion"),
        (cross_modal_objective, "audio"),
    ],
)
def test_training_names_the_model_its_loss_and_the_array(models: AttributeModels, make, data: str) -> None:
    objective = make(models, Recording.from_clip(synthetic_clip(FRAMES), slice(None)))
    buffers = dict(objective.named_buffers())
    assert data in buffers, sorted(buffers)
    buffers[data].fill_(torch.nan)
    with pytest.raises(UserError, match=rf"a model: the loss \w+.* is not finite at step 0, because of .*{data}"):
        fit(objective, FitConfig(steps=2), name="a model", progress=False)


class Diverging(Objective):
    """Its loss is finite and its gradient is not, from the last step on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        return {"root": (self.weight if progress < 1 else self.weight.sub(self.weight.detach()).sqrt()).sum()}


def test_weights_that_training_ends_with_are_checked() -> None:
    with pytest.raises(UserError, match="a model: weight holds numbers that are not finite"):
        fit(Diverging(), FitConfig(steps=3), name="a model", progress=False)


def test_stored_weights_are_named(models: AttributeModels, tmp_path: Path) -> None:
    path = tmp_path / "attribute_models.pt"
    models.save(path)
    AttributeModels.load(path)
    for name in ("vae.decoder_skip.weight", "training_motion"):
        values = models.state_dict()[name]
        original = values.clone()
        values.view(-1)[0] = torch.nan
        models.save(path)
        values.copy_(original)
        with pytest.raises(UserError, match=rf"attribute_models\.pt: {name} holds numbers that are not finite"):
            AttributeModels.load(path)
