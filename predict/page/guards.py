"""Who may ask, and what a browser may do with an answer.

Any page of the web that is open in a browser can send requests to a server on the same machine. Two things keep it out.
The Host header must name this server by an address or a name that it was told, so that a foreign name which suddenly
means 127.0.0.1 (DNS rebinding) reaches nothing. What would be more than reading must come from this page itself or from
no page at all: browsers tell by the headers Origin and Sec-Fetch-Site. No answer carries a CORS header.
"""

from collections.abc import Collection
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_NAME = "localhost"
READING = ("GET", "HEAD", "OPTIONS")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guarded:
    """An application behind the guards."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        """Args: names: that the server is called by, besides localhost and addresses."""
        self._app, self._names = app, {LOCAL_NAME, *(each.lower() for each in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(str(scope["method"]), Headers(scope=scope))
        await (refusal or self._app)(scope, receive, sealed)

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return _refused(421, "not a name of this server; python -m predict.serve --allow-host NAME adds one")
        if method not in READING and not _is_own(headers, host):
            return _refused(403, "a request from another page; only the page of this server may ask")
        return None

    def _is_ours(self, host: str) -> bool:
        name = _without_port(host).lower()
        return name in self._names or _is_address(name)


def _is_own(headers: Headers, host: str) -> bool:
    """Whether a request comes from this server's page, or from no page: programs send neither header."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    return site in ("same-origin", "none") and (origin is None or origin.partition("://")[2] == host)


def _refused(status: int, line: str) -> JSONResponse:
    return JSONResponse({"error": line}, status)


def _without_port(host: str) -> str:
    """The name or address that a Host header gives.

    >>> _without_port("[::1]:8000"), _without_port("localhost:80"), _without_port("localhost")
    ('::1', 'localhost', 'localhost')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    """Whether it is an IP address, which no foreign name server can give another meaning."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
