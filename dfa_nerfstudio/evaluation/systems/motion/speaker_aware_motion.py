"""Speaker-aware head motion with self-attention, after MakeItTalk [58]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.sequence_models import SequenceTransformer, sinusoidal_positions
from dfa_nerfstudio.evaluation.systems.motion.motion_model import MotionModel, blend

WINDOW = 104
"""Frames of self-attention: 256 at the paper's 62.5 frames/s."""


class SpeakerAwareMotion(MotionModel):
    """An LSTM over f_a, joined with an embedding of the speaker, then self-attention over about four seconds (Y. Zhou
    et al., "MakeItTalk: speaker-aware talking-head animation", 2020); deterministic. The paper's discriminator is left
    out: `adversarial_motion.py` has one.

    The paper takes its speaker embedding from a speaker verification network. Here it is the mean of f_a over the
    speaker's training frames (`mean_voice`), reduced by a perceptron. It differs between people only, so it matters
    where the model is trained on several: then f_a is followed by it in the rows of `audio` (`with_speakers`).
    """

    window = WINDOW

    speaker: Tensor
    """`mean_voice` of the person [A]."""

    def __init__(
        self,
        audio_dim: int,
        motion_dim: int,
        speaker: Float[Tensor, " A"],
        width: int = 128,
        layers: int = 2,
        heads: int = 2,
    ) -> None:
        """
        Args:
            audio_dim: size of f_a.
            motion_dim: channels of h.
            speaker: mean f_a of the person, used in generation.
            width: width of the tokens.
            layers: layers of self-attention.
            heads: attention heads.
        """
        super().__init__()
        self.content = nn.LSTM(audio_dim, width, 1, batch_first=True)
        self.speaker_layers = nn.Sequential(nn.Linear(audio_dim, width), nn.GELU(), nn.Linear(width, width))
        self.attention = SequenceTransformer(width, layers, heads, 0.1)
        self.out = nn.Linear(width, motion_dim)
        self.register_buffer("speaker", speaker)

    def generate(
        self, audio: Float[Tensor, "N T A"], start: Float[Tensor, "N tau C"], generator: Generator | None = None
    ) -> Float[Tensor, "N T C"]:
        f_a, speaker = audio.split([len(self.speaker), audio.shape[2] - len(self.speaker)], -1)
        voice = speaker[:, :1] if speaker.shape[2] else self.speaker
        tokens = self.content(f_a)[0] + self.speaker_layers(voice)
        tokens = tokens + sinusoidal_positions(tokens.shape[1], tokens.shape[2], tokens.device)
        return blend(self.out(self.attention(tokens)), start)


def mean_voice(audio: Float[Tensor, "T A"]) -> Float[Tensor, " A"]:
    """The input of the speaker embedding: f_a averaged over a speaker's frames, at unit length."""
    return F.normalize(audio.mean(0), dim=0)


def with_speakers(sequences: Sequence[MotionSequences]) -> MotionSequences:
    """Joins the motion of several people, each with its `mean_voice` behind f_a in every frame."""
    joined: MotionSequences | None = None
    for one in sequences:
        audio = torch.cat([one.audio, mean_voice(one.audio).expand(len(one), -1)], 1)
        labelled = replace(one, audio=audio)
        joined = labelled if joined is None else joined.joined(labelled)
    assert joined is not None
    return joined
