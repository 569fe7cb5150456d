"""`dfa-viewer`: nerfstudio's viewer of a trained model, on this machine alone."""

from __future__ import annotations

import socket
from pathlib import Path

import tyro

from dfa_nerfstudio.errors import UserError, exit_on_user_error


def view(load_config: Path, host: str = "127.0.0.1", port: int = 7007) -> None:
    """Shows a trained model in nerfstudio's viewer, as ns-viewer does.

    Args:
        load_config: the run's config.yml, as ns-train names it at its end.
        host: which of this machine's addresses is listened to; 0.0.0.0 for all of them. From another machine, better:
            ssh -L 7007:127.0.0.1:7007 HOST.
        port: where.
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except (OSError, OverflowError) as error:
            raise UserError(f"--host {host} --port {port}: cannot listen there ({error}); give another port") from None
    from nerfstudio.scripts.viewer.run_viewer import RunViewer, ViewerConfigWithoutNumRays

    from dfa_nerfstudio.talk.load_model import checkpoint_of

    checkpoint_of(load_config)
    RunViewer(load_config, ViewerConfigWithoutNumRays(websocket_host=host, websocket_port=port)).main()


def main() -> None:
    """Entry point."""
    with exit_on_user_error():
        tyro.cli(view, prog="dfa-viewer")


if __name__ == "__main__":
    main()
