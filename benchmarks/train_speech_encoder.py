"""The recipe of the package's speech encoder: it imitates Whisper's encoder on any folder of speech.

    python -m benchmarks.train_speech_encoder SPEECH --output dfa_nerfstudio/media/speech/speech_encoder.pt

`SPEECH` is a folder of audio files, at any depth. `docs/speech-encoder.md` lists the sources of the weights that the
package has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float, Float32
from rich.progress import track
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, sosfilt
from torch import Tensor, nn

from benchmarks.record import console
from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError, exit_on_user_error
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.media.speech.log_mel import NUM_MEL, stream_log_mel
from dfa_nerfstudio.media.speech.speech_encoder import ROWS_PER_STATE, SpeechEncoder, SpeechEncoderConfig
from dfa_nerfstudio.media.speech.whisper_encoder import WINDOW_S, WhisperEncoder, find_whisper

AUDIO_SUFFIXES = (".flac", ".wav", ".mp3", ".ogg")
LEVEL_DB = -24.0
"""Loudness at which the teacher reads every file."""
GAP_S = 0.5
"""Silence between files that the teacher reads together, because it reads 30 s at once."""
NUM_POSITION_DIRECTIONS = 7
"""Directions of the teacher's states that depend on the position in its window instead of on the audio. They hold 40 %
of the variance and nothing that a student could learn."""
NUM_POSITION_WINDOWS = 24
"""Windows whose mean shows these directions."""
NUM_VERSIONS = 3
"""Versions of each file that the student reads: as it is, and changed by `augment`."""


@dataclass
class Utterance:
    """One file of speech: T rows of log-mel and T / 2 states of the teacher."""

    rows: Float[Tensor, "V T 80"]
    """Log-mel of each version."""
    states: Float32[np.ndarray, "S W"]
    """States of Whisper's encoder."""
    targets: Float[Tensor, "S D"] = field(default_factory=lambda: torch.zeros(0))
    """What the student predicts."""


@dataclass
class TrainSpeechEncoder:
    """Trains the speech encoder: with four hours of speech, an hour on two cores, half of it for the teacher."""

    speech: tyro.conf.Positional[Path]
    """Folder of audio files."""
    output: Path = Path("speech_encoder.pt")
    """File of weights to write."""
    whisper: Path | None = None
    """Folder of the CTranslate2 Whisper model that is imitated, best a multilingual one; by default one that is at
    hand."""
    config: SpeechEncoderConfig = field(default_factory=SpeechEncoderConfig)
    """Sizes of the encoder."""
    num_targets: int = 128
    """Number of principal components of the teacher's states that are predicted."""
    steps: int = 4500
    """Number of optimiser steps."""
    batch_size: int = 12
    """Segments per step."""
    segment: int = 150
    """Length of a segment in states of 20 ms."""
    learning_rate: float = 1.5e-3
    """Peak learning rate."""
    seed: int = 0
    """Random seed."""

    def run(self) -> None:
        """Reads all files, trains, and writes the weights in half precision."""
        files = sorted(path for path in self.speech.rglob("*") if path.suffix in AUDIO_SUFFIXES)
        if not files:
            raise UserError(f"{self.speech}: holds no audio file ({', '.join(AUDIO_SUFFIXES)})")
        generator = np.random.default_rng(self.seed)
        teacher = WhisperEncoder(self.whisper or find_whisper())
        data = list(track(read_utterances(files, teacher, generator), "teacher", total=len(files), transient=True))
        set_targets(data, position_directions(files, teacher, generator), self.num_targets)
        generator.shuffle(data)  # type: ignore[arg-type]
        num_val = max(1, len(data) // 25)
        encoder = self._train(data[num_val:], data[:num_val], generator)
        weights = {name: values.half() for name, values in encoder.state_dict().items()}
        with atomic_write(self.output) as partial:
            torch.save({"config": dataclasses.asdict(self.config), "weights": weights}, partial)

    def _train(self, train: list[Utterance], val: list[Utterance], generator: np.random.Generator) -> SpeechEncoder:
        torch.manual_seed(self.seed)
        encoder, head = SpeechEncoder(self.config), nn.Linear(self.config.width, self.num_targets)
        parameters = [*encoder.parameters(), *head.parameters()]
        optimizer = torch.optim.AdamW(parameters, self.learning_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.learning_rate, total_steps=self.steps, pct_start=0.1
        )
        scale = torch.cat([one.targets for one in train]).var(0).mean()
        for step in range(1, self.steps + 1):
            rows, targets = self._batch(train, encoder, generator, self.batch_size)
            loss = (head(encoder(rows)[..., : self.config.width]) - targets).square().mean() / scale
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            if step % 500 == 0:
                with torch.no_grad():
                    rows, targets = self._batch(val, encoder, generator, 32)
                    error = (head(encoder(rows)[..., : self.config.width]) - targets).square().mean((0, 1))
                explained = 1 - float(error.sum() / targets.var((0, 1)).sum())
                console.print(f"step {step}: {explained:.3f} of the validation variance explained")
        return encoder.eval()

    def _batch(
        self, data: list[Utterance], encoder: SpeechEncoder, generator: np.random.Generator, size: int
    ) -> tuple[Float[Tensor, "B R 80"], Float[Tensor, "B S D"]]:
        """Draws segments with their context, and masks bands of some."""
        lengths = np.array([len(one.targets) for one in data], float)
        rows, targets = [], []
        for index in generator.choice(len(data), size, p=lengths / lengths.sum()):
            one = data[index]
            first = generator.integers(0, max(len(one.targets) - self.segment, 1))
            states = torch.arange(first, first + self.segment).clamp(max=len(one.targets) - 1)
            context = torch.arange(
                ROWS_PER_STATE * (first - encoder.past), ROWS_PER_STATE * (first + self.segment + encoder.future)
            )
            version = one.rows[generator.integers(0, len(one.rows))]
            part = version[context.clamp(0, len(version) - 1)].float()
            for _ in range(2):
                if generator.random() < 0.3:
                    band = generator.integers(0, NUM_MEL - 8)
                    part[:, band : band + generator.integers(1, 9)] = -0.75
            rows.append(part)
            targets.append(one.targets[states])
        return torch.stack(rows), torch.stack(targets)


def read_utterances(files: list[Path], teacher: WhisperEncoder, generator: np.random.Generator) -> Iterator[Utterance]:
    """Reads files, joined to about 30 s for the teacher."""
    gap = np.zeros(round(GAP_S * SAMPLE_RATE), np.float32)
    group: list[Float32[np.ndarray, " S"]] = []
    for path in [*files, None]:
        if path is not None:
            samples = read_audio(path)
            samples = samples[: len(samples) // 640 * 640]
            level = np.sqrt(np.square(samples).mean() + 1e-12)
            group.append((samples / level * 10 ** (LEVEL_DB / 20)).clip(-1, 1).astype(np.float32))
        if group and (path is None or sum(map(len, group)) > 20 * SAMPLE_RATE):
            joined = np.concatenate([np.concatenate([samples, gap]) for samples in group])
            states = torch.cat(list(teacher.stream([joined]))).reshape(-1, teacher.width).numpy()
            first = 0
            for samples in group:
                count = len(samples) // 320
                versions = [samples, *(augment(samples, generator) for _ in range(NUM_VERSIONS - 1))]
                rows = np.stack([np.concatenate(list(stream_log_mel([version]))) for version in versions])
                yield Utterance(torch.from_numpy(rows).half(), states[first : first + count])
                first += (len(samples) + len(gap)) // 320
            group = []


def augment(samples: Float32[np.ndarray, " S"], generator: np.random.Generator) -> Float32[np.ndarray, " S"]:
    """Another microphone, room, loudness and noise."""
    changed = samples.astype(np.float64)
    if generator.random() < 0.7:
        changed = sosfilt(butter(1, generator.uniform(60, 300), "high", fs=SAMPLE_RATE, output="sos"), changed)
    if generator.random() < 0.5:
        order, cut = int(generator.integers(1, 4)), generator.uniform(2500, 7500)
        changed = sosfilt(butter(order, cut, "low", fs=SAMPLE_RATE, output="sos"), changed)
    if generator.random() < 0.5:
        for gain, (shortest, longest) in ((generator.uniform(0.1, 0.5), (0.01, 0.06)), (0.1, (0.03, 0.12))):
            delay = round(generator.uniform(shortest, longest) * SAMPLE_RATE)
            changed[delay:] += gain * changed[:-delay].copy()
    level = np.sqrt(np.square(changed).mean() + 1e-12)
    changed *= 10 ** (generator.uniform(-42, -14) / 20) / level
    noise = generator.standard_normal(len(changed))
    if generator.random() < 0.6:
        noise = sosfilt(butter(1, generator.uniform(100, 2000), "low", fs=SAMPLE_RATE, output="sos"), noise)
    noise *= np.sqrt(np.square(changed).mean() / np.square(noise).mean()) * 10 ** (-generator.uniform(12, 50) / 20)
    return (changed + noise).clip(-1, 1).astype(np.float32)


def position_directions(
    files: list[Path], teacher: WhisperEncoder, generator: np.random.Generator
) -> Float32[np.ndarray, "7 W"]:
    """Directions in which the teacher's states, in the mean of many windows, change with the position in the window."""
    length, windows, pending = WINDOW_S * SAMPLE_RATE, [], np.zeros(0, np.float32)
    for index in generator.permutation(len(files)):
        pending = np.concatenate([pending, read_audio(files[index])])
        if len(pending) >= length:
            windows.append(teacher.encode_window(pending[:length], 0, length).reshape(-1, teacher.width).numpy())
            pending = np.zeros(0, np.float32)
        if len(windows) == NUM_POSITION_WINDOWS:
            break
    smooth = uniform_filter1d(np.mean(windows, axis=0), 61, axis=0)
    return np.linalg.svd(smooth - smooth.mean(0), full_matrices=False)[2][:NUM_POSITION_DIRECTIONS]


def set_targets(data: list[Utterance], removed: Float32[np.ndarray, "7 W"], count: int) -> None:
    """Sets the principal components of all states outside `removed`, half whitened so that small ones count too."""
    states = np.concatenate([one.states[::3] for one in data]).astype(np.float64)
    mean, outside = states.mean(0), np.eye(states.shape[1]) - removed.T @ removed
    values, vectors = np.linalg.eigh(outside @ np.cov((states - mean).T) @ outside)
    order = np.argsort(values)[::-1][:count]
    basis = vectors[:, order] / values[order] ** 0.25
    for one in data:
        one.targets = torch.from_numpy((one.states - mean) @ basis).float()


if __name__ == "__main__":
    with exit_on_user_error():
        tyro.cli(TrainSpeechEncoder).run()
