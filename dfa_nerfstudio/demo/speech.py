"""Loads the bundled speech with its phoneme times (`speech_synthesis.py` wrote both)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.media.rates import SAMPLE_RATE

LEAD_IN = 0.3
"""Silence before the first sentence, in seconds."""
PAUSE = (0.3, 0.6)
"""Range of the silence between sentences, in seconds."""
FADE = 0.01
"""Length of the fade-out at the end of a cut sentence, in seconds."""


@dataclass(frozen=True)
class Phoneme:
    """A phoneme: eSpeak's mnemonic (`_` and `_:` are pauses) with its start and end in seconds."""

    label: str
    start: float
    end: float

    def shifted(self, offset: float) -> Phoneme:
        """Returns the phoneme `offset` seconds later."""
        return Phoneme(self.label, self.start + offset, self.end + offset)


@dataclass
class Speech:
    """A recording with known phoneme times."""

    samples: Float32[np.ndarray, " samples"]
    """Mono samples at 16 kHz, in [-1, 1]."""
    phonemes: list[Phoneme]
    """Phonemes in order, without overlap. Gaps between sentences are silent."""

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE


@cache
def _sentences() -> list[Speech]:
    folder = Path(__file__).parent
    with av.open(str(folder / "speech.flac")) as container:
        recording = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    recording = recording.astype(np.float32) / 32768
    sentences = []
    for entry in json.loads((folder / "speech.json").read_text()):
        first, last = (round(entry[key] * SAMPLE_RATE) for key in ("start", "end"))
        sentences.append(Speech(recording[first:last], [Phoneme(*phoneme) for phoneme in entry["phonemes"]]))
    return sentences


def driving_sentence() -> Speech:
    """Returns the sentence that no clip contains (about 6 s), to drive a trained model."""
    return _sentences()[-1]


def make_speech(seconds: float, seed: int) -> Speech:
    """Concatenates sentences with pauses between them to exactly `seconds`.

    No sentence is repeated before all have been used (about 40 s). Each round has a new order, drawn by `seed`.
    """
    rng = np.random.default_rng((seed, 1))
    sentences = _sentences()[:-1]
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    phonemes: list[Phoneme] = []
    begin = round(LEAD_IN * SAMPLE_RATE)
    while begin < len(samples):
        for index in rng.permutation(len(sentences)):
            sentence = sentences[index].samples[: max(len(samples) - begin, 0)]
            samples[begin : begin + len(sentence)] = sentence
            phonemes += [phoneme.shifted(begin / SAMPLE_RATE) for phoneme in sentences[index].phonemes]
            begin += len(sentences[index].samples) + round(rng.uniform(*PAUSE) * SAMPLE_RATE)
    fade = min(round(FADE * SAMPLE_RATE), len(samples))
    samples[len(samples) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return Speech(samples, [Phoneme(p.label, p.start, min(p.end, seconds)) for p in phonemes if p.start < seconds])
