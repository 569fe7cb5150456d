"""Who may use the page: browsers of this machine, or those that know the token."""

from __future__ import annotations

import hmac
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse

from dfa_nerfstudio.app.app_config import LOCAL_HOSTS
from dfa_nerfstudio.nerfstudio_patches import is_foreign_page

COOKIE = "dfa_token"


class AccessGuard:
    """ASGI middleware that refuses requests of other pages, and those without the token.

    Args:
        app: the application behind it.
        host: address that the server listens on.
        token: word that a browser must give once, as `?token=WORD`; a cookie remembers it. None for no token.
    """

    def __init__(self, app: Any, host: str, token: str | None) -> None:
        self.app, self.host, self.token = app, host, token

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answers a request, or passes it on."""
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, scope: dict[str, Any]) -> Any:
        headers = Headers(scope=scope)
        named = headers.get("host", "").rsplit(":", 1)[0].strip("[]")
        if is_foreign_page({"Host": headers.get("host", ""), **_origin(headers)}, self.host) or (
            self.host in LOCAL_HOSTS and named not in LOCAL_HOSTS  # another name for this address: DNS rebinding
        ):
            return PlainTextResponse("pages of other hosts may not use this one\n", status_code=403)
        if self.token is None:
            return None
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        if given and hmac.compare_digest(given, self.token) and scope["type"] == "http":
            answer = RedirectResponse(scope["path"], status_code=303)
            answer.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
            return answer
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        if cookie is not None and hmac.compare_digest(cookie.value, self.token):
            return None
        return PlainTextResponse("open the address with ?token=WORD that dfa-app printed\n", status_code=401)


def _origin(headers: Headers) -> dict[str, str]:
    origin = headers.get("origin")
    return {} if origin is None else {"Origin": origin}
