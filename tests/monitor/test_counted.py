"""Counters and gauges are what the stores say, whoever is killed with signal 9 at whatever moment.

Two services in processes of their own, on a real Kafka: one each on SQLite, or on PostgreSQL, or several that
share one. With ``CHOREO_KILLS`` there are so many kills each.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from choreo import connect
from choreo.errors import StoreError
from choreo.records import SagaKey
from choreo.store.opening import is_address, migrate, open_store
from choreo.worker.dead_letters import settle
from tests.broker.kafka import Broker
from tests.cli.command import CHOREO
from tests.monitor.errand import Asked, desk
from tests.monitor.plain_store import STATES, PlainStore, Series
from tests.monitor.prometheus import free_port
from tests.postgresql.databases import new_database
from tests.scenarios.processes import ROOT, TETHER
from tests.scenarios.stage import event_headers

KILLS = int(os.environ.get("CHOREO_KILLS", "0"))
SEED = int(os.environ.get("CHOREO_SEED", "20261"))
MODULE = "tests.monitor.errand"
SECONDS = 60.0
FRESH = 1.0
"""Seconds for which a worker may go on telling what it has read."""

pytestmark = pytest.mark.kafka

OF_STORE = {
    *(f"saga_{state}_total" for state in STATES),
    *("saga_stuck_count", "choreo_store_up", "choreo_outbox_rows"),
    *("choreo_dead_letters", "choreo_schedule_rows"),
}
INCIDENTS = ("choreo_retries_total", "choreo_void_total", "choreo_refused_total")
CALLS = ("choreo_calls_out", "choreo_calls_waiting")
Key = tuple[str, int]
"""A replica: the name of its participant, and its number."""


class Services:
    """The processes of both services; each replica has a port on which it is asked."""

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        places: dict[str, str],
        replicas: dict[str, int],
    ) -> None:
        self.places = places
        self.keys = [(name, number) for name in places for number in range(replicas[name])]
        self.stores = {name: PlainStore(place) for name, place in places.items()}
        self.running: dict[Key, subprocess.Popen[bytes]] = {}
        self.ports = {key: free_port() for key in self.keys}
        self._folder = folder
        self._bootstrap = bootstrap
        self._producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
        for key in self.keys:
            self.start(key)

    def start(self, key: Key) -> None:
        """Start a replica, with room for one call."""
        name, number = key
        command = [sys.executable, "-m", "tests.monitor.impatient", "run", f"{MODULE}:{name}"]
        command += [
            "--bootstrap",
            self._bootstrap,
            "--kafka",
            "session.timeout.ms=6000",
            "--store",
            self.places[name],
            "--calls",
            "1",
        ]
        command += ["--admin", str(self.ports[key])]
        command += ["--instance", f"{name}-{number}"] if is_address(self.places[name]) else []
        with (self._folder / f"{name}-{number}.log").open("ab") as log:
            self.running[key] = subprocess.Popen(
                [sys.executable, str(TETHER), str(os.getpid()), *command],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, "ERRANDS": str(self._folder)},
            )

    def kill(self, key: Key) -> None:
        """Kill a replica, as ``kill -9`` does."""
        process = self.running.pop(key)
        process.kill()
        process.wait()

    def close(self) -> None:
        """End all processes."""
        for key in list(self.running):
            self.kill(key)

    def send(self, saga_id: str, headers: Any) -> None:
        """Publish a record as any producer could."""
        self._producer.produce("errand", b"\xff", saga_id.encode(), headers=headers)
        assert self._producer.flush(30) == 0

    def file(self, name: str, *, is_there: bool) -> None:
        """Let calls wait (``slow``) or compensations fail (``broken``), or not."""
        path = self._folder / name
        path.touch() if is_there else path.unlink(missing_ok=True)

    def page(self, key: Key) -> Series:
        """Return what a replica tells now."""
        with urlopen(f"http://127.0.0.1:{self.ports[key]}/metrics", timeout=30) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        samples = [each for family in families for each in family.samples]
        told = {}
        for each in samples:
            if each.name.startswith(("saga_", "choreo_")):
                labels = {k: v for k, v in each.labels.items() if k not in ("participant", "saga_type")}
                told[each.name, *(value for _, value in sorted(labels.items()))] = each.value
        return told

    def until(self, holds: Callable[[], bool], why: Callable[[], object]) -> None:
        """Wait until something holds; fail where a process has ended meanwhile."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            assert all(each.poll() is None for each in self.running.values()), self.logs()
            assert time.monotonic() < deadline, f"{why()}\n{self.logs()}"
            time.sleep(0.05)

    def logs(self) -> str:
        """Return the ends of the services' logs."""
        return "\n".join(f"{each.name}\n{each.read_text()[-1500:]}" for each in self._folder.glob("*.log"))


class Watcher(threading.Thread):
    """Asks all replicas again and again, and looks that no counter is wrong; ``wrong`` says where one was.

    Each count lies between what the store said as long before as what is told may be old, and what it says
    afterwards, and is never less than what the same replica, or the one before it, has told.
    """

    def __init__(self, services: Services) -> None:
        super().__init__(daemon=True)
        self.wrong: list[str] = []
        self.asked: Counter[Key] = Counter()
        self._services = services
        self._store = services.stores["desk"]
        self._said: list[tuple[float, dict[str, int]]] = [(0.0, dict.fromkeys(STATES, 0))]
        self._told: dict[Key, dict[str, float]] = {}
        self._stopping = threading.Event()

    def run(self) -> None:
        """Ask until `end`."""
        while not self._stopping.wait(0.05):  # so that it takes no time from the others
            for key in [each for each in [*self._services.running] if each[0] == "desk"]:
                try:
                    self.look(key)
                except (OSError, HTTPException):  # it starts, or was killed
                    continue
                except Exception as error:
                    self.wrong.append(repr(error))

    def look(self, key: Key) -> None:
        """Ask a replica, and its store before and after."""
        self._say()
        began = time.monotonic()
        page = self._services.page(key)
        least = next(counts for at, counts in reversed(self._said) if at < began - FRESH)
        most = self._say()
        told = {each: page[f"saga_{each}_total",] for each in STATES if (f"saga_{each}_total",) in page}
        before = self._told.get(key, {})
        for state, count in told.items():
            if not max(least[state], before.get(state, 0)) <= count <= most[state]:
                self.wrong.append(f"{key} {state}: {count}, not {least}, {before} to {most}")
        durations = sum(value for series, value in page.items() if series[0] == "saga_duration_seconds_count")
        if durations > most["completed"] + most["failed"]:
            self.wrong.append(f"{key}: {durations} durations of {most}")
        self._told[key] = told or before
        self.asked[key] += len(told)

    def end(self) -> None:
        """Ask no more."""
        self._stopping.set()
        self.join(SECONDS)

    def _say(self) -> dict[str, int]:
        counts = self._store.counts()
        self._said.append((time.monotonic(), counts))
        return counts


@contextmanager
def on_sqlite(
    request: pytest.FixtureRequest, folder: Path
) -> Iterator[tuple[dict[str, str], dict[str, int]]]:
    """Yield the places of the stores, and how many replicas have each."""
    places = {name: str(folder / f"{name}.db") for name in ("desk", "shop")}
    for each in places.values():
        open_store(each).close()
    yield places, {"desk": 1, "shop": 1}


@contextmanager
def on_postgresql(
    request: pytest.FixtureRequest, folder: Path, replicas: int = 1
) -> Iterator[tuple[dict[str, str], dict[str, int]]]:
    """Yield two databases, each with one replica, or several."""
    server = request.getfixturevalue("postgresql")
    with new_database(server) as of_desk, new_database(server) as of_shop:
        places = {"desk": of_desk, "shop": of_shop}
        for each in places.values():
            migrate(each)
        yield places, {"desk": replicas, "shop": 2 if KILLS and replicas > 1 else 1}


PLACES: dict[str, Any] = {
    "sqlite": on_sqlite,
    "postgresql": on_postgresql,
    "replicas": lambda request, folder: on_postgresql(request, folder, 3),
}


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.skipif(not KILLS, reason="CHOREO_KILLS is not set")),
        "replicas",
    ]
)
def services(request: pytest.FixtureRequest, kafka_broker: Broker, tmp_path: Path) -> Iterator[Services]:
    """Start both services."""
    bootstrap = kafka_broker.bootstrap
    create = [*CHOREO, "topics", "create", f"{MODULE}:desk", "--bootstrap", bootstrap]
    subprocess.run([*create, "--partitions", "6"], cwd=ROOT, check=True, capture_output=True)
    with PLACES[request.param](request, tmp_path) as (places, replicas), ExitStack() as stack:
        started = Services(tmp_path, bootstrap, places, replicas)
        stack.callback(started.close)
        stack.enter_context(connect(desk, store=places["desk"]))
        yield started


class Weather:
    """What happens to the services, by chance: sagas of all kinds, forgeries, operators."""

    def __init__(self, services: Services, chance: random.Random, stack: ExitStack) -> None:
        self._services = services
        self._chance = chance
        self._asked: list[str] = []
        self._stores = {name: open_store(place) for name, place in services.places.items()}
        for each in self._stores.values():
            stack.callback(each.close)

    def ask(self, *kinds: str) -> None:
        """Start sagas."""
        with desk.transaction() as tx:
            for what in kinds:
                saga_id = f"e{len(self._asked)}"
                self._asked.append(tx.start(Asked(what), saga_id=saga_id))

    def ask_any(self) -> None:
        """Start sagas of any kind."""
        self.ask(*self._chance.choices(["something", "poor", "late"], k=self._chance.randint(1, 4)))

    def keeps_calls_waiting(self, store: PlainStore) -> bool:
        """Whether calls wait for room; where none is under way any more, ask for some."""
        if store.is_at_rest():
            self.ask("something", "poor", "late", "something", "something", "something")
        return store.has_calls()

    def forge(self) -> None:
        """Publish another outcome of a step, which is void where it has one, else of nobody's making."""
        saga_id = self._any()
        headers = event_headers(saga_id, "errand", "shop.fetch", "errand.NotFetched", "failed")
        self._services.send(saga_id, headers)

    def poison(self) -> None:
        """Publish what nobody can read."""
        self._services.send(self._any(), [])

    def breaks(self) -> None:
        """Let compensations fail from now on, or no more."""
        self._services.file("broken", is_there=self._chance.random() < 0.5)

    def settle(self) -> None:
        """Settle each dead letter, in some way."""
        for store in self._stores.values():
            for letter in store.dead_letters():
                if letter.state == "open":
                    how = self._chance.choice(["requeued", "discarded"])
                    settle(store, letter, how, "by chance", round(time.time() * 1000))  # type: ignore[arg-type]

    def prune(self) -> None:
        """Remove the rows of sagas, where they are at rest."""
        for store in self._stores.values():
            for saga_id in self._chance.sample(self._asked, k=min(len(self._asked), 8)):
                with suppress(StoreError), store.turn():
                    store.saga_log.prune(SagaKey(saga_id, "errand"), round(time.time() * 1000))

    def change(self) -> None:
        """Do one of these things."""
        asks = (self.ask_any, self.ask_any)
        self._chance.choice([*asks, self.forge, self.poison, self.breaks, self.settle, self.prune])()

    def clear(self) -> None:
        """Let everything go on."""
        for each in ("broken", "slow"):
            self._services.file(each, is_there=False)

    def _any(self) -> str:
        return self._chance.choice(self._asked)


def test_what_is_told_is_what_the_stores_say(services: Services) -> None:
    """While workers are killed and start again, and once all is done; by each replica."""
    chance, watched = random.Random(SEED), [key for key in services.keys if key[0] == "desk"]
    with ExitStack() as stack:
        weather = Weather(services, chance, stack)
        watcher = Watcher(services)
        watcher.start()
        stack.callback(watcher.end)
        weather.ask("something", "poor", "late", "late")
        agree(services, PlainStore.is_at_rest, INCIDENTS)
        weather.forge()
        weather.poison()
        agree(services, PlainStore.is_at_rest, INCIDENTS)
        services.file("slow", is_there=True)
        agree(services, weather.keeps_calls_waiting, CALLS, "shop")
        services.file("slow", is_there=False)
        for _ in range(KILLS or 1):
            key = chance.choice(services.keys)
            for _ in range(chance.randint(2, 6)):
                weather.change()
                time.sleep(chance.uniform(0, 0.2))  # the random moment
            services.kill(key)
            weather.change()
            services.start(key)
            asked = watcher.asked.copy()
            services.until(lambda: all(watcher.asked[each] > asked[each] for each in watched), services.logs)  # noqa: B023
        weather.clear()
        agree(services, PlainStore.is_at_rest)
        watcher.end()
        assert not watcher.wrong
        counts = services.stores["desk"].counts()
        print(f"\n{KILLS or 1} kills, seed {SEED}, {sum(watcher.asked.values())} values, {counts}")


def agree(
    services: Services,
    awaited: Callable[[PlainStore], bool],
    summed: Sequence[str] = (),
    *names: str,
) -> None:
    """Wait until each replica tells what its store says, at a moment that is ``awaited``.

    Metrics that are each process's own are summed.
    """
    for name in names or services.stores:
        keys = [key for key in services.keys if key[0] == name]
        _Agreement(services, services.stores[name], keys, awaited, summed).wait()


class _Agreement:
    """What is told of a store, and what it says."""

    def __init__(
        self,
        services: Services,
        store: PlainStore,
        keys: Sequence[Key],
        awaited: Callable[[PlainStore], bool],
        summed: Sequence[str],
    ) -> None:
        self._services = services
        self._store = store
        self._keys = keys
        self._awaited = awaited
        self._summed = summed
        self._said: Series = {}
        self._told: list[Series] = []

    def wait(self) -> None:
        self._services.until(self._is_reached, lambda: (self._said, self._told))

    def _is_reached(self) -> bool:
        if not self._awaited(self._store):
            return False
        self._said = self._says()
        try:
            pages = [self._services.page(key) for key in self._keys]
        except (OSError, HTTPException):  # it starts
            return False
        self._told = [self._of_all(page, pages) for page in pages]
        return self._said == self._says() and all(each == self._said for each in self._told)

    def _says(self) -> Series:
        """Return what each replica is to tell."""
        found = self._store.gauges()
        if self._keys[0][0] == "desk":
            found |= self._store.of_sagas()
        own = {**self._store.incidents(), **self._store.calls()}
        return found | {series: value for series, value in own.items() if series[0] in self._summed}

    def _of_all(self, page: Series, pages: Sequence[Series]) -> Series:
        """Return what a replica tells, and what all of them tell together, without zeros."""
        found = {series: value for series, value in page.items() if series[0] in OF_STORE and value}
        for each in pages:
            for series, value in each.items():
                if value and (series[0] in self._summed or series[0] == "choreo_partitions_catching_up"):
                    found[series] = found.get(series, 0) + value
        return found
