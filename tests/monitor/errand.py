"""One saga of two services that do what files in a folder say: fail, hang, or break while they undo."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

from choreo import Aborted, Context, Participant, Permanent, Retry, Saga, event

FOLDER = Path(os.environ.get("ERRANDS", "."))
"""Where a file ``slow`` keeps calls from ending, and a file ``broken`` lets compensations fail."""


@event(namespace="errand")
class Asked:
    """Somebody asks for something; a ``poor`` one can't pay for it, a ``late`` one not at the first time."""

    what: str


@event(namespace="errand")
class Fetched:
    what: str


@event(namespace="errand")
class NotFetched:
    what: str
    reason: str


@event(namespace="errand")
class FetchedLate:
    what: str


@event(namespace="errand")
class PutBack:
    what: str


@event(namespace="errand")
class Paid:
    what: str


@event(namespace="errand")
class NotPaid:
    what: str
    reason: str


@event(namespace="errand")
class GivenUp:
    what: str


errand = Saga("errand", starts=Asked, completes=Paid, fails=GivenUp)
desk = Participant("desk", sagas=[errand])
shop = Participant("shop", sagas=[errand])


@desk.compensation(of=errand.start)
def give_up(event: NotFetched | PutBack, asked: Asked, ctx: Context) -> GivenUp:
    return GivenUp(asked.what)


@desk.action(kind="pivot", fails=NotPaid, retry=Retry(delay=timedelta(milliseconds=200)))
def pay(event: Fetched, ctx: Context) -> Paid | NotPaid:
    if event.what == "poor":
        raise Permanent("poor")
    if event.what == "late" and ctx.attempt == 1:
        raise ConnectionError("no money yet")
    return Paid(event.what)


@desk.deadline(of="shop.fetch", after=Asked, within=timedelta(seconds=15))
def fetch_is_late(event: Asked, ctx: Context) -> FetchedLate:
    return FetchedLate(event.what)


@shop.action(fails=NotFetched, blocking=True, partial=False, timeout=timedelta(seconds=8))
def fetch(event: Asked, ctx: Context) -> Fetched | NotFetched:
    while (FOLDER / "slow").exists():
        time.sleep(0.05)
    return Fetched(event.what)


@shop.compensation(of=fetch, retry=Retry(attempts=1))
def put_back(event: NotPaid | Aborted, fetched: Fetched, ctx: Context) -> PutBack:
    if (FOLDER / "broken").exists():
        raise RuntimeError("broken")
    return PutBack(fetched.what)
