"""Refuses requests that were not made by the page itself, HTTP and websocket alike.

Every page in a browser can reach a server on 127.0.0.1. A foreign page tells its own address
as Origin; a foreign name that was rebound to 127.0.0.1 tells itself as Host. Browsers let no script
change either.
"""

from __future__ import annotations

from typing import Any

NAMES = ("127.0.0.1", "localhost")
TOO_LARGE = 2**24  # bytes of a request


class SameOrigin:
    """ASGI middleware: only the page's own address is served.

    Args:
        app: What is protected.
        port: Port that the page is served on.
    """

    def __init__(self, app: Any, port: int) -> None:
        self.app = app
        self.hosts = {f"{name}:{port}" for name in NAMES}
        self.origins = {f"http://{host}" for host in self.hosts}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or refuse it before anything of it is read."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif reason := self.refuse(scope["headers"]):
            await _deny(scope, send, reason)
        else:
            await self.app(scope, receive, send)

    def refuse(self, headers: list[tuple[bytes, bytes]]) -> str:
        """Why a request is not served; empty: it is."""
        said = {name: _read(headers, name) for name in (b"host", b"origin", b"content-length")}
        if len(said[b"host"]) != 1 or said[b"host"][0] not in self.hosts:
            return "this page is served to this machine alone"
        if any(origin not in self.origins for origin in said[b"origin"]):
            return "another page may not use this one"
        if any(not size.isdecimal() or int(size) > TOO_LARGE for size in said[b"content-length"]):
            return "the request is too large"
        return ""


def _read(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1").lower() for key, value in headers if key.lower() == name]


async def _deny(scope: Any, send: Any, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})
