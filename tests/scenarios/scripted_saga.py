"""A small saga whose handlers do whatever a test tells them to.

asker    JobAsked  ..........  give_up   JobFailed     (and `look`, an observer of the end)
doer     act       Acted       undo      Undone
checker  check     Checked     (the pivot, refused where the job says so), then finish, JobDone
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from choreo import Aborted, Context, Participant, Permanent, Retry, Saga, event
from choreo.worker import Options
from tests.broker.any_broker import AnyBroker
from tests.scenarios.shop import compensated
from tests.scenarios.stage import Change, Stage


@event(namespace="job")
class JobAsked:
    name: str
    refused: bool = False


@event(namespace="job")
class Acted:
    name: str
    refused: bool = False


@event(namespace="job")
class ActFailed:
    name: str
    reason: str


@event(namespace="job")
class Undone:
    name: str


@event(namespace="job")
class Checked:
    name: str


@event(namespace="job")
class CheckFailed:
    name: str
    reason: str


@event(namespace="job")
class JobDone:
    name: str


@event(namespace="job")
class JobFailed:
    name: str
    reason: str


class Gone(Exception):
    """What was to be undone isn't there any more."""


Act = Callable[[JobAsked, Context], Any]
Undo = Callable[[Acted, Context], Any]
Look = Callable[[Any, Context], Any]


def do(event: JobAsked, ctx: Context) -> Acted:
    """Do the work as it should be done: one row."""
    ctx.db.execute("insert into work values (?)", [event.name])
    return Acted(event.name, event.refused)


def take_back(acted: Acted, ctx: Context) -> Undone:
    """Undo the work as it should be undone."""
    ctx.db.execute("delete from work where name = ?", [acted.name])
    return Undone(acted.name)


def _nothing(event: Any, ctx: Context) -> None:
    """Look away."""


def _prepare(db: Database) -> None:
    db.execute("create table if not exists work (name text)")


AT_ONCE = Retry(attempts=3, delay=timedelta(0))


class Job(Stage):
    """The saga on a stage, with the handlers that a test gives it."""

    def __init__(
        self,
        any_broker: AnyBroker,
        folder: Path,
        topic: str,
        *,
        act: Act = do,
        undo: Undo = take_back,
        look: Look = _nothing,
        retry: Retry = AT_ONCE,
        options: Options | None = None,
        change: Change | None = None,
        schemas: tuple[Path, ...] = (),
    ) -> None:
        self.saga = Saga("job", starts=JobAsked, completes=JobDone, fails=JobFailed, topic=topic)
        self.asker = _asker(self.saga, look, retry)
        self.doer = _doer(self.saga, act, undo, retry)
        self.checker = _checker(self.saga)
        everyone = (self.asker, self.doer, self.checker)
        super().__init__(any_broker, folder, topic, everyone, options=options, change=change, schemas=schemas)

    def ask(self, name: str, refused: bool = False) -> str:
        """Start a job; its name is the saga's id."""
        with self.asker.transaction() as tx:
            return tx.start(JobAsked(name, refused), saga_id=name)

    def work(self) -> list[str]:
        """Return the names of the jobs that have been done."""
        rows = self.stores["doer"].db.execute("select name from work order by name")
        return [name for (name,) in rows]

    def run(self, name: str, refused: bool = False) -> set[str]:
        """Start a job and let it end; give the ends that participants know."""
        self.ask(name, refused)
        self.until_quiet([name])
        return self.ends(name)

    def undone(self, name: str) -> list[str]:
        """Return the steps whose compensation is confirmed."""
        return compensated(self.history("asker", name))


def _asker(saga: Saga, look: Look, retry: Retry) -> Participant:
    asker = Participant("asker", sagas=[saga], retry=retry)

    @asker.compensation(of=saga.start)
    def give_up(event: ActFailed | Undone, asked: JobAsked, ctx: Context) -> JobFailed:
        return JobFailed(asked.name, getattr(event, "reason", "undone"))

    @asker.observer
    def see(event: JobDone | JobFailed, ctx: Context) -> None:
        return look(event, ctx)

    return asker


def _doer(saga: Saga, act: Act, undo: Undo, retry: Retry) -> Participant:
    doer = Participant("doer", sagas=[saga], retry=retry, prepare=_prepare)

    @doer.action(fails=ActFailed, emits=Acted)
    def work(event: JobAsked, ctx: Context) -> Any:
        return act(event, ctx)

    @doer.compensation(of=work, ignore=Gone)
    def take_back(event: CheckFailed | Aborted, acted: Acted, ctx: Context) -> Undone:
        return undo(acted, ctx)  # type: ignore[no-any-return]

    return doer


def _checker(saga: Saga) -> Participant:
    checker = Participant("checker", sagas=[saga])

    @checker.action(fails=CheckFailed, kind="pivot")
    def check(event: Acted, ctx: Context) -> Checked:
        if event.refused:
            raise Permanent("not good enough")
        return Checked(event.name)

    @checker.action(kind="retriable")
    def finish(event: Checked, ctx: Context) -> JobDone:
        return JobDone(event.name)

    return checker
