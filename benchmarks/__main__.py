"""`make bench`: every figure this project states, measured anew.

make bench                                        everything, some hours on 2 cores
make bench BENCH=preprocessing                    poses, eyes, jitter and speed of dfa-process
make bench BENCH=memory                           memory of dfa-process by the length of the film
make bench BENCH=attributes                       mouth and eyes apart, sound and lips in step
make bench BENCH=motion                           head motion and blinks, generated
make bench BENCH="end-to-end --seconds 60"        training and rendering; a shorter look
make bench BENCH=field                            the field at 128x128: every lever on and off
make bench BENCH="field --size 256 --seconds 900 --only dfa-nerf-lite"
"""

from __future__ import annotations

import sys
from importlib import import_module

import tyro

from dfa_nerfstudio.errors import exit_on_user_error

PARTS = {
    "preprocessing": "Preprocessing",
    "memory": "Memory",
    "attributes": "Attributes",
    "motion": "Motion",
    "end-to-end": "EndToEnd",
    "field": "Field",
}
"""Class of each part; one is imported only to be run, so that each needs no more than it measures."""


def main() -> None:
    """Runs the part that is named first, or all of them with their defaults and the same --shared."""
    names = [name for name in PARTS if name in sys.argv[1:]]
    for name in names:
        sys.argv.remove(name)
    with exit_on_user_error():
        for name in names or PARTS:
            part = getattr(import_module(f"benchmarks.{name.replace('-', '_')}"), PARTS[name])
            tyro.cli(part, prog=f"make bench BENCH={name}").run()


if __name__ == "__main__":
    main()
