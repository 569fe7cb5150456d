"""`make bench`: every figure this project states, measured anew.

make bench                                        everything, some hours on 2 cores
make bench BENCH=preprocessing                    poses, eyes, jitter and speed of dfa-process
make bench BENCH=memory                           memory of dfa-process by the length of the film
make bench BENCH=attributes                       mouth and eyes apart, sound and lips in step
make bench BENCH=motion                           head motion and blinks, generated
make bench BENCH="end-to-end --seconds 60"        training and rendering; a shorter look
"""

from __future__ import annotations

import sys

import tyro

from benchmarks.attributes import Attributes
from benchmarks.end_to_end import EndToEnd
from benchmarks.memory import Memory
from benchmarks.motion import Motion
from benchmarks.preprocessing import Preprocessing
from dfa_nerfstudio.errors import exit_on_user_error

PARTS = {
    "preprocessing": Preprocessing,
    "memory": Memory,
    "attributes": Attributes,
    "motion": Motion,
    "end-to-end": EndToEnd,
}


def main() -> None:
    """Runs one part, or all of them with their defaults and the same --shared."""
    with exit_on_user_error():
        if set(sys.argv) & PARTS.keys():
            tyro.extras.subcommand_cli_from_dict(PARTS, prog="make bench").run()
        else:
            for part in PARTS.values():
                tyro.cli(part, prog="make bench").run()


if __name__ == "__main__":
    main()
