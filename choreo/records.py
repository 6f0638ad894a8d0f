"""The data that all packages share: a record of a topic, and the rows of a participant's tables.

`Record` and `Partition` are Kafka's; `Entry`, `Unpublished`, `Scheduled`, `DeadLetter` and `Release` are rows
of ``saga_log``, ``outbox``, ``schedule``, ``dead_letters`` and ``releases``. Times are in milliseconds since
the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from choreo.outcome import START

LATEST = 32_503_680_000_000
"""The latest time of a record: the beginning of the year 3000, to which any timeout can be added."""


def record_time(timestamp: int, now: int) -> int:
    """Return the time of a record as one that every clock and database can hold.

    Kafka takes any number for a timestamp; one below zero, such as -1 for none, counts as ``now``.

    >>> record_time(-1, now=1_700_000_000_000)
    1700000000000
    >>> record_time(2**63 - 1, now=1_700_000_000_000)
    32503680000000
    """
    return now if timestamp < 0 else min(timestamp, LATEST)


FIRST_MOMENT, LAST_MOMENT = -62_135_596_800_000, 253_402_300_799_999
"""The ends of the calendar, in milliseconds since the epoch."""


def moment(milliseconds: int) -> datetime:
    """Return a time in UTC; the first or the last one of the calendar where it has none such.

    >>> moment(-(2**63)).year, moment(2**63 - 1).year
    (1, 9999)
    """
    return datetime.fromtimestamp(min(max(milliseconds, FIRST_MOMENT), LAST_MOMENT) / 1000, UTC)


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


class Record(NamedTuple):
    """One record of a topic; ``timestamp`` is in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    value: bytes | None


class SagaKey(NamedTuple):
    """What names one saga in a store and on the topics: sagas of several types may have the same id."""

    saga_id: str
    saga_type: str


class Entry(NamedTuple):
    """One row of ``saga_log``: one step's transition ``old_state → new_state``, and its cause.

    ``input`` names the protocol's input (``event`` for an event of the topic, else a local command); an
    entry whose ``input`` is empty is a consequence of the entry before it. Folding the entries that have
    an input, in order, yields the state of the saga, as a replay does. ``offset`` is -1 for a local command.
    ``note`` is ``void`` where the event changed nothing (see `choreo.ports.Store.payload`), else free text;
    ``traceparent`` is the trace context of an event of the topic, as `choreo.trace_context` joins it.
    """

    saga_id: str
    saga_type: str
    saga_version: int
    saga_state: str
    recorded_at: int
    input: str
    step: str
    old_state: str
    new_state: str
    event_id: str = ""
    event_type: str = ""
    outcome: str = ""
    kind: str = ""
    source: str = ""
    causation_id: str = ""
    topic: str = ""
    partition: int = -1
    offset: int = -1
    event_time: int = 0
    payload: bytes | None = None
    note: str = ""
    traceparent: str = ""

    @property
    def is_remark(self) -> bool:
        """Whether it only says, in its note, more about the rows of its input: what an exception said."""
        return not (self.input or self.event_id) and self.old_state == self.new_state

    @property
    def is_transition(self) -> bool:
        """Whether the saga moved: a step has another state, or an event counts. A further attempt is none."""
        return self.old_state != self.new_state or (self.input == "event" and self.note != "void")

    @property
    def is_by_hand(self) -> bool:
        """Whether it is of work that was done by hand, so that no handler has returned its event."""
        return self.kind not in ("raised", "partial") and self.note.startswith(by_hand(""))


def by_hand(reason: str) -> str:
    """Return the note of an entry of work that was done by hand."""
    return f"by hand: {reason}"


class Depths(NamedTuple):
    """What waits in a store at one moment; times are in milliseconds since the epoch.

    ``unpublished`` are the rows of the outbox, ``oldest`` the time of the event that has waited there for
    longest, 0 where there is none. ``lanes`` has, for each lane of the schedule, its rows and the time for
    which the first of them is due. ``letters`` counts the open dead letters by their reason.
    """

    unpublished: int
    oldest: int
    lanes: Mapping[str, tuple[int, int]]
    letters: Mapping[str, int]


class StateChange(NamedTuple):
    """A row of the saga log in which a saga first enters a state, but pending; times are in milliseconds.

    ``row`` is its number, ``at`` its time, ``began`` that of the saga's first row. ``input`` is ``pruned`` in
    what stands for the rows of a saga that were removed, and ``at`` is the time of the last of these.
    """

    row: int
    saga_type: str
    state: str
    input: str
    at: int
    began: int


class StateCount(NamedTuple):
    """So many sagas of a type have been in a state; those that ``is_pruned`` were in it when they ended."""

    saga_type: str
    state: str
    is_pruned: bool
    sagas: int


class StateNews(NamedTuple):
    """Which states sagas have entered, all of one moment.

    ``counts`` are of the rows up to ``counted_to``, ``changes`` of those behind it, up to the ``last`` row.
    Another row may become visible in front of that for ``late_seconds``.
    """

    counts: Sequence[StateCount]
    counted_to: int
    changes: Sequence[StateChange]
    last: int
    late_seconds: float


class Recorded(NamedTuple):
    """What a store has recorded of itself, empty where no worker has used it; times are in milliseconds.

    ``positions`` are the next offsets to fold, ``topics`` the ids of their topics. ``oldest`` is the saga in
    flight that began first, and when. ``delays`` are how long after the times of the newest events these were
    folded: below zero, one of the two clocks is wrong.
    """

    store_id: str
    cluster: str
    participant: str
    positions: Mapping[Partition, int]
    topics: Mapping[str, str]
    oldest: tuple[str, int] | None
    delays: Sequence[int]


class Unpublished(NamedTuple):
    """One row of ``outbox``: an event that Kafka has not acknowledged yet.

    ``headers`` are the record's, one line ``name: value`` for each. The store assigns ``seq``, which
    increases in the order of commits.
    """

    event_id: str
    saga_id: str
    saga_type: str
    topic: str
    headers: str
    body: bytes
    seq: int = 0


Lane = Literal[
    "turn", "call", "undo", "out", "doubt", "held-turn", "held-call", "held-undo", "held-doubt", "record"
]
"""How a due handler runs: inside the turn, or as a call outside of it (an action in ``call``, a compensation
in ``undo``, each with room of its own); ``out`` is one under way, and ``doubt`` one that was under way at an
end of the process, and waits until all else is done. A row in ``record`` is never due: it counts how often a
record was about to be imported.

Work that is due while the partition of its saga isn't live is held, and goes back to its lane later."""


class Scheduled(NamedTuple):
    """One row of ``schedule``: work that is due for a saga at the time ``due``.

    ``task`` is the kind of work (``action``, ``compensation``, ``observer``, ``deadline``, or ``answer`` for
    a refusal), ``name`` the handler or the step, ``event_id`` the event that caused it. There is at most one
    row for a saga, task, name and event: scheduling again moves it. A row whose ``lane`` is ``out`` remains
    until the call's result is committed. ``until`` is the time limit of a call: of its step's timeout, or to
    which ``ctx.extend`` moved it; 0 where there is none. ``deaths`` counts how often the process ended while
    it was ``out``.
    """

    saga_id: str
    saga_type: str
    task: str
    name: str
    event_id: str
    due: int
    attempt: int = 0
    lane: Lane = "turn"
    until: int = 0
    deaths: int = 0


LetterState = Literal["open", "requeued", "discarded", "resolved"]
"""The state of a dead letter; closed ones are kept too."""


class DeadLetter(NamedTuple):
    """One row of ``dead_letters``: a record that could not be handled, with the reason.

    ``headers`` are the raw ones as JSON, values in base64; ``name`` is the handler's or the step's, empty
    where none was reached. ``comment`` is the reason for closing it, at ``closed_at`` and by ``closed_by``.
    ``edited`` is the body that the handler takes instead of ``value`` once it is requeued; ``result_type``
    and ``result`` are the event with which it was resolved. The store assigns ``id``.
    """

    reason: str
    detail: str
    recorded_at: int
    saga_id: str = ""
    saga_type: str = ""
    task: str = ""
    name: str = ""
    event_id: str = ""
    event_type: str = ""
    topic: str = ""
    partition: int = -1
    offset: int = -1
    key: bytes | None = None
    headers: str = "[]"
    value: bytes | None = None
    attempt: int = 0
    state: LetterState = "open"
    comment: str = ""
    closed_at: int = 0
    edited: bytes | None = None
    closed_by: str = ""
    result_type: str = ""
    result: bytes | None = None
    id: int = 0


class Release(NamedTuple):
    """One row of ``releases``: the declarations that a worker runs with from then on.

    ``digest`` is that of the declarations, ``manifest`` their text (see `choreo.release`). They are in force
    from the time ``since``, from the offsets ``positions`` on, and for the entries of the saga log after the
    number ``after``. ``retired`` are the steps, observers and deadlines that are given up: what sagas still
    needed of them became dead letters. The store assigns ``id``.
    """

    digest: str
    manifest: str
    since: int
    positions: Mapping[Partition, int]
    after: int = 0
    retired: tuple[str, ...] = ()
    id: int = 0


class Work(NamedTuple):
    """What one saga still needs of a handler, as the rows of its store say.

    ``held`` says which rows: those of the ``schedule``, an open ``letter``, or those of a step that is
    ``done``, whose compensation may still be called. ``task`` and ``name`` are the handler's. ``event_id`` is
    the event that caused it, of a step that is done its success; ``result`` the type of that, and
    ``step_state`` the state of the step; ``kind`` is the kind that it had, empty where its success has not
    come back. ``reason`` is that of the letter. ``since`` is the time of the saga's first row.
    """

    saga_id: str
    saga_type: str
    saga_version: int
    saga_state: str
    since: int
    held: Literal["schedule", "letter", "done"]
    task: str
    name: str
    event_id: str = ""
    result: str = ""
    step_state: str = "pending"
    reason: str = ""
    kind: str = ""


class Many(NamedTuple):
    """So many sagas need the same: ``work`` is that of the one which began first, without its event."""

    work: Work
    sagas: int


class Seen(NamedTuple):
    """So many sagas that have not ended have seen exactly these of the event types that were asked for."""

    saga_type: str
    saga_version: int
    saga_state: str
    types: frozenset[str]
    sagas: int


class InFlight(NamedTuple):
    """What a store holds of sagas in flight, as far as it was asked for."""

    work: Sequence[Many] = ()
    seen: Sequence[Seen] = ()


def version_of(entries: Iterable[Entry]) -> int:
    """Return the version with which a saga was started, by its rows; that of its first event before that."""
    version = 0
    for entry in entries:
        if entry.event_id and entry.step == START:
            return entry.saga_version
        version = version or entry.saga_version
    return version
