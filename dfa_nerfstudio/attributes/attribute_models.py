"""All attribute models of a person in one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from dfa_nerfstudio.attributes.eye_embedding import EyeEmbedding
from dfa_nerfstudio.attributes.lips.lip_config import LipConfig
from dfa_nerfstudio.attributes.pretrained_models import ModelsConfig, PretrainedModels
from dfa_nerfstudio.attributes.recordings import shifted_rows
from dfa_nerfstudio.attributes.weights_file import fingerprint
from dfa_nerfstudio.data.attribute_track import LIP_FEATURE, FeatureKind
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics

MODELS_FILE_NAME, REPORT_FILE_NAME = "attribute_models.pt", "attribute_report.json"
"""Names of the files in the dataset folder."""
EYE_FEATURE, EYE_VERSION = "eye-blink", 1
LIP_VERSION = 1


class AttributeModels(PretrainedModels):
    """The trained models of one person, and the data of the training frames that generation uses.

    Example:
        >>> models = AttributeModels.load(Path("data/me/attribute_models.pt"))  # doctest: +SKIP
        >>> f_a = models.audio_features(mfcc)  # doctest: +SKIP
    """

    file_format, file_version = "dfa-nerfstudio attribute models", 9
    command = "dfa-attributes {folder}"

    mfcc_mean: Tensor
    """Mean of each MFCC over the training frames [D]."""
    mfcc_std: Tensor
    """Standard deviation of each MFCC over the training frames [D]."""
    offset: Tensor
    """Delay of the audio of the person's video in MFCC rows (10 ms), measured with a pretrained model, else 0."""
    training_motion: Tensor
    """h of the training frames [N, C]; the source of initial poses and of the pose range in generation."""
    training_opening: Tensor
    """Eye opening of the training frames [N, 2], 0 closed to 1 open; the source of the person's blinks."""
    training_shot: Tensor
    """Shot number of each training frame [N]."""
    training_lips: Tensor
    """f_m of the training frames [N, K]: the person's own lip shapes."""

    def __init__(
        self, config: ModelsConfig, num_coefficients: int, num_speech: int, num_train: int, speech_kind: str = ""
    ) -> None:
        """
        Args:
            config: options of all models.
            num_coefficients: MFCC per row.
            num_speech: see `PretrainedModels`.
            num_train: number of valid training frames.
            speech_kind: see `PretrainedModels`.
        """
        super().__init__(config, num_coefficients, num_speech, speech_kind)
        self.sizes["num_train"] = num_train
        self.eye = EyeEmbedding(self.autoencoder)
        self.register_buffer("mfcc_mean", torch.zeros(num_coefficients))
        self.register_buffer("mfcc_std", torch.ones(num_coefficients))
        self.register_buffer("offset", torch.tensor(0))
        self.register_buffer("training_motion", torch.zeros(num_train, self.motion.dim))
        self.register_buffer("training_opening", torch.ones(num_train, 2))
        self.register_buffer("training_shot", torch.zeros(num_train, dtype=torch.long))
        self.register_buffer("training_lips", torch.zeros(num_train, config.lips.num_components))
        self.eval()

    @property
    def clip_statistics(self) -> MfccStatistics:
        """MFCC statistics of the training frames."""
        return MfccStatistics(self.mfcc_mean.numpy(force=True), self.mfcc_std.numpy(force=True))

    @torch.no_grad()
    def audio_features(
        self, mfcc: Float32[np.ndarray, "T*4 D"], statistics: MfccStatistics | None = None
    ) -> Float[Tensor, "T A"]:
        """Computes f_a of every frame.

        Args:
            mfcc: four rows per frame, as in `ClipAttributes.mfcc`.
            statistics: MFCC statistics of the whole recording that `mfcc` belongs to; None computes those of `mfcc`
                itself, as for new audio.

        Raises:
            UserError: if the audio is shorter than the encoder's window, has another number of coefficients, or is
                silent.
        """
        if mfcc.shape[1] != self.sizes["num_coefficients"]:
            raise UserError(
                f"the audio has {mfcc.shape[1]} coefficients a row, the models were trained on "
                f"{self.sizes['num_coefficients']}; run dfa-process and dfa-attributes again"
            )
        if len(mfcc) < self.config.audio.window:
            raise UserError(
                f"the audio is shorter than one window of {self.config.audio.window * 10} ms; use longer audio"
            )
        normalised = (statistics or MfccStatistics.from_mfcc(mfcc)).normalise(mfcc)
        return self.audio.features(torch.from_numpy(normalised).to(self.mfcc_mean))

    def clip_audio(self, mfcc: Float32[np.ndarray, "T*4 D"]) -> Float[Tensor, "T A"]:
        """Computes f_a of a part of the person's own video, corrected for the video's audio delay.

        Args:
            mfcc: four rows per frame.
        """
        return self.audio_features(mfcc[shifted_rows(len(mfcc), int(self.offset))], self.clip_statistics)

    @property
    def closed_lips(self) -> Float[Tensor, " K"]:
        """f_m of the closed mouth."""
        return self.lips.closed_shape(self.training_lips)

    def stream_lips(
        self,
        speech: Iterable[Float[Tensor, "n F"]],
        voice: Iterable[Bool[Tensor, " n"]],
        config: LipConfig,
        live: bool = False,
    ) -> Iterator[Float[Tensor, "m K"]]:
        """Yields f_m of the next frames of any audio.

        Args:
            speech: the audio feature that lips are predicted from, in chunks of any length.
            voice: whether someone speaks in each frame.
            config: post-processing.
            live: see `LipModels.stream`.
        """
        return self.lips.stream(speech, voice, self.training_lips, self.closed_lips, config, live)

    @property
    def lip_kind(self) -> FeatureKind:
        """Kind of f_m: its name, version and the fingerprint of the lip space. A lip model that is trained again, on
        more videos for example, drives the same renderer as long as the space is the same."""
        return FeatureKind(LIP_FEATURE, LIP_VERSION, fingerprint(self.lips.space.state_dict()))

    @property
    def eye_kind(self) -> FeatureKind:
        """Kind of f_e: its name, version and the fingerprint of the weights that compute it."""
        weights = {**self.autoencoder.state_dict(), "coefficients": self.eye.coefficients}
        weights = {name: value for name, value in weights.items() if not name.startswith("decoder")}
        return FeatureKind(EYE_FEATURE, EYE_VERSION, fingerprint(weights))

    @property
    def kinds(self) -> dict[str, FeatureKind]:
        return {"eye": self.eye_kind, "audio": self.audio_kind, "lips": self.lip_kind}
