"""``Guard``: refuses what is not for this page before anything else looks at it.

It is an ASGI application around another one. Whatever it lets through was asked for by a name of this page,
is small, comes from somebody who knows the token where there is one and, where it would change something,
from a form of this very page.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import anyio

from choreo.dashboard.settings import Settings, is_same

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LONGEST_ADDRESS: Final = 4_000
"""Bytes of a path and of a query each."""

LARGEST_FORM: Final = 256 * 1024
"""Bytes of a form: that of an edited event."""

SECONDS: Final = 10.0
"""Seconds in which a form must have come."""

MOST_FIELDS: Final = 40
"""Fields of a form."""

ENTER: Final = "/enter"
"""Where a visitor gives the token."""

COOKIE: Final = "choreo_dashboard"

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    # Not no-referrer: a browser would then send no origin with a form.
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Refusal(NamedTuple):
    """Why a request is refused: the status, and one sentence."""

    status: int
    text: str


class Guard:
    """Lets through to an application what is for it. ``explain`` answers a refused request."""

    def __init__(
        self, inner: Application, settings: Settings, explain: Callable[[Scope, Refusal], Application]
    ) -> None:
        self._inner = inner
        self._settings = settings
        self._explain = explain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        answer = _with_headers(send)
        refusal = self._refused(scope)
        if refusal is None and scope["method"] == "POST":
            body = None
            with anyio.move_on_after(SECONDS) as waited:
                body = await _body(receive)
            late = Refusal(408, "This form took too long.")
            refusal = late if waited.cancelled_caught else self._refused_form(scope, body)
            receive = _again(body or b"")
        await (self._explain(scope, refusal) if refusal else self._inner)(scope, receive, answer)

    def _refused(self, scope: Scope) -> Refusal | None:
        headers = _headers_of(scope)
        if not self._is_called_so(headers.get("host", [])):
            return Refusal(421, "This page is not called by that name: see --name.")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return Refusal(405, "This page is only read, and changed by its forms.")
        if max(len(scope.get("raw_path") or b""), len(scope["query_string"])) > LONGEST_ADDRESS:
            return Refusal(414, "The address is too long.")
        if (
            self._settings.token
            and path_of(scope) not in (ENTER, *OF_EVERYBODY)
            and not self._is_known(scope)
        ):
            return Refusal(401, "This page is for those who know its token.")
        return None

    def _is_called_so(self, hosts: list[str]) -> bool:
        """Whether a browser called this page by a name that nobody else can give it."""
        if len(hosts) != 1:
            return False
        name = host_in(hosts[0])
        if name in self._settings.hosts or name == "localhost":
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or self._settings.is_open

    def _is_known(self, scope: Scope) -> bool:
        headers = _headers_of(scope)
        kind, _, given = "".join(headers.get("authorization", [])[:1]).partition(" ")
        if kind.lower() == "bearer" and is_same(given.strip(), self._settings.token):
            return True
        cookies = _cookies(headers.get("cookie", []), cookie_name(scope))
        return any(is_same(each, self._settings.visit_token) for each in cookies)

    def _refused_form(self, scope: Scope, body: bytes | None) -> Refusal | None:
        headers = _headers_of(scope)
        if not _is_from_here(headers):
            return Refusal(403, "This form is not from this page.")
        if body is None:
            return Refusal(413, "This form is too large, or did not come whole.")
        if headers.get("content-type", [""])[0].partition(";")[0].strip() != _FORM:
            return Refusal(415, "This is no form.")
        fields = fields_in(body)
        if fields is None:
            return Refusal(400, "This form can't be read.")
        if path_of(scope) == ENTER:
            return None
        if self._settings.read_only:
            return Refusal(403, "This page is read-only: it was started with --read-only.")
        if not is_same(fields.get("token", ""), self._settings.form_token):
            return Refusal(403, "This form is of an earlier start of this page: load it again.")
        return None


OF_EVERYBODY: Final = ("/dashboard.css", "/dashboard.js", "/dashboard.svg")
"""What says nothing about any saga."""

_FORM: Final = "application/x-www-form-urlencoded"


def path_of(scope: Scope) -> str:
    """Return a request's path within this application, wherever that is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "").rstrip("/")
    inside = path.removeprefix(root) if root and (path == root or path.startswith(f"{root}/")) else path
    return inside or "/"


def cookie_name(scope: Scope) -> str:
    """Return the name of the cookie, as those of one host are shared by all its ports."""
    server = scope.get("server")
    return f"{COOKIE}_{server[1]}" if server and server[1] else COOKIE


def host_in(header: str) -> str:
    """Return the name in the header Host, without its port.

    >>> host_in("LocalHost:9470"), host_in("[::1]:9470"), host_in("evil.example")
    ('localhost', '::1', 'evil.example')
    """
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def fields_in(body: bytes) -> dict[str, str] | None:
    """Return the fields of a form, None where it is none, has too many of them, or one of them twice."""
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=MOST_FIELDS
        )
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def _is_from_here(headers: dict[str, list[str]]) -> bool:
    """Whether a browser says that a form was sent by a page of this origin, as all of today's do."""
    sites, origins = headers.get("sec-fetch-site", []), headers.get("origin", [])
    if not sites and not origins:
        return False
    if any(site != "same-origin" for site in sites):
        return False
    host = headers["host"][0].strip().lower()
    return all(_is_of(origin, host) for origin in origins)


_PORTS: Final = {"http": ":80", "https": ":443"}
"""What browsers leave out, and some proxies write."""


def _is_of(origin: str, host: str) -> bool:
    try:
        scheme, name, *_ = urlsplit(origin)
    except ValueError:
        return False
    port = _PORTS.get(scheme, "")
    return name.lower().removesuffix(port) == host.removesuffix(port)


def _headers_of(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _cookies(headers: Sequence[str], name: str) -> Iterator[str]:
    """Yield the values of all cookies of a name, of whatever paths they are.

    `http.cookies` would stop at the first cookie of another page of this host that it does not like.
    """
    for pair in ";".join(headers).split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            yield value.strip()


async def _body(receive: Receive) -> bytes | None:
    """Return the body of a request, None where it is too large, or where the connection ended before it."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += bytes(message.get("body", b""))
        if len(body) > LARGEST_FORM:
            return None
        if not message.get("more_body"):
            return body


def _again(body: bytes) -> Receive:
    """Return what gives a body to whoever asks after it was read."""
    given = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        return given.pop() if given else {"type": "http.disconnect"}

    return receive


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            ours = {name for name, _ in _HEADERS}
            others = [pair for pair in message.get("headers", ()) if pair[0].lower() not in ours]
            message["headers"] = [*others, *_HEADERS]
        await send(message)

    return sending
