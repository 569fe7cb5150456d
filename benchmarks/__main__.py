"""`make bench`: every figure this project states, measured anew.

make bench                                        everything, some hours on 2 cores
make bench BENCH=preprocessing                    poses, eyes, jitter and speed of dfa-process
make bench BENCH=memory                           memory of dfa-process by the length of the film
make bench BENCH=attributes                       mouth and eyes apart, sound and lips in step
make bench BENCH=motion                           head motion and blinks, generated
make bench BENCH="end-to-end --seconds 60"        training and rendering; a shorter look
make bench BENCH=field                            the field at 128x128: every lever on and off
make bench BENCH="field --size 256 --seconds 900 --only 'as it is'"
make bench BENCH=talk                             talking videos: memory, sync, silence, sliders, live
make bench BENCH=sync                             the own sync score on people never seen
make bench BENCH=ablation                         dfa-eval ablate: Tables 2, 4 and 5, Fig. 6, other speech, seeds
make bench BENCH=encodings                        how fast grids are read, backend by backend
make bench BENCH=training-memory                  memory of ns-train by the length of the film
make bench BENCH="portable --data D --target P"   a dataset folder of 40 MiB of frames, to be carried to a GPU
make bench BENCH="cuda --data P --piece short"    there: one piece of the field's benchmark, in less than 8 minutes
"""

from __future__ import annotations

import sys
from importlib import import_module

import tyro

from dfa_nerfstudio.errors import exit_on_user_error

PARTS = {
    "preprocessing": "Preprocessing",
    "memory": "Memory",
    "training-memory": "TrainingMemory",
    "attributes": "Attributes",
    "motion": "Motion",
    "end-to-end": "EndToEnd",
    "encodings": "Encodings",
    "field": "Field",
    "talk": "Talk",
    "sync": "Sync",
    "ablation": "Ablation",
}
"""Class of each part; one is imported only to be run, so that each needs no more than it measures."""
ON_REQUEST = {"portable": "Portable", "cuda": "Cuda"}
"""Parts that must be told what to work on."""


def main() -> None:
    """Runs the part that is named first, or all of them with their defaults and the same --shared."""
    parts = PARTS | ON_REQUEST
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if first in parts:
        del sys.argv[1]
    with exit_on_user_error():
        for name in [first] if first in parts else PARTS:
            part = getattr(import_module(f"benchmarks.{name.replace('-', '_')}"), parts[name])
            tyro.cli(part, prog=f"make bench BENCH={name}").run()


if __name__ == "__main__":
    main()
