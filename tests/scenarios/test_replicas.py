"""Replicas of a participant as processes, on a real Kafka and a real PostgreSQL; and kill -9 of any."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from choreo.avro import AvroCodec
from choreo.chain import first_broken_link
from choreo.client.connection import StoreConnection
from choreo.store.opening import migrate
from choreo.store.postgresql.store import PostgreSQLStore
from choreo.worker.clock import SystemClock
from tests.broker.kafka import Broker
from tests.postgresql.databases import new_database
from tests.scenarios.processes import CHOREO, ROOT, TETHER
from tests.scenarios.replicated import TransferAsked, payee, payer, transfers
from tests.stores import is_at_rest
from tests.worker.stopping import POINTS

KILLS = int(os.environ.get("CHOREO_KILLS", "0"))
SEED = int(os.environ.get("CHOREO_SEED", "20261"))
REPLICAS = int(os.environ.get("CHOREO_REPLICAS_EACH", "3"))

pytestmark = pytest.mark.kafka

PARTICIPANTS = {"payer": payer, "payee": payee}
ZOMBIES = os.environ.get("CHOREO_ZOMBIES") == "1"
PARTITIONS = 6
SESSION = "session.timeout.ms=6000"
GROUPS = {
    "eager": (SESSION,),
    "cooperative": (SESSION, "partition.assignment.strategy=cooperative-sticky"),
    "consumer": ("group.protocol=consumer",),
}
"""The settings of each kind of group; the session of the last one is the broker's to set."""


class Banks:
    """Replicas of both participants: processes that may be killed, paused and started again."""

    def __init__(self, bootstrap: str, addresses: dict[str, str], folder: Path, *settings: str) -> None:
        self._bootstrap = bootstrap
        self._addresses = addresses
        self._folder = folder
        self._settings = [word for each in settings for word in ("--kafka", each)]
        self.running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
        for address in addresses.values():
            migrate(address)
        self.stores = {name: PostgreSQLStore(address) for name, address in addresses.items()}
        create = [CHOREO, "topics", "create", _target("payer"), "--bootstrap", bootstrap]
        subprocess.run([*create, "--partitions", str(PARTITIONS)], cwd=ROOT, check=True, capture_output=True)
        self._connection = StoreConnection(
            payer, lambda: self.stores["payer"], AvroCodec(payer.events), SystemClock()
        )
        payer.connect(self._connection)

    def start(
        self, name: str, number: int = 1, *options: str, program: Sequence[str] = (CHOREO,)
    ) -> subprocess.Popen[bytes]:
        """Start a process of ``choreo run``."""
        command = [*program, "run", _target(name), "--bootstrap", self._bootstrap]
        command += ["--store", self._addresses[name], *self._settings, *options]
        with (self._folder / f"{name}-{number}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(TETHER), str(os.getpid()), *command],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running[name, number] = process
        return process

    def kill(self, name: str, number: int) -> None:
        """Kill a process, as ``kill -9`` does."""
        process = self.running.pop((name, number))
        process.kill()
        process.wait()

    def ask(self, transfer: str, amount: int, limit: int) -> str:
        """Ask for a transfer, as a web process does."""
        with payer.transaction() as tx:
            return tx.start(TransferAsked(transfer, amount, limit), saga_id=transfer)

    def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition holds; fail where a process has ended meanwhile."""
        deadline = time.monotonic() + seconds
        while not condition():
            for key, process in self.running.items():
                assert process.poll() is None, f"{key} ended: {self.log_of(*key)}"
            assert time.monotonic() < deadline, f"not within {seconds} s: {self.state()}"
            time.sleep(0.1)

    def log_of(self, name: str, number: int = 1) -> str:
        """Return the end of what a process has said."""
        return (self._folder / f"{name}-{number}.log").read_text()[-6000:]

    def state(self) -> str:
        """Return what is known, for a message."""
        known = "\n".join(f"{name}: {_rows(store)}" for name, store in self.stores.items())
        logs = "\n".join(self.log_of(*key)[-1500:] for key in self.running)
        return f"{known}\n{logs}"

    def until_quiet(self, asked: Iterable[str], seconds: float) -> None:
        """Wait until both know how each saga ended, and nothing waits."""
        wanted = set(asked)
        self.until(
            lambda: all(wanted <= _ended(store) and is_at_rest(store) for store in self.stores.values()),
            seconds,
        )

    def close(self) -> None:
        """End all processes."""
        payer.connect(None)
        for process in self.running.values():
            process.kill()
            process.wait()
        for store in self.stores.values():
            store.close()

    def assert_balance(self, asked: dict[str, tuple[int, int]]) -> None:
        """Check that each saga ended as it must, that every movement came once, and that chains hold."""
        wanted: Counter[tuple[str, str, int]] = Counter()
        ends = {}
        for transfer, (amount, limit) in asked.items():
            succeeds = 0 < amount <= limit
            ends[transfer] = "completed" if succeeds else "failed"
            if amount:
                wanted[transfer, "debit", -amount] += 1
                if succeeds:
                    wanted[transfer, "credit", amount] += 1
                else:
                    wanted[transfer, "refund", amount] += 1
        found: Counter[tuple[str, str, int]] = Counter()
        for store in self.stores.values():
            found.update(store.db.execute("SELECT transfer, what, amount FROM ledger").fetchall())
            assert not store.dead_letters()
            for transfer, end in ends.items():
                assert store.history(transfer, transfers.name)[-1].saga_state == end
                assert first_broken_link(store.saga_log.chain(transfer, transfers.name)) is None
        assert found == wanted


def _ended(store: PostgreSQLStore) -> set[str]:
    rows = store.db.execute("SELECT saga_id FROM choreo.saga_log WHERE saga_state IN ('completed', 'failed')")
    return {saga_id for (saga_id,) in rows.fetchall()}


_UNDER_WAY = (
    "SELECT topic, partition, next_offset, epoch, deaths FROM choreo.positions ORDER BY 1, 2",
    "SELECT saga_id, partition, task, name, lane, due, deaths FROM choreo.schedule ORDER BY 1",
    "SELECT seq, saga_id, partition FROM choreo.outbox ORDER BY 1",
    "SELECT saga_id FROM choreo.requests",
    'SELECT saga_id, step, new_state, event_type, partition, "offset" FROM choreo.saga_log AS row'
    " WHERE saga_id NOT IN (SELECT saga_id FROM choreo.saga_log"
    " WHERE saga_state IN ('completed', 'failed')) ORDER BY saga_id, id",
)


def _rows(store: PostgreSQLStore) -> str:
    """Return the positions, and what is under way, for a message."""
    return "\n".join(str(store.db.execute(sql.encode()).fetchall()) for sql in _UNDER_WAY)


def _target(name: str) -> str:
    return f"tests.scenarios.replicated:{name}"


@pytest.fixture
def banks(kafka_broker: Broker, postgresql: str, tmp_path: Path) -> Iterator[Callable[..., Banks]]:
    """Return a function that prepares both banks."""
    with ExitStack() as stack:

        def make(*settings: str, paused: str = "") -> Banks:
            addresses = {name: stack.enter_context(new_database(postgresql)) for name in PARTICIPANTS}
            if paused:
                options = f"options=-c%20idle_in_transaction_session_timeout%3D{paused}"
                addresses = {
                    name: f"{each}{'&' if '?' in each else '?'}{options}" for name, each in addresses.items()
                }
            opened = Banks(kafka_broker.bootstrap, addresses, tmp_path, *settings)
            stack.callback(opened.close)
            return opened

        yield make


def _asked(banks: Banks, chance: random.Random, prefix: str, count: int) -> dict[str, tuple[int, int]]:
    asked = {}
    for number in range(count):
        amount, limit = chance.choice([(5, 10), (5, 10), (7, 3), (0, 1), (4, -1)])
        asked[banks.ask(f"{prefix}-{number}", amount, limit)] = (amount, limit)
    return asked


@pytest.mark.skipif(not KILLS, reason="CHOREO_KILLS is not set")
@pytest.mark.parametrize("group", GROUPS)
def test_replicas_killed_at_random_moments_lose_nothing_and_repeat_nothing(
    banks: Callable[..., Banks], group: str
) -> None:
    """Kill any of six with signal 9, again and again, while transfers of all kinds are under way."""
    opened, chance = banks(*GROUPS[group]), random.Random(SEED)
    for name in PARTICIPANTS:
        for number in range(REPLICAS):
            opened.start(name, number, "--instance", f"{name}-{number}")
    asked: dict[str, tuple[int, int]] = {}
    for round_ in range(KILLS):
        asked |= _asked(opened, chance, f"r{round_}", 20)
        time.sleep(chance.uniform(0, 1.0))  # the random moment
        name, number = chance.choice(sorted(opened.running))
        opened.kill(name, number)
        opened.start(name, number, "--instance", f"{name}-{number}")
    opened.until_quiet(asked, 120)
    print(f"\n{KILLS} kills, seed {SEED}, {len(asked)} sagas, {REPLICAS} replicas each")
    opened.assert_balance(asked)


@pytest.mark.skipif(not ZOMBIES, reason="CHOREO_ZOMBIES is not 1")
def test_a_process_that_was_stopped_at_any_point_does_no_harm(
    banks: Callable[..., Banks], tmp_path: Path
) -> None:
    """It is stopped for longer than its group and its server wait for it, while its partitions move."""
    opened, chance = banks(*GROUPS["cooperative"], paused="5s"), random.Random(SEED)
    opened.start("payer", 0)
    opened.start("payee", 0)
    asked: dict[str, tuple[int, int]] = {}
    flag = tmp_path / "flag"
    for number, point in enumerate(POINTS, 1):
        program = (sys.executable, "-m", "tests.scenarios.stopping", point, str(flag))
        zombie = opened.start("payee", number, program=program)
        opened.until(lambda at=number: "is live on" in opened.log_of("payee", at), 60)  # type: ignore[misc]
        flag.touch()
        while not _is_stopped(zombie):
            asked |= _asked(opened, chance, f"p{len(asked)}", 4)
            opened.until(lambda each=zombie: _is_stopped(each) or not flag.exists() or _rested(opened), 60)  # type: ignore[misc]
        asked |= _asked(opened, chance, f"p{len(asked)}", 12)
        began = time.monotonic()
        opened.until_quiet(asked, 60)
        waited = time.monotonic() - began
        zombie.send_signal(signal.SIGCONT)
        asked |= _asked(opened, chance, f"p{len(asked)}", 12)
        opened.until_quiet(asked, 60)
        opened.assert_balance(asked)
        opened.kill("payee", number)
        print(f"\n{point}: the others went on after {waited:.1f} s", end="")


def _rested(opened: Banks) -> bool:
    return all(map(is_at_rest, opened.stores.values()))


def _is_stopped(process: subprocess.Popen[bytes]) -> bool:
    state = subprocess.run(
        ["ps", "-o", "state=", "-p", str(process.pid)], check=False, capture_output=True, text=True
    )
    return state.stdout.strip().startswith("T")


def test_a_supervisor_starts_replicas_again_and_stops_them_in_order(banks: Callable[..., Banks]) -> None:
    """One that is killed comes back, and has its partitions again; a signal ends all of them, with 0."""
    opened, chance = banks(*GROUPS["cooperative"]), random.Random(SEED)
    for name in PARTICIPANTS:
        opened.start(name, 1, "--replicas", "2")
    asked = _asked(opened, chance, "before", 8)
    opened.until_quiet(asked, 60)
    victim = _children(opened.running["payee", 1].pid)[0]
    os.kill(victim, signal.SIGKILL)
    asked |= _asked(opened, chance, "after", 8)
    opened.until_quiet(asked, 60)
    opened.assert_balance(asked)
    assert "ended by SIGKILL: again in" in opened.log_of("payee")
    ending = opened.running.pop(("payee", 1))
    children = _children(ending.pid)
    assert len(children) == 2
    assert victim not in children
    ending.send_signal(signal.SIGTERM)
    assert ending.wait(20) == 0, opened.log_of("payee")
    assert opened.log_of("payee").rstrip().endswith("payee: stopped")
    orphans = _children(opened.running["payer", 1].pid)
    opened.kill("payer", 1)
    opened.until(lambda: not any(map(_is_alive, orphans)), 20)


def _children(parent: int) -> list[int]:
    """Return the processes of ``choreo run`` that a process has started, itself started by another."""
    found = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,args="], check=True, capture_output=True, text=True)
    rows = [re.split(r"\s+", line.strip(), maxsplit=2) for line in found.stdout.splitlines()]
    return [int(pid) for pid, ppid, words in rows if int(ppid) == parent and "choreo" in words]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
