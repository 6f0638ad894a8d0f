"""``Pooler``: a pgbouncer of the machine's packages in transaction mode, before a server."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from urllib.parse import urlsplit

import psycopg

from tests.postgresql.server import READY_DEADLINE, Server, Unavailable, free_port

_CONFIGURATION = """
[databases]
* = host={home} port={port} user=tester
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
ignore_startup_parameters = options
"""


class Pooler:
    """Each transaction may get another session of the server, of which there are ``size``."""

    def __init__(self, server: Server, size: int) -> None:
        found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if found is None:
            raise Unavailable("no pgbouncer in the path or in /usr/sbin")
        self.port = free_port()
        settings = server.home / "pgbouncer.ini"
        settings.write_text(
            _CONFIGURATION.format(home=server.home, port=server.port, own=self.port, size=size)
        )
        self._process = subprocess.Popen(
            [found, "-q", *(("-u", server.user_name) if server.user_name else ()), str(settings)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=server.home,
        )
        self._await_ready()

    def before(self, address: str) -> str:
        """Return the address of a server's database, through the pooler."""
        name = urlsplit(address).path.lstrip("/")
        return f"postgresql://tester@127.0.0.1:{self.port}/{name}"

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(READY_DEADLINE)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_DEADLINE
        while True:
            try:
                psycopg.connect(self.before("/postgres"), connect_timeout=2, prepare_threshold=None).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return
