"""Synthesizes the bundled speech. It was run once, with libespeak-ng installed; users of the package do not need it.

    python -m dfa_nerfstudio.demo.speech_synthesis

It writes `speech.flac` (all sentences in sequence, 16 kHz, mono, 16 bit) and `speech.json` (for each sentence its text,
its start and end in the recording, and its phonemes with their times) beside this file. The phoneme times come from the
synthesizer's phoneme events, so they are exact to its frame of a few milliseconds. The files were made with eSpeak NG
1.51, voice `en-us+f4`, 150 words per minute. This project's authors wrote the sentences.
"""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import av
import numpy as np
from scipy.signal import resample_poly

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.media.rates import SAMPLE_RATE

SENTENCES = [
    "Before the launch, we checked every valve, pump and wire by hand.",
    "My favourite view is the thin blue arc of the morning, far above a sleeping ocean.",
    "You float past the window, and a whole continent goes by under your shoes.",
    "Both of us laughed when the apple juice made a wobbly golden ball.",
    "Out there, five minutes of calm show you how small a problem may be.",
    "Please put the map away, open your eyes, and watch the moon come up.",
    "People ask me what I miss: warm bread, rough weather, and the voices of my family.",
    "We pushed home through fire and noise, then heard birds over the quiet field.",
]
DRIVING_SENTENCE = "Someone you have never heard wrote these words, and my mouth follows them anyway, moment by moment."
VOICE, WORDS_PER_MINUTE = "en-us+f4", 150
SENTENCE_PADDING = 0.02  # s of silence kept before and after each sentence

_AUDIO_SYNCHRONOUS, _PHONEME_EVENTS, _UTF8, _RATE = 2, 1, 1, 1
_END, _PHONEME = 0, 7


class _Event(ctypes.Structure):
    """`espeak_EVENT` of speak_lib.h; `name` is the 8-character member of its union `id`."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


class EspeakSynthesizer:
    """Binding to libespeak-ng that also collects its phoneme events."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self.sample_rate: int = self._library.espeak_Initialize(_AUDIO_SYNCHRONOUS, 0, None, _PHONEME_EVENTS)
        self._library.espeak_SetVoiceByName(VOICE.encode())
        self._library.espeak_SetParameter(_RATE, WORDS_PER_MINUTE, 0)

    def synthesize(self, text: str) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
        """Returns samples in [-1, 1] of a sentence, and its phonemes as (eSpeak mnemonic, start, end) in seconds."""
        chunks: list[np.ndarray] = []
        starts: list[tuple[str, int]] = []

        @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
        def receive(wave, count: int, events) -> int:
            if wave and count > 0:
                chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
            index = 0
            while events[index].type != _END:
                if events[index].type == _PHONEME:
                    starts.append((events[index].name.decode(), events[index].sample))
                index += 1
            return 0

        self._library.espeak_SetSynthCallback(receive)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        wave = np.concatenate(chunks) / 32768
        ends = [start for _, start in starts[1:]] + [len(wave)]
        return wave, [
            (name, start / self.sample_rate, end / self.sample_rate)
            for (name, start), end in zip(starts, ends, strict=True)
        ]


def main() -> None:
    """Writes `speech.flac` and `speech.json`."""
    synthesizer = EspeakSynthesizer()
    waves, sentences, begin = [], [], 0.0
    for text in [*SENTENCES, DRIVING_SENTENCE]:
        wave, phonemes = synthesizer.synthesize(text)
        sounding = np.flatnonzero(np.abs(wave) > 1e-3)
        first = max(sounding[0] / synthesizer.sample_rate - SENTENCE_PADDING, 0)
        last = sounding[-1] / synthesizer.sample_rate + SENTENCE_PADDING
        wave = wave[int(first * synthesizer.sample_rate) : int(last * synthesizer.sample_rate)]
        wave = resample_poly(wave, SAMPLE_RATE, synthesizer.sample_rate)
        wave *= 0.7 / np.abs(wave).max()
        duration = len(wave) / SAMPLE_RATE
        clipped = [(name, max(start - first, 0), min(end - first, duration)) for name, start, end in phonemes]
        sentences.append(
            {
                "text": text,
                "start": round(begin, 6),
                "end": round(begin + duration, 6),
                "phonemes": [(name, round(start, 4), round(end, 4)) for name, start, end in clipped if end > start],
            }
        )
        waves.append(wave)
        begin += duration
    here = Path(__file__).parent
    _write_flac(here / "speech.flac", np.concatenate(waves))
    lines = ",\n".join(json.dumps(sentence) for sentence in sentences)
    (here / "speech.json").write_text(f"[\n{lines}\n]\n")


def _write_flac(path: Path, samples: np.ndarray) -> None:
    # Quantised to 12 bits: the noise is 70 dB below the signal, and the file is a third smaller.
    with atomic_write(path) as partial, av.open(str(partial), "w") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", options={"compression_level": "12"})
        quantised = (np.round(samples * 2047) * 16).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(quantised[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
