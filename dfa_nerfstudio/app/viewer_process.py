"""Starts nerfstudio's viewer for a person, one at a time."""

from __future__ import annotations

import socket
import subprocess
import sys

from dfa_nerfstudio.app.library import Library


class ViewerProcess:
    """The process of the viewer that is open.

    Args:
        library: the people.
        is_local: whether the page is reachable from this machine only; the viewer always is.
    """

    def __init__(self, library: Library, is_local: bool) -> None:
        self.library, self.is_local = library, is_local
        self._process: subprocess.Popen[bytes] | None = None

    def open(self, name: str) -> str:
        """Starts the viewer for a person, in the place of the one that is open; returns a link, as HTML."""
        config = self.library.person(name).config
        if config is None:
            return "not trained yet"
        self.close()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        command = [sys.executable, "-m", "dfa_nerfstudio.viewer.cli", "--load-config", str(config)]
        data = self.library.person(name).data
        self._process = subprocess.Popen(
            [*command, "--data", str(data), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        link = f'<a href="http://127.0.0.1:{port}" target="_blank">Viewer</a>: it is there in about 20 seconds'
        return link if self.is_local else f"{link}, for this machine alone: ssh -L {port}:127.0.0.1:{port} HOST"

    def close(self) -> None:
        """Ends the viewer that is open."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process = None
