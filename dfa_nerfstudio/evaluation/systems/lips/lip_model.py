"""What all lip models of the comparison have in common: audio in, lip shape f_m out."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.evaluation.systems.person_data import SpeechInputs


class LipModel(nn.Module, ABC):
    """A model of one person's lips, conditioned on audio."""

    @abstractmethod
    def predict(self, speech: SpeechInputs) -> Float[Tensor, "T K"]:
        """Predicts f_m of each frame, in the person's `LipSpace`."""
