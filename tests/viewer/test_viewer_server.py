"""The viewer's server: no file but its own, and no web page of another host."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest
import viser
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dfa_nerfstudio.nerfstudio_patches import apply_patches


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    apply_patches()
    apply_patches()  # changes nothing
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        number = unused.getsockname()[1]
    server = viser.ViserServer("127.0.0.1", number, verbose=False)
    yield server.get_port()
    server.stop()


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/../client/build/index.html", 403), ("/a/../../x?y", 403)])
def test_only_the_files_of_the_page_are_sent(port: int, path: str, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    assert connection.getresponse().status == status


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_pages_of_other_hosts_are_refused(port: int, host: str) -> None:
    address = f"ws://{host}:{port}"
    for origin in ("https://example.org", f"http://example.org:{port}", "null"):
        with pytest.raises(InvalidStatus) as refused, connect(address, origin=origin):
            pass
        assert refused.value.response.status_code == 403
    with connect(address, origin=f"http://{host}:8000", max_size=None) as client:  # by ssh -L 8000:127.0.0.1:7007
        assert client.recv(timeout=20)
