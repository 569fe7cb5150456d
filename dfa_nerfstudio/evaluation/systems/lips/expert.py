"""The lip-sync expert of Wav2Lip [34]: the architecture of the sync score, trained on other people."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.pretrain import PretrainConfig, train_on_corpus
from dfa_nerfstudio.attributes.pretrained_models import PretrainedModels
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.speech_models import SpeechModels


def train_expert(recordings: list[Recording], seed: int = 0) -> PretrainedModels:
    """Trains the expert: audio and mouth encoders of the architecture of the sync score.

    Args:
        recordings: two or more recordings without speech features. They must not show the scored person, nor people
            that the sync score's own encoders were trained on.
        seed: random seed.
    """
    models, _ = train_on_corpus(recordings, PretrainConfig(seed=seed, progress=False))
    return models


def embed_mouth(expert: SpeechModels, expression: Float[Tensor, "N T 68 3"]) -> Float[Tensor, "N S A"]:
    """The expert's mouth embedding of the frames whose window lies within the sequence; differentiable."""
    faces = expression + expert.autoencoder.mean_face
    f_m = expert.autoencoder.encode(faces.flatten(0, 1))[0].unflatten(0, faces.shape[:2])
    windows = ((f_m - expert.lips_mean) / expert.lips_std).unfold(1, expert.mouth.frames, 1).transpose(2, 3)
    return expert.mouth(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
