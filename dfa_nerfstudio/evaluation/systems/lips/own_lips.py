"""The package's own lip model, and the trivial baselines."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.lips.lip_config import LipConfig
from dfa_nerfstudio.attributes.lips.lip_models import LipModels
from dfa_nerfstudio.attributes.lips.train_lips import train_lips
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.evaluation.systems.lips.lip_model import LipModel
from dfa_nerfstudio.evaluation.systems.person_data import SpeechInputs


class OwnLips(LipModel):
    """Gaussian process regression with restored variance, projected onto the person's lip shapes."""

    options = LipConfig()
    """How predicted lips are post-processed."""

    def __init__(self, models: AttributeModels) -> None:
        super().__init__()
        self.models = models

    def predict(self, speech: SpeechInputs) -> Float[Tensor, "T K"]:
        return torch.cat(list(self.models.stream_lips([speech.speech], [speech.voice], self.options)))


class LipsOfReducedVariance(OwnLips):
    """The same regression without restored variance: the smallest error, and an amplitude below the person's."""

    options = LipConfig(restore_variance=False)


class LipsOfOneVideo(OwnLips):
    """The same regression, fitted to the person's video alone, without the package's general lip model.

    A control: the general lip model and the sync score's encoders were trained on the same corpus, so the score could
    favour lips that come from it.
    """

    def __init__(self, models: AttributeModels, train: Recording) -> None:
        super().__init__(copy.deepcopy(models))
        self.models.lips = LipModels(models.lips.config, train.speech.shape[1])
        train_lips(self.models.lips, [train])


class ShiftedLips(OwnLips):
    """The package's lips of other moments: those of half the audio later. A baseline with the right amplitude and the
    wrong time."""

    def predict(self, speech: SpeechInputs) -> Float[Tensor, "T K"]:
        return super().predict(speech).roll(len(speech) // 2, 0)


class MeanLips(OwnLips):
    """The mean lip shape of the training frames, which does not move."""

    def predict(self, speech: SpeechInputs) -> Float[Tensor, "T K"]:
        return self.models.training_lips.mean(0).expand(len(speech), -1)
