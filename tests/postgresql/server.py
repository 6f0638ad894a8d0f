"""``Server``: a PostgreSQL of the machine's packages, in a folder of its own, on a free port of loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from tests.postgresql.keeper import PREFIX, mark

READY_DEADLINE, STOP_DEADLINE = 60.0, 20.0
PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt", "/usr/local/opt", "/usr")
SETTINGS = (
    "listen_addresses=127.0.0.1",
    "max_connections=500",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
)
KEEPER = Path(__file__).with_name("keeper.py")


class Unavailable(Exception):
    """Raised where there is no PostgreSQL, or none that may be started."""


class ServerFailed(Exception):
    """Raised when the server ends, or isn't ready in time; its log's end is in the message."""


def programs() -> Path:
    """Return the folder of the newest PostgreSQL's programs; raise `Unavailable`."""
    if found := shutil.which("initdb"):
        return Path(os.path.realpath(found)).parent
    folders = [each.parent for place in PLACES for each in Path(place).glob("*/bin/initdb")]
    folders += [each.parent for each in Path("/usr").glob("bin/initdb")]
    if not folders:
        raise Unavailable("no initdb in the path or in /usr/lib/postgresql/*/bin")
    return max(folders, key=_version)


def _version(folder: Path) -> float:
    words = folder.parent.name.removeprefix("postgresql@").removeprefix("postgresql-")
    try:
        return float(words)
    except ValueError:
        return 0.0


class Server:
    """A server that can be started, stopped, killed and started again on the same address and data.

    ``settings`` are the server's own, such as ``max_connections=12``. It runs as the user ``postgres`` where
    we are root, as it refuses root. Its files are in a short path, as that of a socket may have 107
    characters.
    """

    def __init__(self, *settings: str) -> None:
        self._settings = (*SETTINGS, *settings)
        self.programs, self.user = programs(), user_of_servers()
        self.home = Path(tempfile.mkdtemp(prefix=PREFIX))
        mark(self.home)
        if self.user is not None:
            os.chown(self.home, self.user.pw_uid, self.user.pw_gid)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, database: str, user: str = "tester", **parts: object) -> str:
        """Return the address of a database."""
        more = "".join(f"&{name}={value}" for name, value in parts.items())
        return f"postgresql://{user}@/{database}?host={self.home}&port={self.port}{more}"

    def start(self) -> None:
        """Start, and wait until the server answers."""
        data = self.home / "data"
        if not data.exists():
            superuser = ("-U", "tester", "--auth=trust")
            self._run("initdb", "-D", str(data), *superuser, "--no-sync", "-E", "UTF8", "--locale=C")
        command = [
            str(self.programs / "postgres"),
            "-D",
            str(data),
            "-p",
            str(self.port),
            "-k",
            str(self.home),
        ]
        for setting in self._settings:
            command += ["-c", setting]
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(KEEPER), str(os.getpid()), self.user_name, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.home,
            )
        self._await_ready()

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped, and not started again."""
        return self._process is None

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: connections are cut, transactions rolled back (SIGINT), or all of it at once (SIGQUIT)."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_DEADLINE)

    def remove(self) -> None:
        """Stop, and delete the files."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=self.home,
            user=self.user_name or None,
            extra_groups=[] if self.user_name else None,
        )
        if done.returncode:
            raise ServerFailed(done.stdout.decode(errors="replace")[-2000:])

    @property
    def user_name(self) -> str:
        """The user to run as, empty for our own."""
        return self.user.pw_name if self.user is not None else ""

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_DEADLINE
        while time.monotonic() < deadline:
            process = self._process
            if process is None or process.poll() is not None:
                raise ServerFailed(self._tail())
            try:
                psycopg.connect(self.address("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        self.stop(signal.SIGQUIT)
        raise ServerFailed(f"not ready after {READY_DEADLINE:.0f} s: {self._tail()}")

    def _tail(self) -> str:
        return (self.home / "server.log").read_text(errors="replace")[-2000:]


def user_of_servers() -> pwd.struct_passwd | None:
    """Return the user to run as: None for our own."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Unavailable("we are root, and there is no user postgres to run it as")


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
