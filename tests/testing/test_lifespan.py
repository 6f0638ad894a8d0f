"""What calls share, in the test kit: entered on its event loop, on virtual time, and left at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from choreo import Context, Participant, Saga, event
from choreo.errors import LifespanError
from choreo.testing import Harness


@event(namespace="clinic")
class Asked:
    patient: str


@event(namespace="clinic")
class Scanned:
    patient: str


@event(namespace="clinic")
class Lost:
    patient: str


scan_saga = Saga("scan", starts=Asked, completes=Scanned, fails=Lost)


class Clinic:
    """A participant that starts its sagas and calls a scanner; ``noted`` is what happened, in its order."""

    def __init__(self, blocking: bool) -> None:
        self.noted: list[str] = []
        self.clinic = Participant("clinic", sagas=[scan_saga])

        def noted(ctx: Context) -> Scanned:
            self.noted.append(f"scanned with {ctx.shared}")
            return Scanned(ctx.saga_id)

        async def scan(event: Asked, ctx: Context) -> Scanned:
            await asyncio.sleep(60)
            return noted(ctx)

        def scan_in_a_thread(event: Asked, ctx: Context) -> Scanned:
            return noted(ctx)

        action: Any = scan_in_a_thread if blocking else scan
        self.clinic.action(kind="retriable", blocking=blocking)(action)

        @self.clinic.compensation(of=scan_saga.start)
        def lose(ctx: Context) -> Lost:
            return Lost(ctx.saga_id)


@pytest.fixture(params=[False, True], ids=["coroutine", "thread"])
def clinic(request: pytest.FixtureRequest) -> Clinic:
    return Clinic(request.param)


def test_it_is_entered_and_left_with_time_passing_at_once(clinic: Clinic) -> None:
    @clinic.clinic.lifespan
    async def scanner() -> AsyncIterator[str]:
        await asyncio.sleep(3600)
        clinic.noted.append("opened")
        yield "the scanner"
        await asyncio.sleep(1)
        clinic.noted.append("closed")

    with Harness([clinic.clinic]) as harness:
        saga_id = harness.start(Asked("ada"))
        harness.run()
        assert harness.state(saga_id) == "completed"
    assert clinic.noted == ["opened", "scanned with the scanner", "closed"]


def test_a_process_that_crashes_enters_it_anew(clinic: Clinic) -> None:
    @clinic.clinic.lifespan
    async def scanner() -> AsyncIterator[str]:
        clinic.noted.append("opened")
        yield "the scanner"
        clinic.noted.append("closed")

    with Harness([clinic.clinic]) as harness:
        harness.crash(clinic.clinic)
        harness.start(Asked("ada"))
        harness.run()
    assert clinic.noted == ["opened", "opened", "scanned with the scanner", "closed"]


def test_its_own_tasks_let_a_simulation_come_to_rest(clinic: Clinic) -> None:
    async def poll() -> None:
        while True:
            await asyncio.sleep(1)

    @clinic.clinic.lifespan
    async def scanner() -> AsyncIterator[str]:
        task = asyncio.create_task(poll())
        yield "the scanner"
        task.cancel()

    with Harness([clinic.clinic]) as harness:
        saga_id = harness.start(Asked("ada"))
        harness.run()
        assert harness.state(saga_id) == "completed"
    assert clinic.noted == ["scanned with the scanner"]


async def _raises() -> AsyncIterator[str]:
    raise ConnectionError("no scanner")
    yield ""


async def _waits_for_ever() -> AsyncIterator[str]:
    await asyncio.Event().wait()
    yield ""


async def _opens_a_connection() -> AsyncIterator[str]:
    await asyncio.open_connection("127.0.0.1", 1)
    yield ""


@pytest.mark.parametrize(
    ("scanner", "why"),
    [
        (_raises, "failed at the start: ConnectionError: no scanner"),
        (_waits_for_ever, "does not yield in 1,000 steps"),
        (_opens_a_connection, "a simulation has no network"),
    ],
    ids=["raises", "waits", "connects"],
)
def test_one_that_never_begins_fails_the_test(clinic: Clinic, scanner: Any, why: str) -> None:
    clinic.clinic.lifespan(scanner)
    with pytest.raises(LifespanError, match=why) as raised:
        Harness([clinic.clinic])
    assert raised.value.hint


@pytest.mark.parametrize("how", ["raises", "hangs"])
def test_one_that_ends_badly_keeps_no_test_from_its_end(clinic: Clinic, how: str) -> None:
    @clinic.clinic.lifespan
    async def scanner() -> AsyncIterator[str]:
        yield "the scanner"
        if how == "raises":
            raise ConnectionError("gone")
        await asyncio.Event().wait()

    Harness([clinic.clinic]).close()
