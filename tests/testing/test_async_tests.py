"""The kit inside of a running event loop, as in an async test, whichever plugin runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest

from choreo import Aborted, Context, Participant, Saga, event
from choreo.errors import ConfigurationError
from choreo.testing import Budget, Harness, check, explore, failure_matrix, saga_machine


@event(namespace="well")
class Asked:
    bucket: str


@event(namespace="well")
class Drawn:
    bucket: str


@event(namespace="well")
class Dry:
    bucket: str
    reason: str


@event(namespace="well")
class Poured:
    bucket: str


@event(namespace="well")
class Full:
    bucket: str


@event(namespace="well")
class Empty:
    bucket: str


fetch = Saga("fetch", starts=Asked, completes=Full, fails=Empty)
well = Participant("well", sagas=[fetch])
house = Participant("house", sagas=[fetch])


@well.action(fails=Dry)
async def draw(event: Asked, ctx: Context) -> Drawn:
    async with asyncio.timeout(3600), asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        group.create_task(asyncio.to_thread(len, event.bucket))
    return Drawn(event.bucket)


@well.compensation(of=draw)
async def pour(event: Aborted, drawn: Drawn | None, ctx: Context) -> Poured:
    await asyncio.sleep(1)
    return Poured(ctx.saga_id)


@house.compensation(of=fetch.start)
def give_up(event: Dry | Poured, asked: Asked, ctx: Context) -> Empty:
    return Empty(asked.bucket)


@house.action(kind="retriable")
def fill(event: Drawn, ctx: Context) -> Full:
    return Full(event.bucket)


def ask(bucket: str = "b") -> str:
    with house.transaction() as tx:
        return tx.start(Asked(bucket), saga_id=bucket)


def runs_whole() -> None:
    with Harness([well, house]) as harness:
        ask()
        harness.run()
        check(harness)
        assert harness.state("b") == "completed"


def waits() -> None:
    with Harness([well, house]):
        status = house.wait(ask(), timeout=timedelta(hours=1))
        assert status is not None
        assert status.state == "completed"


def crashes_in_a_call() -> None:
    with Harness([well, house]) as harness:
        ask()
        while not harness.processes["well"].calls.has_any:
            harness.step()
        harness.crash(well)
        harness.run()
        check(harness)


def closes_in_a_call() -> None:
    with Harness([well, house]) as harness:
        ask()
        while not harness.processes["well"].calls.has_any:
            harness.step()


def explores() -> None:
    found = explore(well, house, begin=ask, budget=Budget(failures=1))
    assert set(found.ends) == {"completed", "failed"}


def runs_a_case() -> None:
    matrix: Any = failure_matrix(well, house)(lambda: ask())
    (cell,) = [each for each in matrix.pytestmark[0].args[1] if each.name == "draw-transient"]
    matrix(choreo_cell=cell)


USES = (runs_whole, waits, crashes_in_a_call, closes_in_a_call, explores, runs_a_case)


async def directly(use: Callable[[], None]) -> None:
    use()


async def in_a_task(use: Callable[[], None]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(directly(use))


async def in_a_callback(use: Callable[[], None]) -> None:
    done = asyncio.get_running_loop().create_future()

    def called() -> None:
        try:
            use()
            done.set_result(None)
        except Exception as error:
            done.set_exception(error)

    asyncio.get_running_loop().call_soon(called)
    await done


async def in_a_thread(use: Callable[[], None]) -> None:
    await asyncio.to_thread(use)


WAYS = (directly, in_a_task, in_a_callback, in_a_thread)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_running_loop_is_no_obstacle(
    way: Callable[[Callable[[], None]], Coroutine[Any, Any, None]], use: Callable[[], None]
) -> None:
    """And it runs on afterwards: its own task, timers and callbacks are what they were."""

    async def test() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        beside = asyncio.create_task(asyncio.sleep(0, "beside"))
        await way(use)
        assert (asyncio.get_running_loop(), asyncio.current_task()) == (loop, task)
        assert await beside == "beside"
        async with asyncio.timeout(10):
            await asyncio.sleep(0.001)

    asyncio.run(test(), debug=True)


async def ask_later() -> str:
    await asyncio.sleep(0)
    return ask()


async def ask_in_parts() -> Any:
    yield ask()


def ask_by_turns() -> Any:
    yield ask()


async def later(databases: Any) -> bool:
    return False


def run_calm(decorate: Any, begin: Any) -> None:
    """Decorate a function, and run its case without a fault."""
    matrix = decorate(begin)
    matrix(choreo_cell=matrix.pytestmark[0].args[1][0])


STILL_TO_RUN = (ask_later, ask_in_parts, ask_by_turns, lambda: ask_later())


@pytest.mark.parametrize("begin", STILL_TO_RUN)
def test_what_would_never_run_is_refused(begin: Any) -> None:
    """A function to be awaited or iterated starts no saga when it is called."""
    with pytest.raises(ConfigurationError, match=r"async def|generator|awaited"):
        run_calm(failure_matrix(well, house), begin)
    with pytest.raises(ConfigurationError, match="awaited"):
        explore(well, house, begin=begin)


def test_an_invariant_that_would_never_run_is_refused() -> None:
    """It would hold for ever: a coroutine is not False."""
    with pytest.raises(ConfigurationError, match="later, is an async def"):
        failure_matrix(well, house, invariant=later)
    with pytest.raises(ConfigurationError, match="awaited"):
        run_calm(failure_matrix(well, house, invariant=lambda databases: later(databases)), ask)
    with pytest.raises(ConfigurationError, match="awaited"):
        explore(well, house, begin=ask, invariant=later)
    machine = saga_machine(well, house, invariant=later)()
    with pytest.raises(ConfigurationError, match="awaited"):
        machine.teardown()
