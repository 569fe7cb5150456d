"""Measures whether the lips of single rendered words close at m, p and b and open at vowels, with a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from scipy.signal import resample_poly

from benchmarks.record import Row, record_header, run_timed, write_record
from benchmarks.talking_videos import SHORT_SPEECH, read_frames
from dfa_nerfstudio.demo.speech import Phoneme
from dfa_nerfstudio.demo.speech_synthesis import EspeakSynthesizer
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.aperture import Aperture
from dfa_nerfstudio.evaluation.landmark_track import LandmarkTrack
from dfa_nerfstudio.face.topology import MOUTH_SPAN
from dfa_nerfstudio.media.audio import read_audio, write_wav
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.talk.load_model import load_model

WORDS = ("mama", "papa", "fish", "oh", "see")
BILABIALS = tuple("mpb")
"""First letters of eSpeak's mnemonics of the sounds at which lips close."""
PAUSE_S = 0.6
"""Silence before and after each word, in seconds."""
REACH = 2
"""Frames before a sound's start and after its end in which the lips may close, because lips move before the sound."""
CLOSED_SHARE = 0.25
"""Aperture, as a share of the largest of all words, below which lips count as closed."""
TILE = 96
"""Side of a mouth in the contact sheet, in pixels."""


@dataclass
class WordBenchmark:
    """Lips of single words, synthesised by eSpeak NG (libespeak-ng must be installed)."""

    load_config: Path
    """config.yml of a trained model."""
    shared: Path = Path("../shared")
    """Folder of the test material, with speech/: a person's speech is rendered too, for the second contact sheet."""
    words: tuple[str, ...] = WORDS
    """English words to say."""
    seconds: float = 4.0
    """Seconds of the person's speech."""
    output: Path = Path("outputs/bench")
    """Working folder for the video and the contact sheet. Images of real people stay here and are never committed."""

    def run(self) -> None:
        """Renders the words with a still head; writes the record and the contact sheet."""
        self.output.mkdir(parents=True, exist_ok=True)
        samples, words = say(self.words)
        frames = self._render("words", samples)
        aperture = Aperture.from_frames(frames).mouth
        write_record("words_cpu", record_header("cpu"), {f"lips by word, {self._clip}": word_rows(aperture, words)})
        contact_sheet(frames, list(words.values()), self.output / "words.png")
        person = read_audio(self.shared / "speech" / SHORT_SPEECH)[: round(self.seconds * SAMPLE_RATE)]
        seconds = [[Phoneme("", start, start + 1)] for start in np.arange(self.seconds)]
        contact_sheet(self._render("words_person", person), seconds, self.output / "words_person.png")

    @property
    def _clip(self) -> str:
        """Name of the dataset folder that the model was trained on."""
        return load_model(self.load_config).clip.folder.name

    def _render(self, name: str, samples: Float[np.ndarray, " S"]) -> UInt8[np.ndarray, "T H W 3"]:
        """Renders speech with a still head."""
        audio, video = self.output / f"{name}.wav", self.output / f"{name}.mp4"
        write_wav(audio, samples)
        command: list[str | Path] = ["dfa-talk", "--load-config", self.load_config, "--audio", audio, "--pose", "still"]
        run_timed([*command, "--fps", FRAME_RATE, "--output", video])
        return np.stack(list(read_frames(video)))


def say(words: Sequence[str]) -> tuple[Float[np.ndarray, " S"], dict[str, list[Phoneme]]]:
    """Synthesises words with pauses between them; returns the samples, and the phonemes of each word."""
    try:
        synthesizer = EspeakSynthesizer()
    except OSError as error:
        raise UserError("libespeak-ng.so.1 not found; install the system package libespeak-ng1") from error
    parts, phonemes, begin = [np.zeros(round(PAUSE_S * SAMPLE_RATE))], {}, PAUSE_S
    for word in words:
        wave, sounds = synthesizer.synthesize(word)
        wave = resample_poly(wave, SAMPLE_RATE, synthesizer.sample_rate)
        spoken = [Phoneme(*sound).shifted(begin) for sound in sounds if not sound[0].startswith("_")]
        phonemes[word] = [sound for sound in spoken if sound.label.strip("'")]
        parts += [0.7 * wave / np.abs(wave).max(), np.zeros(round(PAUSE_S * SAMPLE_RATE))]
        begin += len(wave) / SAMPLE_RATE + PAUSE_S
    return np.concatenate(parts).astype(np.float32), phonemes


def frames_of(sounds: Sequence[Phoneme], num_frames: int) -> slice:
    """The frames of consecutive sounds and `REACH` around them."""
    first, last = round(sounds[0].start * FRAME_RATE), round(sounds[-1].end * FRAME_RATE)
    return slice(max(first - REACH, 0), min(last + REACH + 1, num_frames))


def word_rows(aperture: Float[np.ndarray, " T"], words: dict[str, list[Phoneme]]) -> list[Row]:
    """Smallest aperture at each bilabial and largest aperture of each word, as shares of the largest of all words."""
    count = len(aperture)
    largest = max(np.nanmax(aperture[frames_of(sounds, count)]) for sounds in words.values())
    rows: list[Row] = []
    for word, sounds in words.items():
        bilabials = [sound for sound in sounds if sound.label.startswith(BILABIALS)]
        lowest = [float(np.nanmin(aperture[frames_of([sound], count)]) / largest) for sound in bilabials]
        rows.append(
            {
                "word": word,
                "widest": float(np.nanmax(aperture[frames_of(sounds, count)]) / largest),
                "bilabials": len(lowest),
                "closed": sum(value < CLOSED_SHARE for value in lowest),
                "apertures_at_bilabials": " ".join(f"{value:.2f}" for value in lowest),
            }
        )
    return rows


def contact_sheet(frames: UInt8[np.ndarray, "T H W 3"], parts: Sequence[Sequence[Phoneme]], path: Path) -> None:
    """Writes one row of mouths for each part of the speech, each with the sound at its time."""
    lips = LandmarkTrack.from_frames(frames).landmarks[:, MOUTH_SPAN, :2]
    centre, width = np.nanmedian(lips, axis=(0, 1)), np.nanmedian(np.ptp(lips[..., 0], axis=1))
    left, top = (centre - 0.9 * width).round().astype(int).clip(0)
    side, rows = round(1.8 * width), []
    for sounds in parts:
        row = []
        for number in range(len(frames))[frames_of(sounds, len(frames))]:
            mouth = cv2.resize(frames[number, top : top + side, left : left + side], (TILE, TILE))
            label = next((s.label for s in sounds if s.start <= number / FRAME_RATE < s.end), "")
            cv2.putText(mouth, label, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 0), 1, cv2.LINE_AA)
            row.append(mouth)
        rows.append(np.concatenate(row, axis=1))
    longest = max(row.shape[1] for row in rows)
    sheet = np.concatenate([np.pad(row, ((0, 0), (0, longest - row.shape[1]), (0, 0))) for row in rows])
    cv2.imwrite(str(path), np.ascontiguousarray(sheet[:, :, ::-1]))
