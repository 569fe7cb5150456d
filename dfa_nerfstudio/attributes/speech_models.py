"""The models of sections 3.2 and 3.3 together: F_d, E_a and the mouth's side of Eq. 3."""

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
    """Options of the models that many people can teach."""

    disentangling: DisentanglingConfig = field(default_factory=DisentanglingConfig)
    """Mouth and eyes apart (3.2)."""
    audio: AudioEncoderConfig = field(default_factory=AudioEncoderConfig)
    """Sound in step with the lips (3.3)."""


class SpeechModels(nn.Module):
    """F_d, E_a and the mouth's encoder."""

    lips_mean: Tensor
    lips_std: Tensor

    def __init__(self, config: Any, num_coefficients: int) -> None:
        """
        Args:
            config: a `SpeechConfig`.
            num_coefficients: MFCC per row.
        """
        super().__init__()
        self.config = config
        self.sizes = {"num_coefficients": num_coefficients}
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
    def learn_lip_scale(self, recordings: list[Recording]) -> None:
        """Takes mean and spread of f_m from training faces."""
        faces = torch.cat([self.faces(recording)[recording.useful] for recording in recordings])
        lips = self.autoencoder.encode(faces)[0]
        self.lips_mean, self.lips_std = lips.mean(0), lips.std(0).clamp(min=1e-3)

    @torch.no_grad()
    def lip_embedding(self, landmarks: Float[Tensor, "T 68 3"]) -> Float[Tensor, "T M"]:
        """f_m, standardised over the training frames.

        Args:
            landmarks: in head space, with the identity of `autoencoder.mean_face`.
        """
        return (self.autoencoder.encode(landmarks)[0] - self.lips_mean) / self.lips_std

    @torch.no_grad()
    def mouth_features(self, landmarks: Float[Tensor, "T 68 3"]) -> Float[Tensor, "T A"]:
        """The mouth's embedding in f_a's space: how well it agrees with f_a measures sync."""
        return self.mouth(self.mouth.windows(self.lip_embedding(landmarks)))

    @property
    def audio_kind(self) -> FeatureKind:
        """What f_a is."""
        return FeatureKind(AUDIO_FEATURE, AUDIO_VERSION, fingerprint(self.audio.state_dict()))

    @property
    def kinds(self) -> dict[str, FeatureKind]:
        mouth = FeatureKind(MOUTH_FEATURE, MOUTH_VERSION, fingerprint(self.autoencoder.state_dict()))
        return {"audio": self.audio_kind, "mouth": mouth}

    def start_from(self, other: SpeechModels) -> None:
        """Takes over another's weights, which must be of the same configuration."""
        for name in ("autoencoder", "audio", "mouth"):
            getattr(self, name).load_state_dict(getattr(other, name).state_dict())
        self.lips_mean, self.lips_std = other.lips_mean.clone(), other.lips_std.clone()
