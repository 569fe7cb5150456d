"""A lip-sync expert as a loss on the lips, after Wav2Lip [34]."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dfa_nerfstudio.attributes.av_offset import measure_offset
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.evaluation.systems.lips.expert import embed_mouth
from dfa_nerfstudio.evaluation.systems.lips.recurrent_lips import RecurrentLips, RecurrentLipsObjective
from dfa_nerfstudio.evaluation.systems.person_data import PersonData

SYNC_WEIGHT = 0.03
"""Weight s_w of the expert's loss against the reconstruction, as in the paper."""


class SyncExpertObjective(RecurrentLipsObjective):
    """L1 error of the lips and the expert's loss E_sync = -log P_sync (K. R. Prajwal et al., "A lip sync expert is all
    you need for speech to lip generation in the wild", 2020): (1 - s_w) L1 + s_w E_sync.

    P_sync is the cosine of the frozen expert's embeddings of audio and mouth, mapped to (0, 1). The paper's expert
    reads rendered pixels. This one reads the lip shape that is rendered, because the field renders what it is
    conditioned on. The paper's generator also has a visual discriminator, which needs pixels; here the generator is the
    LSTM of `RecurrentLips`.
    """

    audio: Tensor

    def __init__(self, model: RecurrentLips, person: PersonData, expert: SpeechModels, weight: float = SYNC_WEIGHT):
        super().__init__(model, person)
        self.expert, self.face, self.sync_weight = expert, person.face_from_lips, weight
        # the expert has learned from audio without delay
        audio = person.train.shift_audio(measure_offset(expert, person.train))
        self.register_data(audio=expert.audio.features(audio.mfcc))

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Computes both terms on a batch."""
        self.expert.eval()
        predicted, true = self.batch()
        mouth = embed_mouth(self.expert, self.face(predicted))
        reach = self.expert.mouth.frames // 2
        audio = self.audio[self.frames[:, reach : reach + mouth.shape[1]]]
        probability = (1 + F.cosine_similarity(mouth, audio, dim=-1)) / 2
        return {
            "lips": (1 - self.sync_weight) * F.l1_loss(predicted, true),
            "sync": -self.sync_weight * probability.clamp(min=1e-3).log().mean(),
        }
