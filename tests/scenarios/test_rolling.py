"""Five processes on a real Kafka are upgraded through three releases under load, one participant at a time.

Each is ended by signal 9, wherever it stands, and started as its next release; one release is rolled back in
between. `make kills` does so at length: every participant of every release, and others killed in between.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import choreo
from choreo.graph import choreography_of, lock_of
from choreo.manifest import manifest_of
from choreo.project.lock import save_lock
from choreo.records import DeadLetter
from examples.orders.contract import OrderCreated
from examples.scenarios.orders import balance
from tests import stores
from tests.broker.kafka import Broker
from tests.scenarios.processes import Processes
from tests.scenarios.rolling import RELEASES, Shop, place, shop

KILLS = int(os.environ.get("CHOREO_KILLS", "0"))
SEED = int(os.environ.get("CHOREO_SEED", "20261"))

pytestmark = pytest.mark.kafka

IN_ORDER = ("notifications", "shipping", "inventory", "payments", "orders")
"""Who starts sagas comes last: what it starts is of its own version."""

CHANGED = (
    (2, ("payments", "orders")),
    (1, ("payments",)),
    (2, ("payments",)),
    (3, ("notifications",)),
    (4, IN_ORDER),
)
EVERYBODY = tuple((release, IN_ORDER) for release in (2, 1, 2, 3, 4))


class Placed(NamedTuple):
    """An order: how it must end, and of which release each participant was when it was placed."""

    end: str
    released: dict[str, int]


class Rollout(Processes):
    """The five processes, each of a release of its own, and the web process that places orders."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.released = dict.fromkeys(Shop._fields, 1)
        self.web = shop(1)
        self.placed: dict[str, Placed] = {}
        self._home = folder
        self._begins: dict[str, int] = {}
        for release in RELEASES:
            lock = lock_of(choreography_of(manifest_of(each, {}) for each in shop(release)))
            save_lock(self._lock(release), lock)
        super().__init__(bootstrap, folder, "tests.scenarios.rolling", self.web)

    def environment(self, name: str) -> dict[str, str]:
        """Return what says which release a process is of."""
        release = self.released[name]
        return {**super().environment(name), "RELEASE": str(release), "CHOREO_LOCK": str(self._lock(release))}

    def release(self, name: str, release: int) -> None:
        """Replace a participant's process, which works by now, by one of another release.

        One that is killed while it joins its group keeps the next one out for the time of a session.
        """
        self.until(lambda: self._lives(name), 60)
        self.kill(name)
        self.released[name] = release
        self.start(name)
        if name == "orders":
            self.web = shop(release)
            choreo.connect(self.web.orders, stores.place(self.store_path("orders")))

    def start(self, name: str) -> None:
        """Start a participant's process."""
        log = self._log(name)
        self._begins[name] = log.stat().st_size if log.exists() else 0
        super().start(name)

    def place(self, prefix: str) -> None:
        """Place an order of each kind: one that is fulfilled, one that fails at each step that can."""
        goes_through = ("good", "slow") if self.released["orders"] == 4 else ("good", "slow", "no-goods")
        for kind, changes in KINDS.items():
            order = OrderCreated(**{**ORDER, **changes, "order_id": f"{prefix}-{kind}"})  # type: ignore[arg-type]
            end = "completed" if kind in goes_through else "failed"
            self.placed[place(self.web, order)] = Placed(end, dict(self.released))

    def fulfilled(self, name: str, release: int) -> set[str]:
        """Return the fulfilled orders that were placed when a participant was of a release or a later one."""
        return {
            order_id
            for order_id, (end, released) in self.placed.items()
            if end == "completed" and released[name] >= release
        }

    def listed(self, name: str, query: str) -> set[str]:
        """Return what a participant's database lists."""
        return {value for (value,) in self.stores[name].db.execute(query).fetchall()}

    def _lives(self, name: str) -> bool:
        """Whether a participant's process has read what the topic held."""
        with self._log(name).open("rb") as log:
            log.seek(self._begins[name])
            return b" is live on " in log.read()

    def _log(self, name: str) -> Path:
        return self._home / f"{name}.log"

    def _lock(self, release: int) -> Path:
        return self._home / f"release-{release}.json"

    def _target(self, name: str) -> str:
        return f"{self._package}:{name}"


ORDER = {"customer": "ada", "sku": "apple", "quantity": 2, "total": 250, "address": "home"}
KINDS: dict[str, dict[str, object]] = {
    "good": {},
    "slow": {},
    "no-stock": {"sku": "pear", "quantity": 50},
    "no-money": {"customer": "bob"},
    "no-carrier": {"address": "nowhere"},
    "no-goods": {"address": "upstairs"},
}


@pytest.fixture
def rollout(kafka_broker: Broker, tmp_path: Path) -> Iterator[Rollout]:
    """Start five processes of the first release, on a broker of their own."""
    started = Rollout(kafka_broker.bootstrap, tmp_path)
    yield started
    started.close()


def test_three_releases_are_rolled_out_one_rolled_back_and_nothing_is_lost(rollout: Rollout) -> None:
    """Books balance, every saga ends, there is no dead letter; the orders of each version went its way."""
    chance = random.Random(SEED)
    rollout.place("before")
    for number, (release, names) in enumerate(EVERYBODY if KILLS else CHANGED):
        for name in names:
            rollout.place(f"{number}-{name}")
            rollout.release(name, release)
            if KILLS:
                victim = chance.choice(IN_ORDER)
                rollout.kill(victim)
                rollout.start(victim)
    rollout.place("after")
    rollout.until_quiet(list(rollout.placed), 240 if KILLS else 120)
    print(f"\n{len(rollout.placed)} sagas, seed {SEED}")
    assert_ended(rollout)


def assert_ended(rollout: Rollout) -> None:
    """Check each saga's end, every book, and what the steps did that not every release has."""
    ends = {saga_id: rollout.ends(saga_id) for saga_id in rollout.placed}
    assert ends == {saga_id: {placed.end} for saga_id, placed in rollout.placed.items()}
    letters = [letter for store in rollout.stores.values() for letter in store.dead_letters()]
    assert [letter for letter in letters if not is_of_rolled_back(letter)] == []
    databases = {name: store.db for name, store in rollout.stores.items()}
    assert [check for check in balance(databases) if not check.holds] == []
    receipts = rollout.listed("notifications", "select order_id from receipts")
    assert receipts >= rollout.fulfilled("notifications", 3)
    assert rollout.listed("inventory", "select order_id from picked") == rollout.fulfilled("orders", 4)
    seen = rollout.listed("orders", "select order_id from seen where event = 'ShipmentCreated'")
    assert seen >= rollout.fulfilled("orders", 3 if KILLS else 2)  # at length, 2 is rolled back


def is_of_rolled_back(letter: DeadLetter) -> bool:
    """Whether a letter keeps what waited, as its worker was killed, for an observer that was rolled back."""
    return (
        bool(KILLS)
        and letter.name == "orders.follow"
        and (letter.reason, letter.event_type) == ("not-taken", "shop.ShipmentCreated")
    )
