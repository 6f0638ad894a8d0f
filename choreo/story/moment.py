"""The pieces of a story: the events of the saga's topic, and what happened at the participants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Place(NamedTuple):
    """Where an event lies in the log; places of one partition are ordered by it, and by nothing else."""

    topic: str
    partition: int
    offset: int


class Message(NamedTuple):
    """An event, as it lies in the log, or is on its way to it (``place`` is then None).

    ``time`` is the record's; ``read`` says who has folded it, and when by their clock. ``void`` says why it
    counts for nothing; it is empty for an event that counts.
    """

    id: str
    type: str
    step: str
    outcome: str
    kind: str
    source: str
    cause: str
    time: int
    place: Place | None = None
    read: Mapping[str, int] = {}
    void: str = ""

    @property
    def name(self) -> str:
        """The type without its namespace."""
        return self.type.rpartition(".")[2]

    @property
    def at(self) -> str:
        """The offset, as people write it."""
        return "" if self.place is None else f"@{self.place.offset}"


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
    "passed",
    "pruned",
]
"""What a moment tells. ``passed``: a deadline whose step had no outcome in time; ``pruned``: a whole saga."""


class Moment(NamedTuple):
    """Something that happened at one participant, in the order of the story.

    ``time`` is that participant's clock, in milliseconds since the epoch; ``took`` counts from the record of
    the event that caused it, None where that isn't known. ``message`` is what it published. ``why`` gives
    the reason of a refusal, a failure, a retry, a dead letter. ``seen`` is False for what only the log
    tells, as the participant's own store wasn't looked at.
    """

    participant: str
    step: str
    what: What
    old_state: str
    new_state: str
    time: int
    cause: str = ""
    took: int | None = None
    message: Message | None = None
    why: str = ""
    attempt: int = 0
    seen: bool = True
