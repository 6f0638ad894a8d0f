"""Who owes what is to come next, as far as the participants' own stores say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from choreo.timeline.account import Account, Letter, Planned
from choreo.timeline.messages import Message, Moment
from choreo.timeline.remaining import Ahead, names

Why = Literal[
    "dead letter", "retry", "executing", "queued", "answer", "outbox", "on its way", "unread", "deadline"
]
"""Why something has not happened yet, the gravest first."""

_ORDER: dict[Why, int] = {
    "dead letter": 0,
    "retry": 1,
    "executing": 2,
    "queued": 3,
    "answer": 4,
    "outbox": 5,
    "on its way": 6,
    "unread": 7,
    "deadline": 8,
}


class Debt(NamedTuple):
    """What a saga waits for: ``who`` owes it, ``what`` (a step, an event, a deadline's step), and why.

    ``since`` and ``until`` are times in milliseconds since the epoch, None where they aren't known.
    """

    who: str
    what: str
    why: Why
    detail: str = ""
    since: int | None = None
    until: int | None = None


def owed(
    accounts: Sequence[Account],
    messages: Sequence[Message],
    moments: Sequence[Moment],
    ahead: Sequence[Ahead],
    now: int,
) -> list[Debt]:
    """Give what the saga waits for at ``now``: what the stores say, and what the graph says beyond it."""
    debts = [debt for account in accounts for debt in _of_one(account, messages, moments, now)]
    unsent = frozenset[str]().union(*(account.unsent for account in accounts))
    debts += _on_their_way(moments, unsent)
    debts = _answered_for(debts, [each for each in ahead if not each.needs])
    return sorted(debts, key=lambda debt: _ORDER[debt.why])


def _answered_for(debts: Sequence[Debt], owing: Sequence[Ahead]) -> list[Debt]:
    """Add what only the graph knows; a participant that has not read its trigger yet is told so there."""
    known = {(debt.who, debt.what) for debt in debts if debt.why != "deadline"}
    behind = {debt.who: debt.detail for debt in debts if debt.why == "unread"}
    added = [
        Debt(each.participant, each.step, "answer", _expected(each, behind), each.since)
        for each in owing
        if (each.participant, each.step) not in known
    ]
    told = {debt.who for debt in added}
    return [*(debt for debt in debts if debt.why != "unread" or debt.who not in told), *added]


def _expected(ahead: Ahead, behind: Mapping[str, str]) -> str:
    note = behind.get(ahead.participant, "")
    return f"{names(ahead.gives)}{f'; it {note}' if note else ''}"


def by_bodies(accounts: Sequence[Account], messages: Sequence[Message]) -> list[Debt]:
    """Give who has read the last event, keeps its body, and so handles it, where nothing else is known."""
    last = next((message for message in reversed(messages) if not message.void), None)
    if last is None:
        return []
    keeping = [
        account.participant
        for account in accounts
        if account.participant != last.source
        and any(
            each.event_id == last.id and each.input == "event" and each.payload for each in account.entries
        )
    ]
    detail = f"an answer to {last.name} {last.at}"
    return [Debt(who, "", "answer", detail, last.time) for who in keeping or [""]]


def _of_one(
    account: Account, messages: Sequence[Message], moments: Sequence[Moment], now: int
) -> Iterator[Debt]:
    who = account.participant
    yield from (_letter(who, each) for each in account.letters if each.state == "open")
    yield from (_planned(who, each, moments, now) for each in account.planned)
    for moment in moments:
        if moment.participant == who and moment.message and moment.message.id in account.unsent:
            yield Debt(who, moment.message.name, "outbox", "published, not acknowledged yet", moment.time)
    unread = [message for message in messages if who not in message.read]
    if unread and len(unread) < len(messages):
        yield Debt(who, unread[0].name, "unread", f"has not read from {unread[0].at} on", unread[0].time)


def _letter(who: str, letter: Letter) -> Debt:
    detail = f"#{letter.number} {letter.reason}: {letter.detail}"
    return Debt(who, letter.name, "dead letter", detail, letter.time)


def _planned(who: str, planned: Planned, moments: Sequence[Moment], now: int) -> Debt:
    name = planned.name
    if planned.task == "deadline":
        return Debt(who, name, "deadline", "passes", until=planned.due)
    if planned.task in ("requeue", "discard"):
        return Debt(who, f"dead letter #{name}", "queued", f"its {planned.task} was asked for")
    since = max((each.time for each in moments if (each.participant, each.step) == (who, name)), default=None)
    if planned.lane == "out":
        return Debt(who, name, "executing", f"its {planned.task} is being called", since)
    if planned.due > now:
        detail = f"its {planned.task} failed {planned.attempt} times" if planned.attempt > 0 else planned.task
        return Debt(who, name, "retry", detail, since, planned.due)
    return Debt(who, name, "queued", f"its {planned.task} is due", planned.due)


def _on_their_way(moments: Iterable[Moment], unsent: frozenset[str]) -> Iterator[Debt]:
    """Give the events that were published, and that nobody has read yet."""
    for moment in moments:
        message = moment.message
        if message and message.place is None and message.id not in unsent:
            detail = "published; nobody here has read it"
            yield Debt(moment.participant, message.name, "on its way", detail, moment.time)
