"""The market's processes: ``choreo run`` for each; whoever ends is started again."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests.broker.group_member import join_and_leave
from tests.broker.kafka import Broker
from tests.scenarios.processes import Processes

NAMES = ("orders", "stock", "payments", "shipping", "mailer")
PACKAGE = "tests.programs.soak.market"
SETTINGS = ("session.timeout.ms=2000", "heartbeat.interval.ms=500")
"""So that a pause of seconds is longer than the group's patience."""


class Processes(Processes):
    """The five processes, and what can be done to them; ``counts`` counts it."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._broker = broker
        self._replaced: list[subprocess.Popen[bytes]] = []
        self._guest: threading.Thread | None = None
        os.environ["CHOREO_SOAK_WORLD"] = str(folder / "world")
        participants = [getattr(import_module(f"{PACKAGE}.{name}"), name) for name in NAMES]
        super().__init__(broker.bootstrap, folder, PACKAGE, participants, SETTINGS)

    @property
    def bootstrap(self) -> str:
        """The broker's address."""
        return self._broker.bootstrap

    def revive(self) -> None:
        """Start again whoever has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                self.counts["restarts"] += 1
                self.start(name)

    def strike(self, name: str) -> None:
        """Kill a process, as ``kill -9`` does; `revive` starts it again."""
        self.counts["kills"] += 1
        self.kill(name)

    def pause(self, name: str) -> Callable[[], None]:
        """Stop a process; give what lets it go on."""
        self.counts["pauses"] += 1
        process = self._running[name]
        process.send_signal(signal.SIGSTOP)
        return lambda: process.send_signal(signal.SIGCONT)

    def replace(self, name: str) -> Callable[[], None]:
        """Stop a process, and start another one on its store; give what lets the first one go on."""
        resume = self.pause(name)
        self.counts["replaced"] += 1
        self._replaced.append(self._running[name])
        self.start(name)
        return resume

    def rebalance(self, name: str) -> None:
        """Let a guest join a participant's group, and leave it; one guest at a time."""
        if self._guest is None or not self._guest.is_alive():
            self.counts["rebalances"] += 1
            given = (self._broker.bootstrap, name, "market", 10.0)
            self._guest = threading.Thread(target=join_and_leave, args=given, daemon=True)
            self._guest.start()

    def end_broker(self, by_force: bool) -> Callable[[], None]:
        """End the broker; give what starts it again."""
        self.counts["broker_restarts"] += 1
        if by_force:
            self._broker.kill()
        else:
            self._broker.stop()
        return self._broker.start

    def zombies(self) -> int:
        """Count the replaced processes that live on."""
        return sum(process.poll() is None for process in self._replaced)

    def close(self) -> None:
        """End all processes, paused ones too."""
        for process in self._replaced:
            process.kill()
            process.wait()
        super().close()
        if self._guest is not None:
            self._guest.join(20)
