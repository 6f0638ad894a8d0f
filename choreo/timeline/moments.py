"""``Moment``: what happened at one participant, in its own order, read from its rows of the saga log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from choreo.chain import PRUNED, began_of
from choreo.outcome import CANCEL, START, TIMED_OUT
from choreo.protocol.recorded_inputs import EXTENDED, REVOKED, is_attempt
from choreo.records import DeadLetter, Entry
from choreo.timeline.events import Event, event_of
from choreo.timeline.participant_view import ParticipantView

What = Literal[
    "started",
    "cancelled",
    "imported",
    "executing",
    "retrying",
    "completed",
    "failed",
    "timed out",
    "refused",
    "compensating",
    "compensated",
    "observed",
    "dead letter",
    "requeued",
    "discarded",
    "resolved",
    "passed",
    "extended",
    "revoked",
    "pruned",
]
"""What happened. ``passed``, ``extended``, ``revoked``: a deadline, before its step had an outcome;
``pruned``: all rows of the saga."""


class Moment(NamedTuple):
    """One thing that happened at one participant.

    ``time`` is by that participant's clock; ``took`` is the time since the record of the event ``cause``,
    None where that isn't known; both are in milliseconds. ``event`` is the event that it published, ``why``
    the reason of a refusal, a failure, a retry or a dead letter, ``attempt`` the number of the attempt that
    failed. ``in_store`` is False where only the topic shows it, as the participant's store was not read.
    """

    participant: str
    step: str
    what: What
    old_state: str
    new_state: str
    time: int
    cause: str = ""
    took: int | None = None
    event: Event | None = None
    why: str = ""
    attempt: int = 0
    in_store: bool = True


class LocalMoment(NamedTuple):
    """A moment, and how many events of the topic its participant had folded by then."""

    folded: int
    moment: Moment


def moments_of(view: ParticipantView, events: Sequence[Event]) -> list[LocalMoment]:
    """Return what happened at one participant; ``events`` are the topic's, in its order."""
    rank = {event.id: number for number, event in enumerate(events, 1)}
    by_id = {event.id: event for event in events}
    moments: list[LocalMoment] = []
    tried: dict[str, int] = {}
    folded = 0
    for entry in view.entries:
        if entry.input == "event":
            folded = max(folded, rank[entry.event_id])
            continue
        if entry.is_remark:
            if moments:
                moments[-1] = _explained(moments[-1], entry)
            continue
        published = by_id.get(entry.event_id) or event_of(entry) if entry.event_id else None
        if published and _publishes_the_last(moments, entry):
            moments[-1] = _with(moments[-1], published)
        elif _is_moment(entry):
            moments.append(LocalMoment(folded, _moment(view, entry, published, tried, by_id)))
        else:
            continue
        _count(moments[-1].moment, tried)
    return moments


def _count(last: Moment, tried: dict[str, int]) -> None:
    """Keep how often a step was tried since it was called last."""
    if last.what not in ("executing", "retrying"):
        tried[last.step] = 0
    elif last.attempt:
        tried[last.step] = last.attempt


def _is_moment(entry: Entry) -> bool:
    """Whether a row is a moment of its own: a further attempt is one when it fails, not when it begins."""
    return entry.old_state != entry.new_state or bool(entry.event_id) or entry.input in _ALWAYS


_ALWAYS = ("deferred", "buried", "requeued", "discarded", "observed", "due", PRUNED)


def _publishes_the_last(moments: list[LocalMoment], entry: Entry) -> bool:
    """Whether a row only publishes the event of the last moment."""
    if entry.input or entry.old_state != entry.new_state or not moments or moments[-1].moment.event:
        return False
    last = moments[-1].moment
    return last.step == entry.step or last.what == "passed"


def _explained(local: LocalMoment, remark: Entry) -> LocalMoment:
    """Return a moment with what an exception said."""
    moment = local.moment
    if moment.step != remark.step or (moment.why and remark.note.startswith(moment.why)):
        return local  # the text of a `Permanent`
    why = f"{moment.why}: {remark.note}" if moment.why else remark.note
    return local._replace(moment=moment._replace(why=why))


def _with(local: LocalMoment, event: Event) -> LocalMoment:
    moment = local.moment
    if moment.what == "passed" and event.outcome == TIMED_OUT:
        why = f"the deadline {moment.step} passed"
        moment = moment._replace(step=event.step, what="timed out", why=why)
    return local._replace(moment=moment._replace(event=event))


def _moment(
    view: ParticipantView,
    entry: Entry,
    published: Event | None,
    tried: Mapping[str, int],
    by_id: Mapping[str, Event],
) -> Moment:
    what = _what(entry)
    # The row names the event that set the deadline; what was done with that was no event's doing.
    cause_id = "" if what in _OF_DEADLINE.values() else entry.causation_id
    cause = by_id.get(cause_id)
    return Moment(
        view.participant,
        entry.step,
        what,
        entry.old_state,
        entry.new_state,
        entry.event_time if what == "pruned" else entry.recorded_at,
        cause_id,
        _took(entry, cause),
        published,
        _why(view, entry, what),
        _attempt(entry, tried),
    )


def _took(entry: Entry, cause: Event | None) -> int | None:
    if entry.input == PRUNED:
        began = began_of(entry)
        return None if began is None else entry.event_time - began
    return entry.recorded_at - cause.time if cause else None


def _what(entry: Entry) -> What:
    if entry.input in ("deferred", "discarded") and entry.kind in _OF_DEADLINE:
        return _OF_DEADLINE[entry.kind]
    if entry.input == "discarded" and entry.is_by_hand:
        return "resolved"
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
_OF_DEADLINE: dict[str, What] = {EXTENDED: "extended", REVOKED: "revoked"}
_OF_STATE: dict[str, What] = {
    "pending": "requeued",
    "executing": "executing",
    "completed": "completed",
    "failed": "failed",
    "refused": "refused",
    "compensating": "compensating",
    "compensated": "compensated",
}


def _why(view: ParticipantView, entry: Entry, what: What) -> str:
    if what not in ("dead letter", "requeued", "discarded", "resolved"):
        return entry.note
    letters = [each for each in view.dead_letters if each.name == entry.step]
    return next(_of_letters(letters, entry, what), entry.note)


def _of_letters(letters: Sequence[DeadLetter], entry: Entry, what: What) -> Iterator[str]:
    """Yield what dead letters add to their row of the saga log: the number, the detail, the comment."""
    for each in letters:
        if what == "dead letter" and each.reason == entry.note and each.recorded_at == entry.recorded_at:
            yield f"#{each.id} {each.reason}: {each.detail}"
        elif what == each.state:
            yield f"#{each.id}: {each.comment}" if each.comment else f"#{each.id}"


def _attempt(entry: Entry, tried: Mapping[str, int]) -> int:
    """Return the number of the attempt that failed, as ``ctx.attempt`` counts; 0 for any other row.

    It begins anew where the step is called again: for its compensation, or once its letter is requeued.
    """
    return tried.get(entry.step, 0) + 1 if entry.input == "deferred" and is_attempt(entry) else 0
