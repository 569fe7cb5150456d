"""The models of sections 3.2 and 3.3 together: F_d, E_a and the mouth encoder of Eq. 3."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.attributes.audio_encoder import AudioEncoder, AudioEncoderConfig, MouthEncoder
from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingAutoencoder, DisentanglingConfig
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.weights_file import fingerprint
from dfa_nerfstudio.data.attribute_track import FeatureKind

AUDIO_FEATURE, AUDIO_VERSION = "synchronised-audio", 2
MOUTH_FEATURE, MOUTH_VERSION = "mouth", 1


@dataclass
class SpeechConfig:
    """Options of F_d and E_a."""

    disentangling: DisentanglingConfig = field(default_factory=DisentanglingConfig)
    """Disentangling autoencoder of mouth and eyes (section 3.2)."""
    audio: AudioEncoderConfig = field(default_factory=AudioEncoderConfig)
    """Audio encoder synchronised with the lips (section 3.3)."""


class SpeechModels(nn.Module):
    """F_d, E_a and the mouth encoder."""

    lips_mean: Tensor
    """Mean of f_m over the training frames [M]."""
    lips_std: Tensor
    """Standard deviation of f_m over the training frames [M]."""

    def __init__(self, config: Any, num_coefficients: int) -> None:
        """
        Args:
            config: a `SpeechConfig`.
            num_coefficients: MFCC per row.
        """
        super().__init__()
        self.config = config
        self.sizes: dict[str, Any] = {"num_coefficients": num_coefficients}
        self.autoencoder = DisentanglingAutoencoder(config.disentangling)
        self.audio = AudioEncoder(config.audio, num_coefficients)
        self.mouth = MouthEncoder(config.audio, config.disentangling.mouth_dim)
        self.register_buffer("lips_mean", torch.zeros(config.disentangling.mouth_dim))
        self.register_buffer("lips_std", torch.ones(config.disentangling.mouth_dim))
        self.eval()

    def faces(self, recording: Recording) -> Float[Tensor, "T 68 3"]:
        """A recording's landmarks with its own identity replaced by that of `autoencoder.mean_face`."""
        return recording.expression + self.autoencoder.mean_face

    @torch.no_grad()
    def fit_lip_scale(self, recordings: list[Recording]) -> None:
        """Sets mean and standard deviation of f_m from the valid frames of recordings."""
        faces = torch.cat([self.faces(recording)[recording.valid_frames] for recording in recordings])
        lips = self.autoencoder.encode(faces)[0]
        self.lips_mean, self.lips_std = lips.mean(0), lips.std(0).clamp(min=1e-3)

    @torch.no_grad()
    def lip_embedding(self, landmarks: Float[Tensor, "T 68 3"]) -> Float[Tensor, "T M"]:
        """Computes f_m, standardised over the training frames.

        Args:
            landmarks: in head space, with the identity of `autoencoder.mean_face`.
        """
        return (self.autoencoder.encode(landmarks)[0] - self.lips_mean) / self.lips_std

    @torch.no_grad()
    def mouth_features(self, landmarks: Float[Tensor, "T 68 3"]) -> Float[Tensor, "T A"]:
        """Embeds the mouth in the space of f_a; the cosine of the two measures audio-visual sync."""
        return self.mouth(self.mouth.windows(self.lip_embedding(landmarks)))

    @property
    def audio_kind(self) -> FeatureKind:
        """Kind of f_a: its name, version and the fingerprint of the weights that compute it."""
        return FeatureKind(AUDIO_FEATURE, AUDIO_VERSION, fingerprint(self.audio.state_dict()))

    @property
    def kinds(self) -> dict[str, FeatureKind]:
        mouth = FeatureKind(MOUTH_FEATURE, MOUTH_VERSION, fingerprint(self.autoencoder.state_dict()))
        return {"audio": self.audio_kind, "mouth": mouth}

    def warm_start(self, other: SpeechModels) -> None:
        """Copies the weights of models of the same configuration."""
        for name in ("autoencoder", "audio", "mouth"):
            getattr(self, name).load_state_dict(getattr(other, name).state_dict())
        self.lips_mean, self.lips_std = other.lips_mean.clone(), other.lips_std.clone()
