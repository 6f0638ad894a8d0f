"""One real Apache Kafka broker (KRaft, a single node) on loopback, as a child process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.broker.kafka_jars import jars, java

HERE = Path(__file__).parent
CLUSTER = "choreo-tests-cluster00"
READY_DEADLINE = 180.0
STOP_DEADLINE = 20.0
HEAP = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

PROPERTIES = """\
process.roles={roles}
node.id={node}
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners}
advertised.listeners={advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
num.network.threads=2
num.io.threads=2
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.retention.check.interval.ms=3600000
"""


class BrokerFailed(Exception):
    """Raised when the broker ends, or isn't ready in time; its log's end is in the message."""


class Broker:
    """A broker that can be started, stopped, killed and started again on the same address and data.

    It can be reached through other ports, too, which lead to its ``entrances``, a port for a port: who
    comes in by one is told that the broker lives at the port that leads there.
    """

    def __init__(self, home: Path, through: Sequence[int] = ()) -> None:
        self.home = home
        self.port, self._controller, *self.entrances = _free_ports(2 + len(through))
        self._through = through
        self._node = 1
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address for ``bootstrap.servers``."""
        return f"127.0.0.1:{self.port}"

    def join(self, first: Broker) -> None:
        """Join the cluster of another broker, which is its controller; call it before `start`."""
        self._node, self._controller = first._node + 1, first._controller

    def start(self) -> None:
        """Start and wait until the broker answers; raises `BrokerFailed` or `jars.Unavailable`."""
        kept = _classes()
        self._serve(*([f"-XX:SharedArchiveFile={kept}"] if kept.exists() else []))

    def keep_classes(self) -> None:
        """Keep the classes that a broker loads as Java has them in memory: later ones start in half the time.

        Costs a start and a stop, once for all sessions.
        """
        kept = _classes()
        if kept.exists():
            return
        fresh = kept.with_name(f"{kept.name}-{os.getpid()}")
        process = self._serve(f"-XX:ArchiveClassesAtExit={fresh}")
        self.stop()
        with suppress(FileNotFoundError):  # a Java that can't
            # One that had to be killed may have written half of them, on which the next one would crash.
            fresh.unlink() if process.returncode == -signal.SIGKILL else fresh.rename(kept)

    def stop(self) -> None:
        """Stop in good order, or by force when that takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the broker: connections stay open, nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._signal(signal.SIGCONT)

    def _serve(self, *options: str) -> subprocess.Popen[bytes]:
        config = self.home / "server.properties"
        if not config.exists():
            self._format(config)
        process = self._process = self._spawn("kafka.Kafka", str(config), options=options)
        self._await_ready(process)
        return process

    def _format(self, config: Path) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        names = ["PLAINTEXT", *(f"LINE{number}" for number in range(len(self._through)))]
        listeners, roles = _listeners(names, [self.port, *self.entrances]), "broker"
        if self._node == 1:
            listeners, roles = f"{listeners},CONTROLLER://127.0.0.1:{self._controller}", "broker,controller"
        text = PROPERTIES.format(
            node=self._node,
            roles=roles,
            controller=self._controller,
            data=self.home / "data",
            listeners=listeners,
            advertised=_listeners(names, [self.port, *self._through]),
            protocols=",".join(f"{name}:PLAINTEXT" for name in names),
        )
        config.write_text(text)
        data, formatted = self.home / "data", jars().with_name(f"{jars().name}-formatted-{self._node}")
        if formatted.is_dir():
            shutil.copytree(formatted, data)
            return
        tool = self._spawn("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(config))
        if tool.wait(READY_DEADLINE):
            config.unlink()
            raise BrokerFailed(self._tail())
        _keep(data, formatted)

    def _spawn(self, main: str, *arguments: str, options: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Run a Java class that dies with us, in a session of its own so that Ctrl-C spares it."""
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        command = [java(), *HEAP, *options, logging, "-cp", f"{jars()}/*", main, *arguments]
        with (self.home / "broker.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(HERE / "die_with_parent.py"), str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_DEADLINE
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise BrokerFailed(self._tail())
            if _answers(self.port) and _has_broker(self.bootstrap):
                return
            time.sleep(0.05)
        self.kill()
        raise BrokerFailed(f"not ready after {READY_DEADLINE:.0f} s: {self._tail()}")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_DEADLINE)

    def _signal(self, which: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(which)

    def _tail(self) -> str:
        return (self.home / "broker.log").read_text(errors="replace")[-2000:]


def _classes() -> Path:
    """Return where the classes of a broker are kept, once they are."""
    return jars().with_name(f"{jars().name}.jsa")


def _keep(data: Path, formatted: Path) -> None:
    """Keep a copy of a formatted folder, so that later brokers need no Java process to format theirs."""
    fresh = Path(tempfile.mkdtemp(prefix=f"{formatted.name}-", dir=formatted.parent))
    shutil.copytree(data, fresh, dirs_exist_ok=True)
    try:
        fresh.rename(formatted)
    except OSError:  # another process was faster
        shutil.rmtree(fresh)


def _listeners(names: Sequence[str], ports: Sequence[int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _has_broker(bootstrap: str) -> bool:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    try:
        return bool(admin.list_topics(timeout=5).brokers)
    except KafkaException:
        return False
