"""Speech of the demo subject, and audio in chunks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from dfa_nerfstudio.demo.speech import make_speech


@pytest.fixture(scope="session")
def speech() -> np.ndarray:
    """Almost 7 s of speech; its length is no multiple of a video frame."""
    return make_speech(7.0, seed=5).samples[: 7 * 16_000 - 77]


def random_chunks(audio: np.ndarray, received: list[int] | None = None) -> Iterator[np.ndarray]:
    """The audio in chunks of random length, empty ones included; appends the number of samples so far to `received`."""
    generator, start = np.random.default_rng(0), 0
    while start < len(audio):
        stop = start + int(generator.integers(0, 1500))
        if received is not None:
            received.append(min(stop, len(audio)))
        yield audio[start:stop]
        start = stop
