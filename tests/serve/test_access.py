"""Who may connect."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from dfa_nerfstudio.serve.access import AccessGuard
from dfa_nerfstudio.serve.cli import main

TOKEN = "a secret of eight letters"


def client(host: str, token: str | None) -> TestClient:
    app = FastAPI()

    @app.get("/metrics")
    @app.get("/health")
    def answer() -> str:
        return "served"

    @app.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("served")

    return TestClient(AccessGuard(app, host, token), base_url=f"http://{host}:8765")


@pytest.mark.parametrize(
    ("token", "path", "headers", "status"),
    [
        (None, "/metrics", {}, 200),
        (None, "/metrics", {"Origin": "http://localhost:3000"}, 200),
        (None, "/metrics", {"Origin": "https://example.org"}, 403),
        (None, "/metrics", {"Host": "example.org:8765"}, 403),
        (TOKEN, "/metrics", {}, 401),
        (TOKEN, "/health", {}, 200),
        (TOKEN, "/metrics", {"Authorization": f"Bearer {TOKEN}"}, 200),
        (TOKEN, "/metrics", {"Authorization": "Bearer wrong"}, 401),
        (TOKEN, f"/metrics?token={TOKEN}", {}, 200),
        (TOKEN, f"/metrics?token={TOKEN}", {"Origin": "https://example.org"}, 403),
        (TOKEN, "/metrics?token=%C3%A9", {}, 401),
    ],
)
def test_requests(token: str | None, path: str, headers: dict[str, str], status: int):
    assert client("127.0.0.1", token).get(path, headers=headers).status_code == status


def test_a_page_that_is_opened_with_the_token_gets_a_cookie():
    browser = client("127.0.0.1", TOKEN)
    assert "set-cookie" not in browser.get("/metrics?token=wrong").headers
    cookie = browser.get(f"/metrics?token={TOKEN}").headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert browser.get("/metrics").status_code == 200
    assert browser.get("/metrics", headers={"Origin": "https://example.org"}).status_code == 403


def test_websockets():
    local = {"Host": "127.0.0.1:8765"}  # which the test client does not send
    with client("127.0.0.1", TOKEN).websocket_connect(f"/live?token={TOKEN}", headers=local) as socket:
        assert socket.receive_text() == "served"
    for path, headers in (("/live", {}), (f"/live?token={TOKEN}", {"Origin": "https://example.org"})):
        with (
            pytest.raises(WebSocketDisconnect),
            client("127.0.0.1", TOKEN).websocket_connect(path, headers=local | headers) as socket,
        ):
            socket.receive_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "70000"], "--port 70000: give a port"),
        (["--token", "short"], "--token: give at least 8"),
        (["--max-clients", "0"], "--max-clients 0: give 1 or more"),
        (["--background", "transparent"], "--background transparent: a stream has no alpha"),
        (["--host", "192.0.2.77"], "--host 192.0.2.77 --port 8765: cannot listen there"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], message: str
):
    monkeypatch.setattr("sys.argv", ["dfa-serve", "--load-config", "none.yml", *options])
    with pytest.raises(SystemExit) as stop:
        main()
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and message in error
