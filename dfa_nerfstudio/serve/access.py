"""Refuses requests without the token, from web pages of other hosts, and under names of other hosts."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dfa_nerfstudio.nerfstudio_patches import LOCAL_HOSTS, is_foreign_page

OPEN_PATHS = ("/health",)
"""Paths that need no token, so that a monitor needs none."""


class AccessGuard:
    """Answers requests that may not be served by 401 or 403, WebSockets too.

    Args:
        app: serves the others.
        host: address that the server listens on.
        token: secret that requests carry as `Authorization: Bearer TOKEN` or `?token=TOKEN`; None for none.
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None) -> None:
        self.app, self.host, self.token = app, host, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:  # before it is accepted: the server answers 403
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if is_foreign_page(headers, self.host):
            return PlainTextResponse("pages of other hosts may not connect\n", 403)
        # a page of another host may give its name this machine's address; its requests then have no foreign origin
        if self.host in LOCAL_HOSTS and urlsplit(f"//{headers.get('Host', '')}").hostname not in LOCAL_HOSTS:
            return PlainTextResponse("use the name localhost or the address 127.0.0.1\n", 403)
        if self.token is None or scope["path"] in OPEN_PATHS:
            return None
        scheme, _, bearer = headers.get("Authorization", "").partition(" ")
        given = bearer if scheme.lower() == "bearer" else QueryParams(scope["query_string"]).get("token", "")
        if secrets.compare_digest(given.encode(), self.token.encode()):
            return None
        return PlainTextResponse("give the token: Authorization: Bearer TOKEN, or ?token=TOKEN\n", 401)
