"""`ns-train` as a job; imports nothing heavy, so that its process can be interrupted from its start on."""

from __future__ import annotations

import sys


def ns_train(arguments: list[str]) -> None:
    """Runs `ns-train` with these arguments in this process."""
    from nerfstudio.scripts.train import entrypoint

    sys.argv[1:] = arguments
    entrypoint()
