"""Lip landmarks by an LSTM, after ATVG [9], MakeItTalk [58] and Live Speech Portraits [30]."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.attributes.lips.audio_to_lips import standardise, statistics
from dfa_nerfstudio.attributes.lips.shape_projection import project_to_shapes
from dfa_nerfstudio.attributes.objective import FitConfig, Objective
from dfa_nerfstudio.attributes.segments import random_windows
from dfa_nerfstudio.evaluation.systems.lips.lip_model import LipModel
from dfa_nerfstudio.evaluation.systems.person_data import PersonData, SpeechInputs
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME

Input = Literal["mfcc", "speech"]
WINDOW = 64
"""Frames of a training window."""
BATCH_SIZE = 16
"""Training windows per step."""
DELAY = 7
"""Frames by which the output lags the input, so that the LSTM reads 0.3 s ahead, as the 18 frames at 60 frames/s of
MakeItTalk and Live Speech Portraits."""
RECURRENT_LIPS_FIT = FitConfig(steps=300, learning_rate=1e-3)
"""Training options."""


class RecurrentLips(LipModel):
    """An LSTM from audio to the principal components of lip landmarks, from which the image is rendered.

    L. Chen et al., "Hierarchical cross-modal talking face generation with dynamic pixel-wise loss", 2019 (ATVG): MFCC
    to principal components of landmarks. Y. Zhou et al., "MakeItTalk: speaker-aware talking-head animation", 2020:
    three layers of 256 units on speech content features. Y. Lu et al., "Live Speech Portraits", 2021: features of a
    pretrained speech model, which are projected onto the person's own by locally linear embedding. Here the predicted
    lips are projected instead, onto the person's lip shapes.
    """

    feature_mean: Tensor
    """Mean of the audio feature over the training frames [F]."""
    feature_std: Tensor
    """Standard deviation of the audio feature over the training frames [F]."""
    shapes: Tensor
    """f_m of the training frames [N, K], onto which predictions are projected; none without projection."""

    def __init__(
        self,
        features: Float[Tensor, "T F"],
        shapes: Float[Tensor, "N K"],
        source: Input,
        project: bool,
        width: int = 256,
    ) -> None:
        """
        Args:
            features: audio features of the training frames.
            shapes: f_m of the training frames.
            source: the audio feature.
            project: whether predictions are projected onto the person's lip shapes.
            width: units of each layer.
        """
        super().__init__()
        self.source: Input = source
        self.layers = nn.LSTM(features.shape[1], width, 3, batch_first=True, dropout=0.2)
        self.out = nn.Linear(width, shapes.shape[1])
        mean, std = statistics(features)
        self.register_buffer("feature_mean", mean)
        self.register_buffer("feature_std", std)
        self.register_buffer("shapes", shapes if project else shapes[:0])

    def forward(self, features: Float[Tensor, "N T F"]) -> Float[Tensor, "N T K"]:
        """Predicts f_m from standardised features; the first `DELAY` rows of the output are of the frames before."""
        return self.out(self.layers(features)[0])

    @torch.no_grad()
    def predict(self, speech: SpeechInputs) -> Float[Tensor, "T K"]:
        # centred on the new audio's mean: another voice or microphone shifts the features
        features = feature_rows(speech.mfcc, speech.speech, self.source)
        rows = standardise(features, features.mean(0), self.feature_std)
        padded = torch.cat([rows, rows[-1:].expand(DELAY, -1)])
        return project_to_shapes(self(padded[None])[0, DELAY:], self.shapes, 1.0)


def feature_rows(
    mfcc: Float[Tensor, "T*4 D"], speech: Float[Tensor, "T F"], source: Input
) -> Float[Tensor, "T F"] | Float[Tensor, "T 4*D"]:
    """The audio feature of each frame; of MFCC the four rows of the frame."""
    return speech if source == "speech" else mfcc.view(len(mfcc) // MFCC_PER_FRAME, -1)


class RecurrentLipsObjective(Objective):
    """Mean square error of f_m on random windows."""

    features: Tensor
    lips: Tensor
    shot: Tensor

    def __init__(self, model: RecurrentLips, person: PersonData) -> None:
        super().__init__()
        self.model = model
        train = person.train
        features = standardise(
            feature_rows(train.mfcc, train.speech, model.source), model.feature_mean, model.feature_std
        )
        lips = person.models.lips.space.encode(train.expression)
        self.register_data(features=features, lips=lips, shot=train.shot)

    def batch(self) -> tuple[Float[Tensor, "N T K"], Float[Tensor, "N T K"]]:
        """Returns predicted and true f_m of a batch of windows, and stores their frame indices in `frames`."""
        length = min(WINDOW, len(self.shot) - DELAY)
        self.frames = random_windows(BATCH_SIZE, length, self.shot[: len(self.shot) - DELAY])
        reading = torch.cat([self.frames, self.frames[:, -1:] + torch.arange(1, DELAY + 1).to(self.frames)], 1)
        features = self.features[reading]
        return self.model(features + 0.1 * torch.randn_like(features))[:, DELAY:], self.lips[self.frames]

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Computes the error of a batch."""
        return {"lips": F.mse_loss(*self.batch())}
