"""Exactly what sessions have committed is published, each once, in order per saga: whatever they do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import count
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import SerializationFailure

from choreo import Participant
from choreo.audit.verification import Verification, all_sagas
from choreo.client.connection import connect
from tests.client.places import Place
from tests.client.sessions import Opened, Script, Undone
from tests.worker.conftest import Rigs
from tests.worker.services import agency
from tests.worker.trip import TripCancelled, TripRequested

EXAMPLES = 300 if os.environ.get("CHOREO_FUZZ") else 8


class Do(NamedTuple):
    """Starts or cancels a saga, and writes that down, if it is not yet, in the service's own table."""

    what: str
    saga: int


class Savepoint(NamedTuple):
    """Steps in a savepoint, which is rolled back or not."""

    steps: Sequence[Any]
    is_undone: bool


class Caught(NamedTuple):
    """Steps in one block of choreo's, which an exception leaves that the service catches."""

    steps: Sequence[Any]


class Transaction(NamedTuple):
    """One transaction of a session, of one of the ways, which is rolled back or not."""

    way: int
    steps: Sequence[Any]
    is_undone: bool


do = st.builds(Do, st.sampled_from(["start", "start", "cancel"]), st.integers(0, 2))
steps = st.recursive(
    st.lists(do, min_size=1, max_size=3),
    lambda inner: st.lists(
        do | st.builds(Savepoint, inner, st.booleans()) | st.builds(Caught, inner), max_size=3
    ),
    max_leaves=6,
)
transactions = st.builds(Transaction, st.integers(0, 8), steps, st.booleans())
threads = st.lists(st.lists(transactions, min_size=1, max_size=3), min_size=1, max_size=4)


class Service:
    """A service that does as a script says, with sagas whose ids are its own in each example."""

    def __init__(self, shop: Participant, place: Place, name: str) -> None:
        self._shop = shop
        self._place = place
        self._ways = list(place.ways.values())
        self._name = name

    def do(self, opened: Opened, step: Any) -> None:
        if isinstance(step, Savepoint):
            with suppress(Undone), opened.savepoint():
                self.do_all(opened, step.steps)
                if step.is_undone:
                    raise Undone
        elif isinstance(step, Caught):
            with suppress(Undone), self._shop.transaction(within=opened.within):
                self.do_all(opened, step.steps)
                raise Undone
        else:
            saga_id = f"{self._name}-{step.saga}"
            opened.execute(self._place.wish, saga_id, step.what)
            with self._shop.transaction(within=opened.within) as tx:
                if step.what == "start":
                    tx.start(TripRequested("t"), saga_id)
                else:
                    tx.cancel(saga_id, TripCancelled("t"))

    def do_all(self, opened: Opened, steps: Sequence[Any]) -> None:
        for step in steps:
            self.do(opened, step)

    def run(self, transactions: Sequence[Transaction]) -> None:
        for each in transactions:

            def script(opened: Opened, each: Transaction = each) -> None:
                self.do_all(opened, each.steps)
                if each.is_undone:
                    raise Undone

            while not self._is_done(each, script):
                pass

    def _is_done(self, transaction: Transaction, script: Script) -> bool:
        """Run it, as far as it meets no other one that is serializable as well."""
        try:
            with suppress(Undone):
                self._ways[transaction.way](self._place.address, script)
            return True
        except Exception as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, SerializationFailure):
                cause = cause.__cause__
            if cause is None:
                raise
            return False


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_exactly_what_is_committed_is_published(
    rig: Rigs, request: pytest.FixtureRequest, database: str
) -> None:
    """Each once, and in the order of the service's own rows, as far as these have one."""
    rigged, numbers = rig(agency(), opened=False), count()
    if database == "PostgreSQL":
        rigged.path = request.getfixturevalue("empty_store")
    rigged.open()
    shop, place = agency(), Place(rigged.path)
    place.execute(place.wishes_table)
    with connect(shop, rigged.path):

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        )
        @given(threads)
        def check(scripts: list[list[Transaction]]) -> None:
            name = f"x{next(numbers)}"
            service = Service(shop, place, name)
            with ThreadPoolExecutor(len(scripts)) as pool:
                running = [pool.submit(service.run, each) for each in scripts]
                while not place.is_file and wait(running, 0.01).not_done:
                    rigged.settle()
                for done in running:
                    done.result(60)
            rigged.settle()
            # Where writers don't wait for each other, the rows of several have no order.
            in_order = list if place.is_file or len(scripts) == 1 else sorted
            for saga in (f"{name}-{number}" for number in range(3)):
                rows = place.execute(f"select what from wishes where saga = '{saga}' order by id")
                published = [
                    "start" if isinstance(each, TripRequested) else "cancel"
                    for each in rigged.published(saga)
                ]
                assert in_order(published) == in_order(dict.fromkeys(rows))

        check()
    assert rigged.store.unpublished(0, 1) == []
    chains = Verification(rigged.store.saga_log)
    assert [found for saga in all_sagas(rigged.store.saga_log) if (found := chains.check(saga))] == []
