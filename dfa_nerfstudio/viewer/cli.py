"""`dfa-viewer`: nerfstudio's viewer for a trained model, reachable from this machine only by default."""

from __future__ import annotations

import socket
from pathlib import Path

import tyro

from dfa_nerfstudio.errors import UserError, exit_on_user_error


def view(load_config: Path, data: Path | None = None, host: str = "127.0.0.1", port: int = 7007) -> None:
    """Shows a trained model in nerfstudio's viewer, as ns-viewer does.

    Args:
        load_config: The run's config.yml; ns-train prints its path at its end.
        data: The dataset folder, if it has moved since the training.
        host: Address to listen on; 0.0.0.0 for all of this machine's. Safer for access from another machine:
            ssh -L 7007:127.0.0.1:7007 HOST.
        port: Port to listen on.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise UserError(f"--host {host} --port {port}: cannot listen there ({error}); give another port") from None
    from nerfstudio.configs.base_config import ViewerConfig
    from nerfstudio.scripts.viewer.run_viewer import _start_viewer

    from dfa_nerfstudio.talk.load_model import load_run

    config, pipeline, step = load_run(load_config, data, test_mode="test")
    rays = config.viewer.num_rays_per_chunk
    config.vis = "viewer"
    config.viewer = ViewerConfig(websocket_host=host, websocket_port=port, num_rays_per_chunk=rays)
    _start_viewer(config, pipeline, step)


def main() -> None:
    """Entry point."""
    with exit_on_user_error():
        tyro.cli(view, prog="dfa-viewer")


if __name__ == "__main__":
    main()
