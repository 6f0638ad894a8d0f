"""Sagas of several types with the same ids behave together exactly as each does alone."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo import Context, Participant, Permanent, Retry, Saga, event
from choreo.testing import Harness

TYPES = ("air", "bus", "car")
IDS = ("1", "2")
EXAMPLES = 200 if os.environ.get("CHOREO_FUZZ") else 12

Plan = dict[str, Any]
Fate = tuple[list[tuple[str, ...]], dict[str, str], list[tuple[str, ...]], list[tuple[str, ...]]]
"""The events of a saga, its states, the keys of its attempts, and its dead letters."""


class World:
    """Two participants with handlers for some saga types, which do what each saga's plan says."""

    def __init__(self, plans: dict[tuple[str, str], Plan]) -> None:
        self.plans = plans
        self.keys: dict[tuple[str, str], list[tuple[str, ...]]] = {}
        self.starts: dict[str, type] = {}
        self.cancels: dict[str, type] = {}
        contracts = {name: self._contract(name) for name in TYPES}
        sagas = [saga for saga, _ in contracts.values()]
        retry = Retry(attempts=3, delay=timedelta(seconds=25), factor=1)
        self.asker = Participant("asker", sagas=sagas, retry=retry)
        self.doer = Participant("doer", sagas=sagas, retry=retry)
        for saga, declare in contracts.values():
            declare(saga)

    def attempt(self, name: str, what: str, given: Any, ctx: Context) -> None:
        """Fail as planned: some times, or for good."""
        plan = self.plans[name, given.n]
        self.keys.setdefault((name, given.n), []).append((what, str(ctx.attempt), ctx.idempotency_key))
        if what == "act" and plan["permanent"]:
            raise Permanent("no")
        if ctx.attempt <= plan[what]:
            raise ConnectionError(what)

    def _contract(self, name: str) -> tuple[Saga, Callable[[Saga], None]]:
        @event(namespace=name)
        class Asked:
            n: str

        @event(namespace=name)
        class Stopped:
            n: str

        @event(namespace=name)
        class Acted:
            n: str

        @event(namespace=name)
        class NotActed:
            n: str
            reason: str = ""

        @event(namespace=name)
        class Undone:
            n: str

        @event(namespace=name)
        class Done:
            n: str

        @event(namespace=name)
        class NotDone:
            n: str
            reason: str = ""

        @event(namespace=name)
        class Failed:
            n: str
            reason: str = ""

        self.starts[name], self.cancels[name] = Asked, Stopped

        def declare(saga: Saga) -> None:
            def act(event: Asked, ctx: Context) -> Acted | NotActed:
                self.attempt(name, "act", event, ctx)
                return Acted(event.n)

            def undo(event: NotDone, acted: Acted, ctx: Context) -> Undone:
                self.attempt(name, "undo", event, ctx)
                return Undone(event.n)

            def finish(event: Acted, ctx: Context) -> Done | NotDone:
                return NotDone(event.n) if self.plans[name, event.n]["fails"] else Done(event.n)

            def late(event: Asked, ctx: Context) -> NotActed:
                return NotActed(event.n, "late")

            def fail(event: Undone | NotActed, asked: Asked, ctx: Context) -> Failed:
                self.attempt(name, "fail", event, ctx)
                return Failed(event.n)

            for each in (act, undo, finish, late, fail):
                each.__name__ = each.__qualname__ = f"{each.__name__}_{name}"
            self.doer.action(saga=saga, fails=NotActed)(act)
            self.doer.compensation(of=act)(undo)
            self.asker.action(saga=saga, kind="pivot", fails=NotDone)(finish)
            self.asker.deadline(saga=saga, of=f"doer.act_{name}", after=Asked, within=timedelta(seconds=40))(
                late
            )
            self.asker.compensation(of=saga.start)(fail)

        return Saga(name, starts=Asked, completes=Done, fails=Failed, aborts=Stopped), declare

    def fates(self, wanted: list[tuple[str, str]]) -> dict[tuple[str, str], Fate]:
        """Run these sagas together, and return what became of each."""
        self.keys.clear()
        with Harness([self.asker, self.doer]) as harness:
            for name, number in wanted:
                with self.asker.transaction() as tx:
                    tx.start(self.starts[name](number), saga_id=number)
            harness.advance(timedelta(seconds=30))
            for name, number in wanted:
                if self.plans[name, number]["cancelled"]:
                    with self.asker.transaction() as tx:
                        tx.cancel(number, self.cancels[name](number))
            harness.advance(timedelta(minutes=10))
            return {saga: self._fate(harness, *saga) for saga in wanted}

    def _fate(self, harness: Harness, name: str, number: str) -> Fate:
        events = [each for each in harness.events(number) if each.saga_type == name]
        letters = [each for each in harness.letters() if (each.saga_type, each.saga_id) == (name, number)]
        saga = next(each for each in self.asker.sagas if each.name == name)
        statuses = {each.name: each.status(number, saga) for each in (self.asker, self.doer)}
        return (
            [(each.step, each.outcome, each.type, each.id) for each in events],
            {who: f"{status.state} {status.waits_for}" if status else "" for who, status in statuses.items()},
            self.keys.get((name, number), []),
            [(each.task, each.name, each.reason) for each in letters],
        )


plans = st.fixed_dictionaries(
    {
        "act": st.sampled_from([0, 1, 2, 3]),
        "permanent": st.booleans(),
        "fails": st.booleans(),
        "undo": st.sampled_from([0, 1, 3]),
        "fail": st.sampled_from([0, 2, 3]),
        "cancelled": st.booleans(),
    }
)
SAGAS = [(name, number) for name in TYPES for number in IDS]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.tuples(*(plans for _ in SAGAS)))
def test_every_saga_behaves_as_it_does_alone(chosen: tuple[Plan, ...]) -> None:
    """Its events and their ids, its states, its keys for others' systems, and its dead letters."""
    world = World(dict(zip(SAGAS, chosen, strict=True)))
    alone = {saga: world.fates([saga])[saga] for saga in SAGAS}
    assert world.fates(SAGAS) == alone
    keys = [(saga, what, key) for saga in SAGAS for what, _, key in alone[saga][2]]
    assert len({key for *_, key in keys}) == len(set(keys)), "a key for two effects"


@pytest.mark.parametrize("first", TYPES)
def test_one_that_waits_for_ever_holds_up_no_other(first: str) -> None:
    """With a dead letter of its own; the others with its id are done."""
    quiet: Plan = {"act": 0, "permanent": False, "fails": False, "undo": 0, "fail": 0, "cancelled": False}
    stuck = {**quiet, "fails": True, "undo": 9}
    world = World({(name, "1"): stuck if name == first else quiet for name in TYPES})
    fates = world.fates([(name, "1") for name in TYPES])
    for (name, _), (events, states, _, letters) in fates.items():
        assert bool(letters) is (name == first)
        assert states["asker"].startswith("compensating" if name == first else "completed"), events
