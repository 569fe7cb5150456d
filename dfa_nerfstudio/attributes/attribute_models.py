"""All attribute models of a person in one file."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from dfa_nerfstudio.attributes.eye_embedding import EyeEmbedding
from dfa_nerfstudio.attributes.pretrained_models import GeneralModels, ModelsConfig
from dfa_nerfstudio.attributes.recordings import rows_in_step
from dfa_nerfstudio.attributes.weights_file import fingerprint
from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics

FILE_NAME, REPORT_NAME = "attribute_models.pt", "attribute_report.json"
"""In the dataset folder."""
EYE_FEATURE, EYE_VERSION = "eye-blink", 1


class AttributeModels(GeneralModels):
    """The trained models of a person, and what generation keeps of the training frames.

    Example:
        >>> models = AttributeModels.load(Path("data/me/attribute_models.pt"))  # doctest: +SKIP
        >>> f_a = models.audio_features(mfcc)  # doctest: +SKIP
    """

    file_format, file_version = "dfa-nerfstudio attribute models", 6
    made_by = "dfa-attributes {folder}"

    mfcc_mean: Tensor
    mfcc_std: Tensor
    offset: Tensor
    """Rows (10 ms) by which the sound of the person's film comes late; measured with a pretrained model, else 0."""
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
        super().__init__(config, num_coefficients)
        self.sizes["num_train"] = num_train
        self.eye = EyeEmbedding(self.autoencoder)
        self.register_buffer("mfcc_mean", torch.zeros(num_coefficients))
        self.register_buffer("mfcc_std", torch.ones(num_coefficients))
        self.register_buffer("offset", torch.tensor(0))
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

    def clip_audio(self, mfcc: Float32[np.ndarray, "T*4 D"]) -> Float[Tensor, "T A"]:
        """f_a of a part of the person's own film, from whose sound the film's offset is taken back.

        Args:
            mfcc: four rows a frame.
        """
        return self.audio_features(mfcc[rows_in_step(len(mfcc), int(self.offset))], self.clip_statistics)

    @property
    def eye_kind(self) -> FeatureKind:
        """What f_e is."""
        weights = {**self.autoencoder.state_dict(), "coefficients": self.eye.coefficients}
        weights = {name: value for name, value in weights.items() if not name.startswith("decoder")}
        return FeatureKind(EYE_FEATURE, EYE_VERSION, fingerprint(weights))

    @property
    def kinds(self) -> dict[str, FeatureKind]:
        return {"eye": self.eye_kind, "audio": self.audio_kind}
