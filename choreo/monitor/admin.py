"""``serving``: a worker's health and metrics over HTTP, from a thread beside it."""

from __future__ import annotations

import io
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, Final, NamedTuple

from choreo.errors import ConfigurationError
from choreo.monitor.health import Answer

log = logging.getLogger("choreo.monitor")

_REQUEST_SECONDS: Final = 5.0
"""How long a client may take to send its request, or to take the answer."""

_REQUESTS: Final = 16
"""How many requests are answered at the same time; another one is refused."""

PLAIN: Final = "text/plain; charset=utf-8"


class Page(NamedTuple):
    """The answer to a request."""

    status: int
    body: str
    content_type: str = PLAIN


def health(ask: Callable[[], Answer]) -> Callable[[], Page]:
    """Return the page of an answer about health: 200 where it holds, else 503."""

    def page() -> Page:
        found = ask()
        return Page(200 if found.holds else 503, f"{found.text}\n")

    return page


@contextmanager
def serving(host: str, port: int, pages: Mapping[str, Callable[[], Page]]) -> Iterator[str]:
    """Serve pages by their paths as long as the block lasts; yield the address, ``host:port``.

    Port 0 is any that is free. Raises `ConfigurationError` where the address can't be had. Only GET and HEAD
    are answered, and no header of a request is used, so that there is nothing that a request can change.
    """
    try:
        server = _Server((host, port), pages)
    except (OSError, OverflowError, TypeError) as error:  # the last two: it is no port, or no name
        why = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"can't listen on {_shown(host)}:{port}: {why}", hint="give --admin another address"
        ) from None
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="choreo-admin", daemon=True)
    thread.start()
    try:
        yield f"{_shown(host)}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _shown(host: str) -> str:
    """Return a host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


class _Server(ThreadingTCPServer):
    # That of `http.server` looks up the name of its address, which takes long where nobody tells names.
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], pages: Mapping[str, Callable[[], Page]]) -> None:
        self.pages = pages
        self._room = threading.BoundedSemaphore(_REQUESTS)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, where there is room for one."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Make room again after the answer."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong: a client that went away is no error."""
        log.debug("a request could not be answered", exc_info=True)


class _InTime(io.RawIOBase):
    """What a client sends, all of it within some seconds."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what has come. Raises `TimeoutError` where that is not all in time."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def setup(self) -> None:
        """Bound the time in which the request must be there."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_InTime(self.connection, _REQUEST_SECONDS))

    def do_GET(self) -> None:
        """Answer with a page."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        find = self.server.pages.get(self.path.partition("?")[0])
        self.connection.settimeout(_REQUEST_SECONDS)
        page = Page(404, f"there are {', '.join(sorted(self.server.pages))}\n")
        if find is not None:
            page = _made(find)
        body = page.body.encode()
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def version_string(self) -> str:
        """Return the server's name, without the versions of what runs here."""
        return "choreo"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests out of the log: a probe comes every few seconds."""


def _made(find: Callable[[], Page]) -> Page:
    try:
        return find()
    except Exception as error:
        log.warning("a page could not be made: %s: %s", type(error).__name__, error)
        return Page(500, "this page could not be made: see the log\n")
