"""Sagas of several versions in flight: each is run by the handlers of its own version, and of no other."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from choreo import Participant
from choreo.avro import AvroCodec
from choreo.client.connection import StoreConnection
from choreo.replay.stored_saga import stored_sagas
from choreo.testing.broker import MemoryBroker
from tests.worker.rig import ManualClock, Rig
from tests.worker.versioned import EVENTS, NEVER_FAILS, NEWEST, PLACES, Ordered, Plan, plans, release

NAMES = ("front", "back")
CODEC = AvroCodec(EVENTS)
FUZZ = bool(os.environ.get("CHOREO_FUZZ"))

releases = st.integers(1, NEWEST)
operations = st.one_of(
    st.tuples(st.just("start"), releases, st.sampled_from([*PLACES, NEVER_FAILS])),
    st.tuples(st.just("turn"), st.sampled_from(NAMES), st.integers(1, 4)),
    st.tuples(st.just("release"), st.sampled_from(NAMES), releases),
    st.tuples(st.just("restart"), st.sampled_from(NAMES), st.none()),
)


class Service:
    """Both participants on one broker, each of a release of its own, with web processes of any release."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.called: Counter[tuple[str, str]] = Counter()
        self._made: dict[tuple[int, bool], dict[str, Participant]] = {}
        self.started: dict[str, tuple[int, int]] = {}
        clock = ManualClock()
        broker = MemoryBroker(1, clock)
        self.rigs = {name: Rig(self.declared(1)[name], folder) for name in NAMES}
        for rig in self.rigs.values():
            rig.clock, rig.broker, rig.codec = clock, broker, CODEC
            rig.begin()

    def _call(self, saga_id: str, name: str) -> None:
        self.called[saga_id, name] += 1

    def declared(self, version: int, *, is_web: bool = False) -> dict[str, Participant]:
        """Return the participants of a release; a web process has its own."""
        if (version, is_web) not in self._made:
            self._made[version, is_web] = release(self.plan, version, self._call)
        return self._made[version, is_web]

    def start(self, version: int, fails_at: int) -> None:
        """Start a saga from a web process of the release that knows versions up to this one."""
        web, front = self.declared(version, is_web=True)["front"], self.rigs["front"]
        web.connect(StoreConnection(web, lambda: front.store, front.codec, front.clock))
        with web.transaction() as tx:
            saga_id = f"s{len(self.started)}"
            tx.start(Ordered(saga_id, fails_at), saga_id=saga_id)
        self.started[saga_id] = version, fails_at

    def turn(self, name: str, turns: int) -> None:
        for _ in range(turns):
            self.rigs[name].worker.turn()

    def release(self, name: str, version: int) -> None:
        self.rigs[name].participant = self.declared(version)[name]
        self.restart(name, None)

    def restart(self, name: str, _: Any) -> None:
        self.rigs[name].close()
        self.rigs[name].begin()

    def finish(self) -> None:
        """Let both work, in their newest release, until nothing is left to do."""
        for name in NAMES:
            self.release(name, NEWEST)
        seen = -1
        while seen != len(self.rigs["front"].broker.records("orders")):
            seen = len(self.rigs["front"].broker.records("orders"))
            for rig in self.rigs.values():
                rig.settle()

    def close(self) -> None:
        for rig in self.rigs.values():
            rig.close()

    def participant(self, name: str) -> Participant:
        return self.rigs[name].participant


@settings(max_examples=400 if FUZZ else 8, derandomize=not FUZZ, deadline=None)
@given(plan=plans, done=st.lists(operations, max_size=14))
def test_each_saga_is_run_by_the_handlers_of_its_version(plan: Plan, done: list[Any]) -> None:
    """By all of them, each once: whatever is released, rolled back or restarted meanwhile."""
    with TemporaryDirectory() as folder:
        service = Service(plan, Path(folder))
        try:
            for version in range(1, NEWEST + 1):
                service.start(version, NEVER_FAILS)
            for what, *given_ in done:
                getattr(service, what)(*given_)
            service.finish()
            check(service)
        finally:
            service.close()


def check(service: Service) -> None:
    for saga_id, (version, fails_at) in service.started.items():
        ran = {name: count for (of, name), count in service.called.items() if of == saga_id}
        assert ran == dict.fromkeys(service.plan.expected(version, fails_at), 1), (version, fails_at)
        is_failed = "front.close" in ran
        for name, rig in service.rigs.items():
            assert rig.worker._processor.instances.get(rig.participant.roles()["orders"], saga_id).state == (
                "failed" if is_failed else "completed"
            )
            assert not rig.store.scheduled(saga_id, "orders")
            with rig.store.turn():
                for stored in stored_sagas(service.participant(name), rig.store, saga_id):
                    assert stored.differences() == []
    for rig in service.rigs.values():
        assert [letter for letter in rig.letters() if letter.state == "open"] == []
