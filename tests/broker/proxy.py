"""TCP proxies to a broker on loopback that can be cut: both ends then see their connection reset."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST, and what was under way is lost."""

_CHUNK: Final = 65_536


class Proxies:
    """``count`` proxies, each with a port of its own, all served by one thread.

    Also a port to cut them from another process: ``control`` takes the number of a proxy and a newline,
    and answers one byte once the line has been cut.
    """

    def __init__(self, count: int) -> None:
        self._listening = [_listen() for _ in range(count)]
        self._controlling = _listen()
        self.ports = [_port(each) for each in self._listening]
        self.control = _port(self._controlling)
        self.cuts = 0
        self._ends: list[set[asyncio.StreamWriter]] = [set() for _ in range(count)]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lines", daemon=True)

    def lead_to(self, ports: Sequence[int]) -> None:
        """Serve: each line leads to the port of its number. Once only."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(ports), self._loop).result(10)

    def cut(self, number: int) -> None:
        """Reset all connections of one line; new ones may come at once."""
        asyncio.run_coroutine_threadsafe(self._cut(number), self._loop).result(10)

    def close(self) -> None:
        """Cut all lines for good."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        for each in (*self._listening, self._controlling):
            each.close()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _serve(self, ports: Sequence[int]) -> None:
        self._servers = [await asyncio.start_server(self._command, sock=self._controlling)]
        for number, port in enumerate(ports):

            async def join(
                reader: asyncio.StreamReader,
                writer: asyncio.StreamWriter,
                number: int = number,
                port: int = port,
            ) -> None:
                await self._join(number, port, reader, writer)

            self._servers.append(await asyncio.start_server(join, sock=self._listening[number]))

    async def _command(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError):
            await self._cut(int(await reader.readline()))
            writer.write(b".")
            await writer.drain()
        writer.close()

    async def _join(
        self, number: int, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry bytes both ways until one end closes."""
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:  # the broker is away
            _reset(writer)
            return
        ends = {writer, far_writer}
        self._ends[number] |= ends
        try:
            ways = (_carry(reader, far_writer), _carry(far_reader, writer))
            await asyncio.wait([asyncio.ensure_future(way) for way in ways], return_when="FIRST_COMPLETED")
        finally:
            self._ends[number] -= ends
            for each in ends:
                each.close()

    async def _cut(self, number: int) -> None:
        self.cuts += 1
        for each in self._ends[number]:
            _reset(each)
        self._ends[number].clear()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for number in range(len(self._ends)):
            await self._cut(number)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


def _listen() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(64)
    return listening


def _port(listening: socket.socket) -> int:
    port: int = listening.getsockname()[1]
    return port
