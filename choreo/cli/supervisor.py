"""``Supervisor``: runs the replicas of a participant, each in a process of its own, and starts them again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from choreo.cli import output
from choreo.cli.signals import stopping_on_signals

REPLICA: Final = "CHOREO_REPLICA"
"""The variable by which a process knows that it is a replica, and which."""

_FIRST, _LONGEST = 0.25, 30.0
"""Seconds before a replica is started again: each time twice as long."""

_WELL = 60.0
"""A replica that has run for so many seconds is started again as if for the first time."""

_LOOK = 0.05
_REFUSED = 2
"""The exit code of a process that would end in the same way again."""


class Replica:
    """One replica's process. Its standard input ends with the supervisor, and it stops then."""

    def __init__(self, number: int, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.number = number
        self.starts = 0
        self.is_due_at = 0.0
        self._command = command
        self._environment = {**environment, REPLICA: str(number)}
        self._pause = _FIRST
        self._since = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, which gets no signal of the terminal's."""
        self._since = time.monotonic()
        self.starts += 1
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, env=self._environment, start_new_session=True
        )

    @property
    def is_running(self) -> bool:
        """Whether it was started, and has not been seen to end."""
        return self._process is not None

    def ended(self) -> int | None:
        """Return the exit code of the process where it has just ended, else None."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            self._close()
        return code

    def put_off(self) -> float:
        """Return in how many seconds it is to start again."""
        if time.monotonic() - self._since > _WELL:
            self._pause = _FIRST
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST)
        self.is_due_at = time.monotonic() + pause
        return pause

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end of the process, and return its exit code; 0 where there is none."""
        code = 0 if self._process is None else self._process.wait()
        self._close()
        return code

    def _close(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()


class Supervisor:
    """Runs ``count`` replicas until it is stopped; one that ends is started again, after a pause.

    One that is refused at its first start ends all of them, as it would be refused again.
    """

    def __init__(self, name: str, count: int) -> None:
        command = [sys.executable, "-c", "from choreo.cli import main; main()", *sys.argv[1:]]
        self._name = name
        self._replicas = [Replica(number, command, os.environ) for number in range(1, count + 1)]
        self._stopping = threading.Event()

    def run(self) -> int:
        """Run until a signal comes, or a replica is refused; return the exit code."""
        with stopping_on_signals(self._stopping.set, lambda: self._signal(signal.SIGKILL)):
            try:
                for each in self._replicas:
                    each.start()
                refused = self._watch()
            finally:
                self._signal(signal.SIGTERM)
                codes = [each.wait() for each in self._replicas]
        # One that had only just been started may not have known yet what the signal means.
        return refused or max(0 if code == -signal.SIGTERM else _code_of(code) for code in codes)

    def _watch(self) -> int:
        """Start again whoever ends, until all are to stop; return the code of one that is refused, or 0."""
        while not self._stopping.wait(_LOOK):
            for each in self._replicas:
                code = each.ended()
                if code == _REFUSED and each.starts == 1:
                    return code
                if code is not None:
                    pause = each.put_off()
                    what = f"ended by {_signal_name(code)}" if code < 0 else f"ended with exit code {code}"
                    output.notice(f"{self._name}: replica {each.number} {what}: again in {pause:g} s")
                elif not each.is_running and time.monotonic() >= each.is_due_at:
                    each.start()
        return 0

    def _signal(self, number: int) -> None:
        for each in self._replicas:
            each.signal(number)


def instance_of(participant: str, store_id: str, number: int) -> str:
    """Return the name that a replica of this machine has in its group, whenever it is started."""
    return f"{participant}-{store_id}-{socket.gethostname()}-{number}"


def number_of_this() -> int:
    """Return the number of the replica that this process is, 0 where it is none; its children are none."""
    return int(os.environ.pop(REPLICA, "0"))


def stop_with_supervisor(stop: Callable[[], None]) -> None:
    """Stop once the supervisor has ended, however it did."""

    def watch() -> None:
        while os.read(0, 64):
            pass
        stop()

    threading.Thread(target=watch, name="choreo-supervisor", daemon=True).start()


def _code_of(code: int) -> int:
    return 128 - code if code < 0 else code


def _signal_name(code: int) -> str:
    return signal.Signals(-code).name
