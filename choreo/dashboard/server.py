"""``serve``: a server for the page alone, which ends at once however many streams are open."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from threading import Event, Timer
from types import FrameType
from typing import Any, Final

import uvicorn

from choreo.dashboard.application import app
from choreo.errors import ConfigurationError

_PATIENCE: Final = 2
"""Seconds that a stop waits for what is being answered."""


def serve(
    host: str,
    port: int,
    ready: Callable[[str], None],
    stores: Sequence[str],
    modules: Sequence[str],
    **given: Any,
) -> None:
    """Serve the page of these stores until SIGINT or SIGTERM; what is ``given`` besides is for `app`.

    ``ready`` is told its address. Port 0 is any that is free. Raises `ConfigurationError` where the address
    can't be had.
    """
    stopping = Event()
    page = app(stores, modules, stopping=stopping, **given)
    with _listening(host, port) as listening:
        config = uvicorn.Config(
            page,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            lifespan="off",
            proxy_headers=False,
            timeout_graceful_shutdown=2 * _PATIENCE,
            timeout_keep_alive=5,
            limit_concurrency=200,
        )
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listening.getsockname()[1]}/")
        _Server(config, stopping).run([listening])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=64)
    except OSError as error:
        raise ConfigurationError(
            f"can't listen on {host}:{port}: {error.strerror or error}", hint="give --listen another address"
        ) from None


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, stopping: Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the streams, and with them the server; a second signal waits for nothing."""
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True
        self._stopping.set()
        # A thread that waits for a store can't be ended otherwise; what it has not committed is not done.
        end = Timer(_PATIENCE, os._exit, (0,))
        end.daemon = True
        end.start()
