"""Refuses requests without the token, from web pages of other hosts, and under names of other hosts."""

from __future__ import annotations

import secrets
from urllib.parse import quote, unquote, urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dfa_nerfstudio.nerfstudio_patches import LOCAL_HOSTS, is_foreign_page

OPEN_PATHS = ("/health",)
"""Paths that need no token, so that a monitor needs none."""
COOKIE = "dfa_token"
"""Cookie with the token, for the further requests of a page that was opened with it."""


class AccessGuard:
    """Answers requests that may not be served by 401 or 403, WebSockets too.

    Args:
        app: serves the others.
        host: address that the server listens on.
        token: secret that requests carry as `Authorization: Bearer TOKEN` or `?token=TOKEN`, or in the cookie that the
            answer to such a request sets; None for none.
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None) -> None:
        self.app, self.host, self.token = app, host, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, self._sets_cookie(scope, send))
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
        cookie = unquote(cookie_parser(headers.get("Cookie", "")).get(COOKIE, ""))
        given = (bearer if scheme.lower() == "bearer" else "", _token_in_address(scope), cookie)
        if any(secrets.compare_digest(one.encode(), self.token.encode()) for one in given):
            return None
        return PlainTextResponse("give the token: Authorization: Bearer TOKEN, or ?token=TOKEN\n", 401)

    def _sets_cookie(self, scope: Scope, send: Send) -> Send:
        """Adds the cookie to the answer of a request whose address has the token."""
        if self.token is None or scope["type"] != "http" or not _token_in_address(scope):
            return send
        cookie = f"{COOKIE}={quote(self.token)}; HttpOnly; Path=/; SameSite=Strict".encode("latin-1")

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"set-cookie", cookie)]
            await send(message)

        return send_with_cookie


def _token_in_address(scope: Scope) -> str:
    return QueryParams(scope["query_string"]).get("token", "")
