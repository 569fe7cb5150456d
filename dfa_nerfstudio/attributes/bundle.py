"""All attribute models of a person in one file."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from dfa_nerfstudio.attributes.audio_encoder import AudioEncoder, AudioEncoderConfig, MouthEncoder
from dfa_nerfstudio.attributes.cross_modal import CrossModalConfig, CrossModalEncoder
from dfa_nerfstudio.attributes.disentangling import DisentanglingAutoencoder, DisentanglingConfig
from dfa_nerfstudio.attributes.eye_embedding import EyeEmbedding
from dfa_nerfstudio.attributes.gp_vae import GPVAEConfig, TransformerGPVAE
from dfa_nerfstudio.attributes.motion import MotionSpace
from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.data.files import written_whole
from dfa_nerfstudio.data.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.errors import UserError

FILE_NAME, REPORT_NAME = "attribute_models.pt", "attribute_report.json"
"""In the dataset folder."""
FORMAT = "dfa-nerfstudio attribute models"
FORMAT_VERSION = 2
EYE_FEATURE, EYE_VERSION = "eye-blink", 1
AUDIO_FEATURE, AUDIO_VERSION = "synchronised-audio", 1


@dataclass
class ModelsConfig:
    """Options of the sequence models of sections 3.2 to 3.4."""

    disentangling: DisentanglingConfig = field(default_factory=DisentanglingConfig)
    """Mouth and eyes apart (3.2)."""
    audio: AudioEncoderConfig = field(default_factory=AudioEncoderConfig)
    """Sound in step with the lips (3.3)."""
    latent: GPVAEConfig = field(default_factory=GPVAEConfig)
    """Latent space of motion (3.4, Fig. 4a)."""
    cross_modal: CrossModalConfig = field(default_factory=CrossModalConfig)
    """Sound to motion (3.4, Fig. 4b)."""


class AttributeModels(nn.Module):
    """The trained models of a person, and what generation keeps of the training frames.

    Example:
        >>> models = AttributeModels.load(Path("data/me/attribute_models.pt"))  # doctest: +SKIP
        >>> f_a = models.audio_features(mfcc)  # doctest: +SKIP
    """

    mfcc_mean: Tensor
    mfcc_std: Tensor
    lips_mean: Tensor
    lips_std: Tensor
    training_motion: Tensor
    """h of the training frames [N, C]: generation starts from it and takes the range of poses from it."""
    training_opening: Tensor
    """Eye opening of the training frames [N, 2]: the person's own blinks."""
    training_shot: Tensor
    """Which of the training frames follow each other [N]."""

    def __init__(self, config: ModelsConfig, num_coefficients: int, num_train: int) -> None:
        """
        Args:
            config: of all models.
            num_coefficients: MFCC per row.
            num_train: training frames that are of use.
        """
        super().__init__()
        self.config = config
        self.sizes = {"num_coefficients": num_coefficients, "num_train": num_train}
        self.autoencoder = DisentanglingAutoencoder(config.disentangling)
        self.eye = EyeEmbedding(self.autoencoder)
        self.audio = AudioEncoder(config.audio, num_coefficients)
        self.mouth = MouthEncoder(config.audio, config.disentangling.mouth_dim)
        self.motion = MotionSpace(config.disentangling.eye_dim)
        self.vae = TransformerGPVAE(config.latent, self.motion.dim)
        self.cross_modal = CrossModalEncoder(config.cross_modal, self.vae, config.audio.embedding_dim)
        self.register_buffer("mfcc_mean", torch.zeros(num_coefficients))
        self.register_buffer("mfcc_std", torch.ones(num_coefficients))
        self.register_buffer("lips_mean", torch.zeros(config.disentangling.mouth_dim))
        self.register_buffer("lips_std", torch.ones(config.disentangling.mouth_dim))
        self.register_buffer("training_motion", torch.zeros(num_train, self.motion.dim))
        self.register_buffer("training_opening", torch.ones(num_train, 2))
        self.register_buffer("training_shot", torch.zeros(num_train, dtype=torch.long))
        self.eval()

    @property
    def clip_statistics(self) -> MfccStatistics:
        """Of the training frames' sound."""
        return MfccStatistics(self.mfcc_mean.numpy(force=True), self.mfcc_std.numpy(force=True))

    @torch.no_grad()
    def audio_features(
        self, mfcc: Float32[np.ndarray, "T*4 D"], statistics: MfccStatistics | None = None
    ) -> Float[Tensor, "T A"]:
        """f_a of every frame.

        Args:
            mfcc: as in `ClipAttributes.mfcc`: four rows a frame.
            statistics: of the recording that `mfcc` is a part of; None measures `mfcc` itself, as for new audio.

        Raises:
            UserError: if it is shorter than the encoder's window, of another number of coefficients, or silent.
        """
        if mfcc.shape[1] != self.sizes["num_coefficients"]:
            raise UserError(
                f"the audio has {mfcc.shape[1]} coefficients a row, the models were trained on "
                f"{self.sizes['num_coefficients']}; run dfa-process and dfa-attributes again"
            )
        if len(mfcc) < self.config.audio.window:
            raise UserError(
                f"the audio is shorter than one window of {self.config.audio.window * 10} ms; give more of it"
            )
        normalised = (statistics or MfccStatistics.of(mfcc)).normalise(mfcc)
        return self.audio.features(torch.from_numpy(normalised).to(self.mfcc_mean))

    @torch.no_grad()
    def mouth_features(self, landmarks: Float[Tensor, "T 68 3"]) -> Float[Tensor, "T A"]:
        """The mouth's embedding in f_a's space: how well it agrees with f_a measures sync."""
        return self.mouth(self.mouth.windows(self.lip_embedding(landmarks)))

    @torch.no_grad()
    def lip_embedding(self, landmarks: Float[Tensor, "T 68 3"]) -> Float[Tensor, "T M"]:
        """f_m, standardised over the training frames."""
        return (self.autoencoder.encode(landmarks)[0] - self.lips_mean) / self.lips_std

    @property
    def eye_kind(self) -> FeatureKind:
        """What f_e is."""
        weights = {**self.autoencoder.state_dict(), "coefficients": self.eye.coefficients}
        weights = {name: value for name, value in weights.items() if not name.startswith("decoder")}
        return FeatureKind(EYE_FEATURE, EYE_VERSION, fingerprint(weights))

    @property
    def audio_kind(self) -> FeatureKind:
        """What f_a is."""
        return FeatureKind(AUDIO_FEATURE, AUDIO_VERSION, fingerprint(self.audio.state_dict()))

    def save(self, path: Path) -> None:
        """Writes everything into one file, whole or not at all."""
        with written_whole(path) as partial:
            torch.save(
                {
                    "format": FORMAT,
                    "version": FORMAT_VERSION,
                    "config": dataclasses.asdict(self.config),
                    "sizes": self.sizes,
                    "kinds": {"eye": dataclasses.asdict(self.eye_kind), "audio": dataclasses.asdict(self.audio_kind)},
                    "fingerprint": fingerprint(self.state_dict()),
                    "weights": self.state_dict(),
                },
                partial,
            )

    @classmethod
    def load(cls, path: Path) -> AttributeModels:
        """Reads and checks the file.

        Raises:
            UserError: if it is missing, truncated, damaged, or of another program or version.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; make it with: dfa-attributes {path.parent}") from None
        except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile):
            raise UserError(f"{path}: unreadable or truncated; run dfa-attributes again") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise UserError(f"{path}: not a file of attribute models; run dfa-attributes")
        if content.get("version") != FORMAT_VERSION:
            raise UserError(
                f"{path}: version {content.get('version')}, this program reads {FORMAT_VERSION}; run dfa-attributes"
            )
        try:
            models = cls(_config(ModelsConfig, content["config"]), **content["sizes"])
            models.load_state_dict(content["weights"])
        except (KeyError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path}: weights do not fit this program ({reason}); run dfa-attributes again") from None
        kinds = {name: FeatureKind(**kind) for name, kind in content["kinds"].items()}
        if fingerprint(models.state_dict()) != content["fingerprint"]:
            raise UserError(f"{path}: damaged (its weights are not those that were saved); run dfa-attributes again")
        if kinds != {"eye": models.eye_kind, "audio": models.audio_kind}:
            raise UserError(f"{path}: its features are of another version; run dfa-attributes again")
        return models


def fingerprint(weights: dict[str, Tensor]) -> str:
    """The first 12 hexadecimal digits of SHA-256 over names and values."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _config(kind: type, values: dict[str, Any]) -> Any:
    """A config dataclass with its nested ones from plain dictionaries."""
    default = kind()
    nested = {
        name: _config(type(getattr(default, name)), value) if isinstance(value, dict) else value
        for name, value in values.items()
    }
    return kind(**nested)
