"""The bundled speech and its phoneme times (`make_speech.py` tells how both were made)."""

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
"""Seconds of silence before the first sentence."""
PAUSE = (0.3, 0.6)
"""Range of the silence between sentences, in seconds."""
FADE = 0.01
"""Seconds over which a sentence that is cut off fades out."""


@dataclass(frozen=True)
class Phoneme:
    """A sound of speech: espeak's mnemonic (`_` and `_:` are pauses) and its time in seconds."""

    label: str
    start: float
    end: float

    def moved(self, offset: float) -> Phoneme:
        return Phoneme(self.label, self.start + offset, self.end + offset)


@dataclass
class Speech:
    """A recording whose phoneme times are known."""

    samples: Float32[np.ndarray, " samples"]
    """Mono, 16 kHz, in [-1, 1]."""
    phonemes: list[Phoneme]
    """In order and without overlap; between sentences there are gaps, which are silent."""

    @property
    def duration(self) -> float:
        """In seconds."""
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
    """The sentence that no clip contains, about 6 s: audio to drive a trained model with."""
    return _sentences()[-1]


def make_speech(seconds: float, seed: int) -> Speech:
    """Sentences with pauses between them, exactly `seconds` long.

    No sentence comes a second time before all have been said (about 40 s); every round has another order.
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
            phonemes += [phoneme.moved(begin / SAMPLE_RATE) for phoneme in sentences[index].phonemes]
            begin += len(sentences[index].samples) + round(rng.uniform(*PAUSE) * SAMPLE_RATE)
    fade = min(round(FADE * SAMPLE_RATE), len(samples))
    samples[len(samples) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return Speech(samples, [Phoneme(p.label, p.start, min(p.end, seconds)) for p in phonemes if p.start < seconds])
