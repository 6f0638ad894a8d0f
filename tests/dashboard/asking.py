"""Asking the page as a server would, with whatever headers, paths and bodies a client may send."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from html import unescape
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import urlencode

HOST = "127.0.0.1:9470"
FORM = "application/x-www-form-urlencoded"
HERE = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin", "content-type": FORM}
"""What a browser sends with a form of the page itself."""


class Answer(NamedTuple):
    """The answer to a request."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def links(self) -> list[str]:
        """Where its links lead to."""
        return [unescape(each) for each in re.findall(r'<a href="([^"]*)"', self.text)]

    @property
    def form(self) -> dict[str, str]:
        """The fields of its form that changes something, with their values."""
        found = re.search(r'<form method="post".*?</form>', self.text, re.DOTALL)
        assert found, self.text
        fields = re.findall(r'<input(?: type="hidden")? name="(\w+)"(?: value="([^"]*)")?', found[0])
        return {name: unescape(value) for name, value in fields}

    @property
    def sagas(self) -> list[str]:
        """The ids of the sagas that it lists."""
        return [
            unescape(each)
            for each in re.findall(r'data-label="Saga"><a [^>]*class="saga">([^<]*)<', self.text)
        ]


def ask(
    page: Any,
    address: str,
    *,
    method: str = "GET",
    body: bytes | Iterable[Any] = b"",
    headers: Iterable[tuple[str, str]] | Mapping[str, str] = (),
    host: str | None = HOST,
    root: str = "",
) -> Answer:
    """Return the answer to a request."""
    given = list(headers.items() if isinstance(headers, Mapping) else headers)
    scope = scope_of(address, method, given, host, root)
    return asyncio.run(_asked(page, scope, [body] if isinstance(body, bytes) else list(body)))


def scope_of(
    address: str,
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
    host: str | None = HOST,
    root: str = "",
) -> dict[str, Any]:
    """Return a request as a server gives it to an application."""
    path, _, query = address.partition("?")
    given = [*([("host", host)] if host is not None else ()), *headers]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": root + path,
        "raw_path": (root + path).encode(),
        "root_path": root,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given],
        "server": ("127.0.0.1", 9470),
        "client": ("127.0.0.1", 1),
        "state": {},
    }


async def _asked(page: Any, scope: dict[str, Any], parts: list[Any]) -> Answer:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        part = parts.pop(0)
        if part is None:
            return {"type": "http.disconnect"}
        if callable(part):
            await part()
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await page(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], found, b"".join(each.get("body", b"") for each in sent[1:]).decode())


def post(page: Any, address: str, fields: Mapping[str, object], **changed: Any) -> Answer:
    """Return the answer to a form of the page itself."""
    headers = {**HERE, **changed.pop("headers", {})}
    return ask(page, address, method="POST", body=urlencode(fields).encode(), headers=headers, **changed)


class Skeleton(HTMLParser):
    """The elements of a page with the names of their attributes, without any text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a start tag."""
        self.found.append((tag, *(name for name, _ in attrs)))
        self.said += [value for _, value in attrs if value]

    def handle_endtag(self, tag: str) -> None:
        """Keep an end tag."""
        self.found.append((f"/{tag}",))

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.said.append(data)
