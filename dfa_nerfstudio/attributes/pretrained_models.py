"""The models of sections 3.2 to 3.4 without the data of a single person, as `dfa-attributes pretrain` stores them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dfa_nerfstudio.attributes.cross_modal_encoder import CrossModalConfig, CrossModalEncoder
from dfa_nerfstudio.attributes.gp_vae import GPVAEConfig, TransformerGPVAE
from dfa_nerfstudio.attributes.lips.audio_to_lips import AudioToLipsConfig
from dfa_nerfstudio.attributes.lips.lip_models import LipModels
from dfa_nerfstudio.attributes.motion_space import MotionSpace
from dfa_nerfstudio.attributes.speech_models import SpeechConfig, SpeechModels
from dfa_nerfstudio.attributes.weights_file import StoredModels


@dataclass
class ModelsConfig(SpeechConfig):
    """Options of all attribute models."""

    lips: AudioToLipsConfig = field(default_factory=AudioToLipsConfig)
    """Lip model, from audio features to lips f_m."""
    latent: GPVAEConfig = field(default_factory=GPVAEConfig)
    """Latent space of motion (section 3.4, Fig. 4a)."""
    cross_modal: CrossModalConfig = field(default_factory=CrossModalConfig)
    """Cross-modal encoder from audio to motion (section 3.4, Fig. 4b)."""


class PretrainedModels(SpeechModels, StoredModels):
    """F_d, E_a, the mouth encoder, the lip model, E_h, D and E_ah, as `dfa-attributes pretrain` writes them.

    Example:
        >>> models = PretrainedModels.load(Path("pretrained_models.pt"))  # doctest: +SKIP
        >>> f_a = models.audio.features(recording.mfcc)  # doctest: +SKIP
    """

    file_format, file_version = "dfa-nerfstudio pretrained models", 5
    config_type: type = ModelsConfig
    command = "dfa-attributes pretrain FOLDERS... --output {path}"

    def __init__(self, config: Any, num_coefficients: int, num_speech: int, speech_kind: str = "") -> None:
        """
        Args:
            config: a `ModelsConfig`.
            num_coefficients: MFCC per row.
            num_speech: values per frame of the audio feature that lips are predicted from.
            speech_kind: kind of that feature (`FeatureKind`).
        """
        super().__init__(config, num_coefficients)
        self.sizes |= {"num_speech": num_speech, "speech_kind": speech_kind}
        self.lips = LipModels(config.lips, num_speech)
        self.motion = MotionSpace(config.disentangling.eye_dim)
        """Standardisation of h. Pretrained on many people, it holds their reference scale, and no mean or range."""
        self.vae = TransformerGPVAE(config.latent, self.motion.dim)
        self.cross_modal = CrossModalEncoder(config.cross_modal, self.vae, config.audio.embedding_dim)
        self.eval()

    def warm_start(self, other: SpeechModels) -> None:
        super().warm_start(other)
        if isinstance(other, PretrainedModels):
            self.vae.load_state_dict(other.vae.state_dict())
            self.cross_modal.load_state_dict(other.cross_modal.state_dict())
            self.motion.scale = other.motion.scale.clone()
