"""The market's processes: ``choreo run`` for each, and web processes; whoever ends is started again.

Where each participant has replicas, they have the names stock, stock.2, stock.3.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from sys import executable

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ResourceType,
)

from tests.broker.group_member import join_and_leave
from tests.broker.kafka import Broker
from tests.postgresql.server import Server
from tests.programs.soak import web
from tests.programs.soak.machine import Clock, Disk
from tests.scenarios.processes import ROOT, TETHER, Processes
from tests.stores import place

NAMES = ("orders", "stock", "payments", "shipping", "mailer")
PACKAGE = "tests.programs.soak.market"
SETTINGS = ("session.timeout.ms=2000", "heartbeat.interval.ms=500")
"""So that a pause of seconds is longer than the group's patience."""

BYTES = "50000"
"""The greatest record that the market's topic takes."""

WEBS = ("w1", "w2")
CRAMPED, JUMPING = "stock", "payments"
"""The participant whose disk fills up, and the one whose clock jumps."""


class Processes(Processes):
    """The five processes, and what can be done to them; ``counts`` counts it."""

    def __init__(
        self,
        broker: Broker,
        second: Broker,
        folder: Path,
        rate: float,
        server: Server | None = None,
        replicas: int = 1,
    ) -> None:
        self._server = server
        self.counts: Counter[str] = Counter()
        self._broker, self._second = broker, second
        self.disk, self.clock = Disk(folder / "small"), Clock(folder / "clock")
        self._journal = folder / "journal"
        self._journal.touch()
        self._webs: dict[str, subprocess.Popen[bytes]] = {}
        self._rate = rate
        self._replaced: list[subprocess.Popen[bytes]] = []
        self._guest: threading.Thread | None = None
        os.environ["CHOREO_SOAK_WORLD"] = str(folder / "world")
        participants = [getattr(import_module(f"{PACKAGE}.{name}"), name) for name in NAMES]
        super().__init__(broker.bootstrap, folder, PACKAGE, participants, SETTINGS)
        for number in range(2, replicas + 1):
            for name in NAMES:
                self.start(f"{name}.{number}")
        self.set("max.message.bytes", BYTES)
        self.settings = self._own_settings()

    @property
    def names(self) -> list[str]:
        """The names of all replicas."""
        return list(self._running)

    def store_path(self, name: str) -> Path:
        """Return the path of a participant's database; one has a small disk for itself."""
        participant = _participant_of(name)
        return (self.disk.folder if participant == CRAMPED else self._folder) / f"{participant}.db"

    def command(self, name: str, arguments: list[str]) -> list[str]:
        """Return the command of a participant; one has a clock of its own."""
        own_clock = _participant_of(name) == JUMPING
        return self.clock.command(arguments) if own_clock else super().command(name, arguments)

    def journal(self) -> web.Journal:
        """Return what the web processes have done."""
        with self._journal.open() as lines:
            return web.read(lines)

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

    def serve(self) -> None:
        """Start the web processes that are not running."""
        for name in WEBS:
            if name not in self._webs or self._webs[name].poll() is not None:
                self.counts["webs"] += 1
                number = self.counts["webs"]
                target = [
                    executable,
                    "-m",
                    web.__name__,
                    place(self.store_path("orders")),
                    str(self._journal),
                ]
                tether = [executable, str(TETHER), str(os.getpid())]
                given = [f"{name}-{number}", str(self._rate / len(WEBS)), str(number)]
                with (self._folder / "web.log").open("ab") as log:
                    self._webs[name] = subprocess.Popen(
                        [*tether, *target, *given], cwd=ROOT, stdout=log, stderr=log, start_new_session=True
                    )

    def strike_web(self, name: str) -> None:
        """Kill a web process; `serve` starts it again."""
        self.counts["web_kills"] += 1
        self._webs[name].kill()
        self._webs[name].wait()

    def end_webs(self) -> None:
        """Kill all web processes, and their children."""
        for process in self._webs.values():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._webs.clear()

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
            given = (self._broker.bootstrap, _participant_of(name), "market", 10.0)
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

    def pause_leader(self) -> Callable[[], None]:
        """Pause the broker that leads some of the partitions; return what lets it go on."""
        self.counts["leaders_paused"] += 1
        self._second.pause()
        return self._second.resume

    def end_server(self, by_force: bool) -> Callable[[], None]:
        """End PostgreSQL, where the stores are there; return what starts it again."""
        if self._server is None:
            return lambda: None
        self.counts["servers_restarted"] += 1
        self._server.stop(signal.SIGQUIT if by_force else signal.SIGINT)
        return self._server.start

    @property
    def is_server_down(self) -> bool:
        """Whether PostgreSQL has been ended, and not been started again."""
        return self._server is not None and self._server.is_stopped

    def fill_disk(self) -> Callable[[], None]:
        """Fill up a participant's disk; return what empties it."""
        if self._server is not None:
            return lambda: None
        self.counts["disks_full"] += self.disk.available
        return self.disk.fill()

    def jump(self, seconds: float) -> Callable[[], None]:
        """Set a participant's clock; return what sets it right."""
        self.counts["clock_jumps"] += 1
        self.clock.set(seconds)
        return lambda: self.clock.set(0)

    def set(self, key: str, value: str | None) -> None:
        """Set a setting of the market's topic, None for the broker's own."""
        how = AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
        entry = ConfigEntry(key, value or "", incremental_operation=how)
        resource = ConfigResource(ResourceType.TOPIC, "market", incremental_configs=[entry])
        admin = AdminClient({"bootstrap.servers": self._broker.bootstrap})
        for future in admin.incremental_alter_configs([resource], request_timeout=20).values():
            future.result(20)

    def _own_settings(self) -> dict[str, str]:
        """Return the settings that the market's topic has for itself."""
        resource = ConfigResource(ResourceType.TOPIC, "market")
        admin = AdminClient({"bootstrap.servers": self._broker.bootstrap})
        found = admin.describe_configs([resource], request_timeout=20)[resource].result(20)
        own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        return {key: str(each.value) for key, each in found.items() if each.source == own}

    def zombies(self) -> int:
        """Count the replaced processes that live on."""
        return sum(process.poll() is None for process in self._replaced)

    def close(self) -> None:
        """End all processes, paused ones too."""
        self.end_webs()
        for process in self._replaced:
            process.kill()
            process.wait()
        super().close()
        if self._guest is not None:
            self._guest.join(20)
        self.disk.close()

    def _target(self, name: str) -> str:
        return super()._target(_participant_of(name))


def _participant_of(replica: str) -> str:
    return replica.partition(".")[0]
