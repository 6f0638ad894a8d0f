"""``Pooler``: a pgbouncer of the machine's packages in transaction mode, before a server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.postgresql.keeper import PREFIX, mark
from tests.postgresql.server import KEEPER, READY_DEADLINE, Unavailable, free_port, user_of_servers

_CONFIGURATION = """
[databases]
* = host={host} port={port} user={user} connect_query='{first}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 1000
server_idle_timeout = 5
ignore_startup_parameters = options
"""


class Pooler:
    """Each transaction may get another session of the server at an address, of which there are ``size``.

    A session begins with the statement ``first``: the options in a client's address are left out.
    """

    def __init__(self, server: str, size: int, first: str = "SELECT 1") -> None:
        found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if found is None:
            raise Unavailable("no pgbouncer in the path or in /usr/sbin")
        user = user_of_servers()
        self._home = Path(tempfile.mkdtemp(prefix=PREFIX))
        mark(self._home)
        if user is not None:
            os.chown(self._home, user.pw_uid, user.pw_gid)
        self.port = free_port()
        at = conninfo_to_dict(server)
        settings = self._home / "pgbouncer.ini"
        settings.write_text(
            _CONFIGURATION.format(
                host=at["host"], port=at["port"], user=at["user"], own=self.port, size=size, first=first
            )
        )
        command = [found, "-q", str(settings)]
        self._process = subprocess.Popen(
            [sys.executable, str(KEEPER), str(os.getpid()), user.pw_name if user else "", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self._home,
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
        shutil.rmtree(self._home, ignore_errors=True)

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
