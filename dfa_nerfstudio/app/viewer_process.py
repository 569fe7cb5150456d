"""Starts nerfstudio's viewer for a person, one at a time."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

from dfa_nerfstudio.app.library import Library

MAX_START_S = 120.0
"""Longest time in seconds that the viewer may take to start."""


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
        if not self._listens(port):
            return "the viewer does not start; dfa-viewer on the command line says why"
        link = f'<a href="http://127.0.0.1:{port}" target="_blank">Viewer</a>'
        return link if self.is_local else f"{link}, for this machine alone: ssh -L {port}:127.0.0.1:{port} HOST"

    def _listens(self, port: int) -> bool:
        """Waits until the viewer can be opened; returns False if it ended, or takes too long."""
        assert self._process is not None
        deadline = time.monotonic() + MAX_START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return True
            time.sleep(0.3)
        return False

    def close(self) -> None:
        """Ends the viewer that is open."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process = None
