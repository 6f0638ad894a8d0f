"""The three participants of the fault matrix; the doer is the one that faults strike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from sqlite_utils import Database

from choreo import Aborted, Context, Participant, Permanent, Retry, Saga
from tests.programs.faults.contract import (
    Checked,
    CheckFailed,
    CheckTimedOut,
    CheckUndone,
    JobAsked,
    JobDone,
    JobFailed,
    Worked,
    WorkFailed,
    WorkUndone,
)

NAMES = ("asker", "doer", "checker")

Runs = Literal["turn", "coroutine", "thread"]
"""How the doer's handlers run: inside the turn, or as calls outside of it."""


class Plan(NamedTuple):
    """What the participants of a cell are told: their topic, the deadline, and how the doer runs.

    ``without`` names what the doer's store lacks, to see that this is found; ``replicas`` is the number of
    processes that each participant has.
    """

    topic: str
    within: float
    runs: Runs = "turn"
    attempts: int = 5
    without: str = ""
    replicas: int = 1


Effect = Callable[[Context, str], None]
"""Writes down, once or twice, that a handler of the doer took effect."""

_SOON = timedelta(milliseconds=50)
_NEVER = Retry(attempts=1_000, delay=timedelta(hours=1), longest=timedelta(hours=1))


def saga_of(plan: Plan) -> Saga:
    """Return the cell's saga, on its own topic."""
    return Saga("job", starts=JobAsked, completes=JobDone, fails=JobFailed, topic=plan.topic)


def participant(name: str, plan: Plan, effect: Effect) -> Participant:
    """Make one participant."""
    saga = saga_of(plan)
    if name == "asker":
        return _asker(saga)
    return _doer(saga, plan, effect) if name == "doer" else _checker(saga)


def row(ctx: Context, what: str) -> None:
    """Write an effect's row; nothing keeps it from being written twice but choreo."""
    ctx.db.execute("insert into effects values (?, ?)", [ctx.saga_id, what])


def prepare(db: Database) -> None:
    """Make the table of effects."""
    db.execute("create table if not exists effects (saga_id text, what text)")


def _asker(saga: Saga) -> Participant:
    asker = Participant("asker", sagas=[saga], prepare=prepare)

    @asker.compensation(of=saga.start)
    def give_up(event: WorkFailed | WorkUndone, asked: JobAsked, ctx: Context) -> JobFailed:
        row(ctx, "given up")
        return JobFailed(asked.name, type(event).__name__)

    @asker.action(kind="retriable")
    def finish(event: Checked, ctx: Context) -> JobDone:
        row(ctx, "finished")
        return JobDone(event.name)

    return asker


def _checker(saga: Saga) -> Participant:
    checker = Participant("checker", sagas=[saga], prepare=prepare)

    @checker.action(fails=CheckFailed, retry=_NEVER, timeout=None)
    def check(event: Worked, ctx: Context) -> Checked:
        if event.check == "never ends":
            raise TimeoutError
        if event.check == "fails":
            raise Permanent("not good enough")
        row(ctx, "checked")
        return Checked(event.name)

    @checker.compensation(of=check)
    def uncheck(event: Aborted, checked: Checked, ctx: Context) -> CheckUndone:
        row(ctx, "unchecked")
        return CheckUndone(checked.name)

    return checker


def _doer(saga: Saga, plan: Plan, effect: Effect) -> Participant:
    retry = Retry(attempts=plan.attempts, delay=_SOON)
    doer = Participant("doer", sagas=[saga], prepare=prepare, retry=retry)

    def work(event: JobAsked, ctx: Context) -> Worked:
        effect(ctx, "worked")
        return Worked(event.name, event.check)

    def unwork(event: CheckFailed | CheckUndone | Aborted, worked: Worked | None, ctx: Context) -> WorkUndone:
        effect(ctx, "unworked")
        return WorkUndone(worked.name if worked else ctx.saga_id)

    @doer.deadline(of="checker.check", after=Worked, within=timedelta(seconds=plan.within))
    def late(event: Worked, ctx: Context) -> CheckTimedOut:
        effect(ctx, "late")
        return CheckTimedOut(event.name)

    options: dict[str, Any] = {"blocking": True} if plan.runs == "thread" else {}
    does, undoes = (_awaited(work), _awaited(unwork)) if plan.runs == "coroutine" else (work, unwork)
    doer.action(fails=WorkFailed, timeout=None, **options)(does)
    doer.compensation(of=does, **options)(undoes)
    return doer


def _awaited(function: Any) -> Any:
    """Return a handler as a coroutine of the same signature."""
    if function.__name__ == "work":

        async def work(event: JobAsked, ctx: Context) -> Worked:
            return function(event, ctx)

        return work

    async def unwork(
        event: CheckFailed | CheckUndone | Aborted, worked: Worked | None, ctx: Context
    ) -> WorkUndone:
        return function(event, worked, ctx)

    return unwork
