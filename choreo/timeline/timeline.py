"""``tell``: the story of one saga, from the accounts of those who took part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from choreo.chain import PRUNED
from choreo.outcome import CANCEL, FAILED, TIMED_OUT, SagaState
from choreo.records import Entry
from choreo.timeline.account import Account, refuse_corrupt
from choreo.timeline.debts import Debt, by_bodies, owed
from choreo.timeline.merge import merged
from choreo.timeline.messages import Message, Moment, gather
from choreo.timeline.moments import moments_of
from choreo.timeline.remaining import Ahead, ahead

if TYPE_CHECKING:
    from choreo.graph import SagaGraph

ENDED = ("completed", "failed")
"""The states of a saga that goes no further."""

_SKEW = 250
"""Milliseconds by which a clock must be wrong before a remark is made of it."""


@dataclass(frozen=True)
class Story:
    """One saga, whole: what happened, in order, and what it waits for.

    ``participants`` stand in the order in which they came in; ``now`` is when this was told, in milliseconds
    since the epoch, as all times are. ``ahead`` is what may still happen, empty where no graph says it.
    ``aborted_by`` says what stopped it, empty where nothing did; ``remarks`` what to know of the sources.
    """

    saga_id: str
    saga_type: str
    version: int
    state: SagaState
    participants: tuple[str, ...]
    messages: tuple[Message, ...]
    moments: tuple[Moment, ...]
    owed: tuple[Debt, ...]
    ahead: tuple[Ahead, ...]
    aborted_by: str
    remarks: tuple[str, ...]
    now: int

    @property
    def began(self) -> int:
        """When the first thing happened."""
        return self.moments[0].time

    @property
    def last(self) -> int:
        """When the last thing happened."""
        return max(moment.time for moment in self.moments)

    @property
    def is_ended(self) -> bool:
        """Say whether the saga has ended, one way or the other."""
        return self.state in ENDED

    @property
    def last_step(self) -> str:
        """The step that moved last."""
        return self.moments[-1].step

    def message(self, identity: str) -> Message | None:
        """Give an event by its id."""
        return next((each for each in self.messages if each.id == identity), None)


def tell(accounts: Sequence[Account], now: int, graph: SagaGraph | None = None) -> Story:
    """Tell one saga's story; every account is of the same saga, and at least one has rows.

    With the saga's ``graph`` it tells what remains, too.

    Raises `StoreError` for a row that choreo can't have written.
    """
    accounts = [account for account in accounts if account.entries]
    for account in accounts:
        refuse_corrupt(account.entries, account.source or f"the store of {account.participant}")
    messages = gather(accounts)
    moments = _explained(merged(messages, [moments_of(each, messages) for each in accounts]), messages)
    last = _furthest(accounts)
    under_way = [each.message for each in moments if each.message and each.message.place is None]
    remains = ahead(graph, messages, under_way) if graph else []
    debts = owed(accounts, messages, moments, remains, now)
    if not debts and last.saga_state not in ENDED:
        debts = by_bodies(accounts, messages)
    return Story(
        last.saga_id,
        last.saga_type,
        last.saga_version,
        last.saga_state,  # type: ignore[arg-type]
        tuple(
            dict.fromkeys(
                [m.participant for m in moments] + [a.participant for a in accounts if a.participant]
            )
        ),
        tuple(messages),
        tuple(moments),
        tuple(debts),
        tuple(remains),
        _abort(messages),
        tuple(_remarks(accounts, messages)),
        now,
    )


def _participants(accounts: Sequence[Account], moments: Sequence[Moment]) -> tuple[str, ...]:
    """Give everybody in the order in which they came in, those who only looked on last."""
    names = [*(moment.participant for moment in moments), *(account.participant for account in accounts)]
    return tuple(dict.fromkeys(name for name in names if name))


def _furthest(accounts: Sequence[Account]) -> Entry:
    """Give the last row of who has read most, or knows the end: it knows best where the saga stands."""

    def known(account: Account) -> tuple[bool, int]:
        rows = account.entries
        return rows[-1].saga_state in ENDED, sum(row.input == "event" for row in rows)

    return max(accounts, key=known).entries[-1]


def _abort(messages: Sequence[Message]) -> str:
    """Say what aborted the saga (R4)."""
    for message in messages:
        if message.void:
            continue
        if message.outcome in (FAILED, TIMED_OUT):
            return f"{message.step} {message.outcome.replace('_', ' ')} {message.at}"
        if message.step == CANCEL:
            return f"the cancellation {message.at}"
    return ""


def _explained(moments: Sequence[Moment], messages: Sequence[Message]) -> list[Moment]:
    """Say of a refusal what it comes from."""
    reason = _abort(messages)
    because = f"aborted by {reason}" if reason else "the saga had ended, or was to undo it already"
    return [
        each._replace(why=because) if each.what == "refused" and not each.why else each for each in moments
    ]


def _remarks(accounts: Sequence[Account], messages: Sequence[Message]) -> Iterator[str]:
    looked_at = {account.participant for account in accounts}
    unseen = sorted({message.source for message in messages} - looked_at)
    if unseen:
        yield f"no store of {', '.join(unseen)} was looked at: the log alone tells what they did"
    if len({message.place[:2] for message in messages if message.place}) > 1:
        yield "its events lie on more than one partition, so their order is not certain"
    pruned = [account.participant for account in accounts if account.entries[0].input == PRUNED]
    if pruned:
        yield f"its rows were pruned in the log of {', '.join(pruned)}: only its end is known there"
    for account in accounts:
        skew = max((m.time - m.read.get(account.participant, m.time) for m in messages), default=0)
        if skew >= _SKEW:
            yield f"the clock of {account.participant} is {skew} ms behind, or more: it read what was not yet"
