"""Sagas of several versions in flight: each is run by the handlers of its own version, and of no other."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from choreo import Aborted, Participant, Retry, Saga
from choreo.avro import AvroCodec
from choreo.client.connection import StoreConnection
from choreo.records import Entry
from choreo.replay.rebuild import rebuild
from choreo.replay.stored_saga import stored_sagas
from choreo.testing.broker import MemoryBroker
from tests.replay.memory_topics import MemoryTopics
from tests.stores import open_store
from tests.worker.rig import ManualClock, Rig
from tests.worker.versioned import (
    DONE,
    EVENTS,
    FAILED,
    NEVER_FAILS,
    NEWEST,
    PLACES,
    Closed,
    Completed,
    Ordered,
    Plan,
    plans,
    release,
)

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
            for name in NAMES:
                check_rebuilt(service, name, Path(folder) / f"{name}-again.db")
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


def check_rebuilt(service: Service, name: str, path: Path) -> None:
    """Rebuild a lost store from the topic: each saga is where it was, and nothing of it is to be done."""
    rig, participant = service.rigs[name], service.participant(name)
    with closing(open_store(path)) as store:
        found = rebuild(participant, store, MemoryTopics(rig.broker, participant), 0)
        assert found.left == []
        for saga_id in service.started:
            assert not store.scheduled(saga_id, "orders")
            assert store.history(saga_id)[-1].saga_state == rig.store.history(saga_id)[-1].saga_state
            assert own_moves(store.history(saga_id), name) == own_moves(rig.store.history(saga_id), name)


def own_moves(entries: Sequence[Entry], name: str) -> dict[str, str]:
    """Return the last state of each step of a participant."""
    own = [each for each in entries if each.step.startswith(f"{name}.") and each.input != "event"]
    return {each.step: each.new_state for each in own if each.old_state != each.new_state}


def shop(version: int, called: list[str]) -> Participant:
    """Return a service that checks an order in its second version, and pays it at once in its first."""
    saga = Saga("orders", starts=Ordered, completes=Completed, fails=Closed, version=version)
    made = Participant("shop", sagas=[saga], retry=Retry(delay=timedelta(seconds=1)))

    @made.compensation(of=saga.start)
    def close(event: Aborted, ordered: Ordered) -> Closed:  # type: ignore[valid-type]
        return Closed(ordered.order, 0)  # type: ignore[attr-defined]

    def pay(event: Ordered) -> Completed:  # type: ignore[valid-type]
        called.append("pay")
        return Completed(event.order, 0)  # type: ignore[attr-defined]

    made.action(kind="pivot", fails=FAILED[0], **({"until": 1} if version > 1 else {}))(pay)
    if version > 1:

        @made.action(kind="pivot", fails=FAILED[1], since=2)
        def check(event: Ordered) -> DONE[0]:  # type: ignore[valid-type]
            called.append("check")
            if len(called) == 1:
                raise ConnectionError("busy")
            return DONE[0](event.order, 0)  # type: ignore[attr-defined]

    return made


def test_a_retry_of_an_unknown_version_waits_until_it_is_known_again(tmp_path: Path) -> None:
    """A release that is rolled back neither runs what the later one scheduled nor loses it."""
    called: list[str] = []
    rig = Rig(shop(2, called), tmp_path)
    rig.codec = CODEC
    rig.open()
    with rig.participant.transaction() as tx:
        tx.start(Ordered("o", 0), saga_id="s1")
    rig.settle()
    rig.close()
    rig.participant = shop(1, called)
    rig.open()
    rig.clock.advance(60)
    rig.settle()
    assert called == ["check"]
    assert {(each.task, each.reason) for each in rig.letters()} == {("action", "unknown-version")}
    rig.close()
    rig.participant = shop(2, called)
    rig.open()
    assert called == ["check", "check"]
    assert [each.state for each in rig.letters()] == ["requeued"]
    rig.close()
