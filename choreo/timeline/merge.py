"""Merging what happened at several participants into one story, by the order of the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from choreo.timeline.messages import Message, Moment, What
from choreo.timeline.moments import Local

_SAYS: Mapping[str, tuple[What, str]] = {
    "succeeded": ("completed", "completed"),
    "failed": ("failed", "failed"),
    "timed_out": ("timed out", "failed"),
    "compensated": ("compensated", "compensated"),
}
_OF_KIND: Mapping[str, What] = {"start": "started", "cancellation": "cancelled", "external": "imported"}


def merged(messages: Sequence[Message], locals_: Sequence[Sequence[Local]]) -> list[Moment]:
    """Give everybody's moments in one order that contradicts neither the log nor anybody's own.

    Events come in the order of the topic; what happened at a participant comes after the events that
    it had read by then, and what published an event after what published those before it. What this leaves
    open is arranged by the clocks; where they contradict it they are not believed.
    """
    rank = {message.id: number for number, message in enumerate(messages, 1)}
    published = {each.moment.message.id for side in locals_ for each in side if each.moment.message}
    queues = [list(reversed(side)) for side in locals_ if side]
    story: list[Moment] = []
    told: set[str] = set()
    passed = 0
    while queues or passed < len(messages):
        ready = [queue for queue in queues if _may_come(queue[-1], rank, passed)]
        event = messages[passed] if passed < len(messages) else None
        if event is not None and _comes_next(event, ready, event.id in told or event.id not in published):
            passed += 1
            if event.id not in published:
                story.append(_from_the_log(event))
            continue
        queue = min(ready, key=lambda queue: queue[-1].moment.time)
        moment = queue.pop().moment
        story.append(moment)
        if moment.message:
            told.add(moment.message.id)
        queues = [queue for queue in queues if queue]
    return story


def _may_come(local: Local, rank: Mapping[str, int], passed: int) -> bool:
    """Say whether all has been told that must come before a moment."""
    message = local.moment.message
    published = rank.get(message.id, 0) if message else 0
    return local.after <= passed and published <= passed + 1


def _comes_next(event: Message, ready: Sequence[Sequence[Local]], is_published: bool) -> bool:
    """Say whether the next event of the log comes before all that could happen now."""
    earliest = min((queue[-1].moment.time for queue in ready), default=None)
    return earliest is None or (is_published and event.time <= earliest)


def _from_the_log(event: Message) -> Moment:
    """Tell what only the log does, as nobody's store says more of it."""
    what, state = _SAYS[event.outcome]
    if event.outcome == "succeeded":
        what = _OF_KIND.get(event.kind, what)
    before = "completed" if event.outcome == "compensated" else "pending"
    return Moment(
        event.source, event.step, what, before, state, event.time, event.cause, None, event, "", 0, False
    )
