"""``topic_needs``: the topics that participants use, and for how long their records must stay there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Literal, NamedTuple

from choreo.participant.handler import Handler
from choreo.participant.participant import Participant

TopicUse = Literal["saga", "import", "export"]
"""A saga's own topic, one from which events are imported, or one to which they are copied."""


class TopicNeed(NamedTuple):
    """One topic and its use; ``span`` is the longest that a step or a deadline of its sagas may take."""

    topic: str
    use: TopicUse = "saga"
    span: timedelta = timedelta()


def topic_needs(participants: Iterable[Participant]) -> list[TopicNeed]:
    """Return the topics of participants, each once: first those of sagas, then imports, then exports."""
    found: dict[str, TopicNeed] = {}
    everybody = list(participants)
    for need in (*_of_sagas(everybody), *_of_others(everybody)):
        known = found.setdefault(need.topic, need)
        if need.use == "saga":
            found[need.topic] = known._replace(span=max(known.span, need.span))
    return list(found.values())


def _of_sagas(participants: Iterable[Participant]) -> Iterator[TopicNeed]:
    for participant in participants:
        for saga in participant.sagas:
            spans = (_span(each) for each in participant.handlers if each.saga == saga)
            yield TopicNeed(saga.topic, "saga", max(spans, default=timedelta()))


def _of_others(participants: Iterable[Participant]) -> Iterator[TopicNeed]:
    external = [each for participant in participants for each in participant.external]
    yield from (TopicNeed(each.topic, "import") for each in external if each.is_import)
    yield from (TopicNeed(each.topic, "export") for each in external if not each.is_import)


def _span(handler: Handler) -> timedelta:
    """Return how long a handler's work may take: its deadline and timeout, or the pauses of its retries."""
    pauses = sum((handler.retry.pause(n) for n in range(1, min(handler.retry.most, 1000))), timedelta())
    return max(handler.timeout or timedelta(), (handler.within or timedelta()) + pauses)
