"""Mean and standard deviation of values while somebody speaks, of audio that is still arriving."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dfa_nerfstudio.media.chunks import zip_chunks

PRIOR_FRAMES = 100.0
"""Number of voiced frames (4 s) after which statistics of new audio weigh as much as those of the training video."""
STATISTICS_FRAMES = 1500
"""Number of voiced frames (60 s) of a recording from which its statistics are measured before its first frame."""


def running_statistics(
    values: Iterable[Float[Tensor, "n K"]],
    voice: Iterable[Bool[Tensor, " n"]],
    prior: tuple[Float[Tensor, " K"], Float[Tensor, " K"]],
    lookahead_frames: int,
) -> Iterator[tuple[Float[Tensor, "m K"], Float[Tensor, "*m K"], Float[Tensor, "*m K"]]]:
    """Yields the values with mean and standard deviation of the voiced frames so far.

    Silence, noise and music do not count, so nothing depends on what precedes the words.

    Args:
        values: values of each frame, in chunks of any length.
        voice: whether someone speaks in each frame.
        prior: mean and standard deviation over the training video, which weigh as much as `PRIOR_FRAMES` frames.
        lookahead_frames: voiced frames that are read before the first frame is yielded, so that the first words are
            seen with the statistics of the recording too; 0 for live audio.
    """
    mean, std = (one.double() for one in prior)
    count = torch.full((1,), PRIOR_FRAMES, dtype=torch.float64)
    total, squares = count * mean, count * (mean.square() + std.square())
    pending: list[Tensor] = []

    def moments(count: Tensor, total: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
        mean = total / count
        return mean.float(), (squares / count - mean.square()).clamp(min=1e-12).sqrt().float()

    for chunk, voiced in zip_chunks(values, voice):
        counted = chunk.double() * voiced[:, None]
        counts = count + voiced.double().cumsum(0)[:, None]
        statistics = counts, total + counted.cumsum(0), squares + (counted * chunk).cumsum(0)
        num_before = int((counts < PRIOR_FRAMES + lookahead_frames).sum())
        if num_before:
            pending.append(chunk[:num_before])
        if num_before < len(chunk):
            if pending:
                yield torch.cat(pending), *moments(*(one[num_before] for one in statistics))
                pending = []
            yield chunk[num_before:], *moments(*(one[num_before:] for one in statistics))
        count, total, squares = (one[-1] for one in statistics)
    if pending:
        yield torch.cat(pending), *moments(count, total, squares)
