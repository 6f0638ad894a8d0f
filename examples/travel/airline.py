"""A slow airline: a stub of an external HTTP service, on a free port of this machine.

PUT    /bookings/NAME/FLIGHT   201 a seat is booked (asked again: 201), 409 none is left, 410 cancelled before
DELETE /bookings/NAME          204 there is no booking of that name, and never will be
GET    /bookings               200 the flight of every booking, as JSON
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar
from urllib.parse import unquote

SEATS = {"CH 1": 100_000, "CH 2 full": 0, "CH 3 late": 100_000, "CH 4 slow": 100_000, "CH 5 mute": 100_000}
SECONDS = {"CH 3 late": 3.0, "CH 4 slow": 1.2, "CH 5 mute": 0.05}


class Books:
    """The airline's books: who has a seat on which flight."""

    def __init__(self) -> None:
        self.seats = dict(SEATS)
        self.bookings: dict[str, str] = {}
        self._cancelled: set[str] = set()
        self._lock = threading.Lock()

    def book(self, name: str, flight: str) -> int:
        """Book a seat, once, and return the HTTP status of the answer."""
        with self._lock:
            if name in self._cancelled:
                return 410
            if name not in self.bookings:
                if not self.seats.get(flight):
                    return 409
                self.seats[flight] -= 1
                self.bookings[name] = flight
            return 201

    def cancel(self, name: str) -> int:
        """Free a seat, if it is booked, and refuse a later booking."""
        with self._lock:
            self._cancelled.add(name)
            if name in self.bookings:
                self.seats[self.bookings.pop(name)] += 1
            return 204


class Airline(Books, ThreadingHTTPServer):
    """The airline, over HTTP. A booking takes its time; the answers of a ``mute`` flight never arrive."""

    request_queue_size = 256

    def __init__(self) -> None:
        Books.__init__(self)
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), _Request)

    def wait(self, name: str, flight: str) -> None:
        """Take the time that a booking takes."""
        time.sleep(SECONDS.get(flight, 0.2))


class _Request(BaseHTTPRequestHandler):
    server: Airline

    def do_GET(self) -> None:
        self._answer(200, json.dumps(self.server.bookings).encode())

    def do_PUT(self) -> None:
        name, flight = map(unquote, self.path.split("/")[2:])
        self.server.wait(name, flight)
        status = self.server.book(name, flight)
        if not flight.endswith("mute"):
            self._answer(status)

    def do_DELETE(self) -> None:
        self._answer(self.server.cancel(unquote(self.path.split("/")[2])))

    def _answer(self, status: int, body: bytes = b"") -> None:
        with suppress(ConnectionError):  # the client may have disconnected
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing, so that the demo's output stays readable."""


A = TypeVar("A", bound=Airline)


@contextmanager
def serving(airline: A) -> Iterator[A]:
    """Run an airline in a thread, and set its address for the flight participant of this process."""
    thread = threading.Thread(target=airline.serve_forever, args=(0.05,))
    with airline:
        thread.start()
        os.environ["AIRLINE"] = f"127.0.0.1:{airline.server_port}"
        try:
            yield airline
        finally:
            del os.environ["AIRLINE"]
            airline.shutdown()
            thread.join()
