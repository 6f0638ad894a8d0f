"""A way to a broker that refuses the first batch of a partition, and takes the next.

So does one that is about to become the leader of a partition, which was created or moved a moment ago.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_PRODUCE: Final = 0
_METADATA: Final = 3

PATIENCE: Final = 0.5
"""Seconds for which the refusal is kept back until the client sends a second batch."""


class Unready:
    """Carries requests to the broker at ``port``; the first of ``topic`` names another in its place.

    The broker answers that it has no such topic, an error after which clients send again. The answer is kept
    back until the client has sent another batch, or for `PATIENCE` seconds.
    """

    def __init__(self, port: int, topic: str) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._broker = port
        self._topic = topic.encode()
        self._absent = bytes(reversed(self._topic))
        self._refused: int | None = None
        self.sent = threading.Semaphore(0)
        self._second = threading.Event()
        self._sockets = [self._listening]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """The address for ``bootstrap.servers``."""
        return f"127.0.0.1:{self._port}"

    @property
    def _port(self) -> int:
        port: int = self._listening.getsockname()[1]
        return port

    def close(self) -> None:
        """Cut all connections."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._broker))
                self._sockets += [near, far]
                expected: dict[int, int] = {}
                threading.Thread(target=self._requests, args=(near, far, expected), daemon=True).start()
                threading.Thread(target=self._answers, args=(far, near, expected), daemon=True).start()

    def _requests(self, near: socket.socket, far: socket.socket, expected: dict[int, int]) -> None:
        for frame in _frames(near):
            api, _, number = struct.unpack_from(">hhi", frame)
            expected[number] = api
            far.sendall(_framed(self._produced(number, frame) if api == _PRODUCE else frame))

    def _produced(self, number: int, frame: bytes) -> bytes:
        if self._topic not in frame:
            return frame
        first = self._refused is None
        if first:
            self._refused = number
        else:
            self._second.set()
        self.sent.release()
        return frame.replace(self._topic, self._absent, 1) if first else frame

    def _answers(self, far: socket.socket, near: socket.socket, expected: dict[int, int]) -> None:
        for frame in _frames(far):
            (number,) = struct.unpack_from(">i", frame)
            api = expected.pop(number)
            answer = frame
            if api == _METADATA:  # the client would go on to the broker itself
                answer = frame.replace(struct.pack(">i", self._broker), struct.pack(">i", self._port))
            elif api == _PRODUCE and number == self._refused:
                self._second.wait(PATIENCE)
                answer = frame.replace(self._absent, self._topic)
            near.sendall(_framed(answer))


@contextmanager
def unready(bootstrap: str, topic: str) -> Iterator[Unready]:
    """Lead to a broker on loopback through `Unready`."""
    way = Unready(int(bootstrap.rpartition(":")[2]), topic)
    try:
        yield way
    finally:
        way.close()


def _framed(frame: bytes) -> bytes:
    return struct.pack(">i", len(frame)) + frame


def _frames(near: socket.socket) -> Iterator[bytes]:
    with suppress(OSError), near.makefile("rb") as stream:
        while len(length := stream.read(4)) == 4:
            yield stream.read(*struct.unpack(">i", length))
