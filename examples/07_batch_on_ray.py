"""Batch on Ray: a folder of speech becomes a folder of videos, several at a time.

Example:
    python examples/07_batch_on_ray.py --run people/me --audio speech/ --output videos
    python examples/07_batch_on_ray.py --run people/me --audio speech/ --output videos --backend ray

Each video is rendered in a process of its own: one that fails does not stop the others. All machines of a Ray cluster
must reach the files and have this package installed (`pip install "dfa-nerfstudio[ray]"`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

import dfa_nerfstudio as dfa


def main(
    run: Path,
    audio: tuple[Path, ...],
    output: Path,
    backend: Literal["local", "ray"] = "local",
    jobs: int = 0,
    end: float | None = None,
) -> None:
    """Renders a video for each audio file.

    Args:
        run: the run's `config.yml`, or a folder that contains it.
        audio: audio files, and folders of audio files.
        output: folder of the videos.
        backend: where the jobs run: on this machine, or on the Ray cluster at RAY_ADDRESS.
        jobs: number of videos at a time; 0 for as many as fit.
        end: end of the segment of the audio that is used, in seconds.
    """
    num_failed = dfa.render_batch(run, audio, output, dfa.VideoConfig(end=end), jobs=dfa.JobsConfig(jobs, backend))
    print(f"{num_failed} failed")


if __name__ == "__main__":
    tyro.cli(main)
