"""Strategies for streams: one sequence, whole and in chunks of any length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from dfa_nerfstudio.demo.speech import make_speech

cuts = st.lists(st.floats(0, 1), max_size=12).map(sorted) | st.integers(1, 80).map(lambda n: list(np.linspace(0, 1, n)))
"""Borders of the chunks, relative to the length; equal ones give empty chunks."""


def split(values: Any, borders: Sequence[float]) -> list[Any]:
    """The sequence in chunks."""
    places = [0, *(round(border * len(values)) for border in borders), len(values)]
    return [values[start:stop] for start, stop in pairwise(places)]


def joined(chunks: Iterator[Any]) -> np.ndarray:
    """The chunks of a stream as one array, empty if there are none."""
    parts = [np.asarray(chunk.detach() if isinstance(chunk, torch.Tensor) else chunk) for chunk in chunks]
    return np.concatenate(parts) if parts else np.zeros(0)


SPEECH = make_speech(6.0, seed=5).samples.astype(np.float32)


@st.composite
def recordings(draw: st.DrawFn, max_seconds: float = 3.0) -> np.ndarray:
    """Speech with silence or noise before it and after it, of any length, nothing included."""
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    first, count = draw(st.integers(0, 16_000)), draw(st.integers(0, round(16_000 * max_seconds)))
    pauses = [draw(st.sampled_from([0, 1, 159, 640, 7000])) for _ in range(2)]
    before, after = (draw(st.sampled_from([0.0, 0.01])) * generator.standard_normal(pause) for pause in pauses)
    return np.concatenate([before, SPEECH[first : first + count], after])[: round(16_000 * max_seconds)].astype("f4")
