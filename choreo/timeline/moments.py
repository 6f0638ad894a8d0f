"""One participant's rows as moments, in that participant's own order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from choreo.chain import PRUNED
from choreo.outcome import CANCEL, START, TIMED_OUT
from choreo.records import Entry
from choreo.timeline.account import Account, Letter
from choreo.timeline.messages import Message, Moment, What, message_of


class Local(NamedTuple):
    """A moment, and how many events of the log its participant had folded by then (``after``)."""

    after: int
    moment: Moment


def moments_of(account: Account, messages: Sequence[Message]) -> list[Local]:
    """Give what happened at one participant; ``messages`` are the log's, in its order."""
    rank = {message.id: number for number, message in enumerate(messages, 1)}
    by_id = {message.id: message for message in messages}
    told: list[Local] = []
    after = 0
    for entry in account.entries:
        if entry.input == "event":
            after = max(after, rank[entry.event_id])
            continue
        published = by_id.get(entry.event_id) or message_of(entry) if entry.event_id else None
        if published and _belongs_to_the_last(told, entry):
            told[-1] = _with(told[-1], published)
        elif _tells(entry):
            told.append(Local(after, _moment(account, entry, published, told, by_id)))
    return told


def _tells(entry: Entry) -> bool:
    """Say whether anything happened: that another attempt begins is told by the one that failed."""
    return entry.old_state != entry.new_state or bool(entry.event_id) or entry.input in _ALWAYS


_ALWAYS = ("deferred", "buried", "requeued", "discarded", "observed", "due", PRUNED)


def _belongs_to_the_last(told: list[Local], entry: Entry) -> bool:
    """Say whether a row is only the publication of what the last moment tells."""
    if entry.input or entry.old_state != entry.new_state or not told or told[-1].moment.message:
        return False
    last = told[-1].moment
    return last.step == entry.step or last.what == "passed"


def _with(local: Local, message: Message) -> Local:
    moment = local.moment
    if moment.what == "passed" and message.outcome == TIMED_OUT:
        why = f"the deadline {moment.step} passed"
        moment = moment._replace(step=message.step, what="timed out", why=why)
    return local._replace(moment=moment._replace(message=message))


def _moment(
    account: Account,
    entry: Entry,
    published: Message | None,
    told: Sequence[Local],
    by_id: Mapping[str, Message],
) -> Moment:
    cause = by_id.get(entry.causation_id)
    what = _what(entry)
    return Moment(
        account.participant,
        entry.step,
        what,
        entry.old_state,
        entry.new_state,
        entry.event_time if what == "pruned" else entry.recorded_at,
        entry.causation_id,
        entry.recorded_at - cause.time if cause else None,
        published,
        _why(account, entry, what),
        _attempt(entry, told),
    )


def _what(entry: Entry) -> What:
    if entry.input in _OF_INPUT:
        return _OF_INPUT[entry.input]
    if entry.new_state == "completed" and entry.step == START:
        return "started"
    if entry.step == CANCEL:
        return "cancelled"
    if entry.kind == "external":
        return "imported"
    if entry.outcome == TIMED_OUT:
        return "timed out"
    return _OF_STATE[entry.new_state]


_OF_INPUT: dict[str, What] = {
    "deferred": "retrying",
    "buried": "dead letter",
    "requeued": "requeued",
    "discarded": "discarded",
    "observed": "observed",
    "due": "passed",
    PRUNED: "pruned",
}
_OF_STATE: dict[str, What] = {
    "pending": "requeued",
    "executing": "executing",
    "completed": "completed",
    "failed": "failed",
    "refused": "refused",
    "compensating": "compensating",
    "compensated": "compensated",
}


def _why(account: Account, entry: Entry, what: What) -> str:
    if what not in ("dead letter", "requeued", "discarded"):
        return entry.note
    letters = [each for each in account.letters if each.name == entry.step]
    return next(_of_letters(letters, entry, what), entry.note)


def _of_letters(letters: Sequence[Letter], entry: Entry, what: What) -> Iterator[str]:
    """Say more of a dead letter than its row does: its number, and what was said of it."""
    for each in letters:
        if what == "dead letter" and each.reason == entry.note and each.time == entry.recorded_at:
            yield f"#{each.number} {each.reason}: {each.detail}"
        elif what == each.state:
            yield f"#{each.number}: {each.comment}" if each.comment else f"#{each.number}"


def _attempt(entry: Entry, told: Sequence[Local]) -> int:
    """Count the attempts at a step that failed, this one too; 0 where it isn't about one."""
    if entry.input != "deferred":
        return 0
    return 1 + sum(each.moment.what == "retrying" and each.moment.step == entry.step for each in told)
