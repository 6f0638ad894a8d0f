"""Ways to a broker that refuses at first, as one does that is about to serve a partition or a group."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple, Self

_PRODUCE: Final = 0
_METADATA: Final = 3
_OFFSET_FETCH: Final = 9
_FIND_COORDINATOR: Final = 10

PATIENCE: Final = 0.5
"""Seconds for which the refusal is kept back until the client sends a second batch."""


class _Request(NamedTuple):
    api: int
    version: int
    number: int


class _Way:
    """Carries requests to a broker on loopback, and its answers back."""

    def __init__(self, bootstrap: str) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._broker = int(bootstrap.rpartition(":")[2])
        self._sockets = [self._listening]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """The address for ``bootstrap.servers``."""
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    @property
    def _port(self) -> int:
        port: int = self._listening.getsockname()[1]
        return port

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._broker))
                self._sockets += [near, far]
                expected: dict[int, _Request] = {}
                threading.Thread(target=self._carry, args=(near, far, expected), daemon=True).start()
                threading.Thread(target=self._carry_back, args=(far, near, expected), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket, expected: dict[int, _Request]) -> None:
        with suppress(OSError):  # one end is closed
            for frame in _frames(near):
                request = _Request(*struct.unpack_from(">hhi", frame))
                expected[request.number] = request
                far.sendall(_framed(self._asked(request, frame)))

    def _carry_back(self, far: socket.socket, near: socket.socket, expected: dict[int, _Request]) -> None:
        with suppress(OSError):
            for frame in _frames(far):
                request = expected.pop(*struct.unpack_from(">i", frame))
                if request.api in (_METADATA, _FIND_COORDINATOR):  # the client would go on to the broker
                    frame = frame.replace(struct.pack(">i", self._broker), struct.pack(">i", self._port))
                near.sendall(_framed(self._answered(request, frame)))

    def _asked(self, request: _Request, frame: bytes) -> bytes:
        """Return a request as the broker is to see it."""
        return frame

    def _answered(self, request: _Request, frame: bytes) -> bytes:
        """Return an answer as the client is to see it."""
        return frame


class Unready(_Way):
    """Refuses the first batch of ``topic``, and takes the next: the partition was made or moved a moment ago.

    The request names another topic in its place: the broker answers that it has no such one, an error after
    which clients send again. The answer is kept back until the client has sent another batch, or for
    `PATIENCE` seconds.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic.encode()
        self._absent = bytes(reversed(self._topic))
        self._refused: int | None = None
        self.sent = threading.Semaphore(0)
        self._second = threading.Event()
        super().__init__(bootstrap)

    def _asked(self, request: _Request, frame: bytes) -> bytes:
        if request.api != _PRODUCE or self._topic not in frame:
            return frame
        first = self._refused is None
        if first:
            self._refused = request.number
        else:
            self._second.set()
        self.sent.release()
        return frame.replace(self._topic, self._absent, 1) if first else frame

    def _answered(self, request: _Request, frame: bytes) -> bytes:
        if request.api != _PRODUCE or request.number != self._refused:
            return frame
        self._second.wait(PATIENCE)
        return frame.replace(self._absent, self._topic)


class Starting(_Way):
    """Answers questions for what a group has committed with errors, once with each of ``codes``."""

    def __init__(self, bootstrap: str, codes: list[int]) -> None:
        self.left = codes
        super().__init__(bootstrap)

    def _answered(self, request: _Request, frame: bytes) -> bytes:
        if request.api != _OFFSET_FETCH or not self.left:
            return frame
        # The group's error stands at the end, before a byte for each structure that may have tagged fields.
        tags = 2 if request.version >= 8 else 1 if request.version >= 6 else 0
        end = len(frame) - tags
        return frame[: end - 2] + struct.pack(">h", self.left.pop(0)) + frame[end:]


def _framed(frame: bytes) -> bytes:
    return struct.pack(">i", len(frame)) + frame


def _frames(near: socket.socket) -> Iterator[bytes]:
    with near.makefile("rb") as stream:
        while len(length := stream.read(4)) == 4:
            yield stream.read(*struct.unpack(">i", length))
