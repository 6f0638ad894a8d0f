"""``Instance``: the state of one saga as one participant knows it, which the protocol folds."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from choreo.envelope import Envelope
from choreo.outcome import SUCCEEDED, Outcome, SagaState, StepState

Activity = Literal["idle", "queued", "running", "waiting", "dead"]
"""The activity of a step within its state.

``idle``: none; ``queued``: triggered but not begun; ``running``: outside of a transaction; ``waiting``:
backing off after an attempt that failed; ``dead``: in the dead letters until requeued.
"""

_STATE_OF_OUTCOME: dict[str, StepState] = {
    "succeeded": "completed",
    "failed": "failed",
    "timed_out": "failed",
}


class Progress(NamedTuple):
    """The progress of one of the participant's own steps.

    ``result``: the type of its success event. ``attempt``: attempts that failed so far,
    or during which the process ended.
    ``owes_failure``: the effects of an attempt that raised are being compensated, and its failure is
    published afterwards: the event ``failure`` that a later attempt returned, or one with ``reason``.
    """

    state: StepState = "pending"
    activity: Activity = "idle"
    result: str = ""
    attempt: int = 0
    owes_failure: bool = False
    reason: str = ""
    failure: str = ""

    @property
    def task(self) -> Literal["action", "compensation"]:
        """The task of the schedule that the step's handler is, in this state."""
        return "compensation" if self.state == "compensating" else "action"


PENDING = Progress()


class UnownedOutcome(NamedTuple):
    """An outcome of an own step, by the type of its event, that this participant never published."""

    step: str
    outcome: Outcome
    type: str


class Instance:
    """One saga as one participant knows it, folded from the topic and from its own local commands.

    ``seen`` maps the ids of folded events to a hash of step, outcome and type; where an id came again with
    others, it has an entry with both. ``types`` are the event types that counted, ``outcomes`` the first
    outcome of each step, ``failing`` the step of the first failed or timed_out outcome, ``end`` the end that
    came first, ``lasting`` the steps that have succeeded and that nothing undoes, ``imported`` whether an
    event has come from outside.
    ``pruned``: only the end is known, so every event is treated as a duplicate. ``unowned`` are outcomes of
    own steps that this participant never published: while there are any, the saga is in quarantine.
    ``names`` are names of renamed handlers under which the saga goes on, beside those of its own steps,
    deadlines and waiting observers.
    ``keyed_by_id``: the participant derives the ids of the saga's events from its id alone, without its type,
    as the saga was in flight when choreo did so; no decision depends on it.
    ``held`` are the events, by id, of which what they call for waits until the version of the saga is known.
    `fold` copies it before it writes, `fold_into` does not.
    """

    __slots__ = (
        "cancelled",
        "compensated",
        "deadlines",
        "end",
        "failing",
        "failing_outcome",
        "held",
        "imported",
        "keyed_by_id",
        "lasting",
        "names",
        "observers",
        "outcomes",
        "pivoted",
        "pruned",
        "seen",
        "started",
        "steps",
        "types",
        "unowned",
        "version",
    )

    def __init__(self) -> None:
        self.keyed_by_id = False
        self.version = 0
        self.started = False
        self.cancelled = False
        self.pivoted = False
        self.imported = False
        self.pruned = False
        self.failing = ""
        self.failing_outcome = ""
        self.end: Literal["", "completed", "failed"] = ""
        self.seen: dict[str | tuple[str, int], int] = {}
        self.types: set[str] = set()
        self.outcomes: dict[str, str] = {}
        self.compensated: set[str] = set()
        self.lasting: set[str] = set()
        self.steps: dict[str, Progress] = {}
        self.observers: dict[str, tuple[str, ...]] = {}
        self.deadlines: dict[str, str] = {}
        self.unowned: dict[str, UnownedOutcome] = {}
        self.names: frozenset[str] = frozenset()
        self.held: dict[str, Envelope] = {}

    def copy(self) -> Instance:
        """Return an equal instance that shares nothing mutable with this one."""
        twin = Instance.__new__(Instance)
        twin.keyed_by_id = self.keyed_by_id
        twin.version = self.version
        twin.started = self.started
        twin.cancelled = self.cancelled
        twin.pivoted = self.pivoted
        twin.imported = self.imported
        twin.pruned = self.pruned
        twin.failing = self.failing
        twin.failing_outcome = self.failing_outcome
        twin.end = self.end
        twin.seen = self.seen.copy()
        twin.types = self.types.copy()
        twin.outcomes = self.outcomes.copy()
        twin.compensated = self.compensated.copy()
        twin.lasting = self.lasting.copy()
        twin.steps = self.steps.copy()
        twin.observers = self.observers.copy()
        twin.deadlines = self.deadlines.copy()
        twin.unowned = self.unowned.copy()
        twin.names = self.names
        twin.held = self.held.copy() if self.held else {}
        return twin

    def key(self) -> tuple[Any, ...]:
        """Return a hashable value that is equal exactly for equal instances."""
        return (
            self.version,
            self.started,
            self.cancelled,
            self.pivoted,
            self.imported,
            self.pruned,
            self.failing,
            self.failing_outcome,
            self.end,
            frozenset(self.seen.items()),
            frozenset(self.types),
            frozenset(self.outcomes.items()),
            frozenset(self.compensated),
            frozenset(self.lasting),
            frozenset(self.steps.items()),
            frozenset(self.observers.items()),
            frozenset(self.deadlines.items()),
            frozenset(self.unowned.items()),
            self.names,
            tuple(self.held),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instance) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    def __repr__(self) -> str:
        return f"<Instance {self.state} { ({step: p.state for step, p in self.steps.items()}) }>"

    @property
    def aborted(self) -> bool:
        """Whether a failure, a timeout or a cancellation stops what comes next (R4)."""
        return bool(self.failing) or self.cancelled

    @property
    def rolls_back(self) -> bool:
        """Whether it is aborted and cannot complete any more; a cancelled saga can after the pivot."""
        return bool(self.failing) or (self.cancelled and not self.pivoted)

    @property
    def state(self) -> SagaState:
        """The state of the saga."""
        if self.end:
            return self.end if self.is_at_rest else "compensating"
        if self.rolls_back:
            return "compensating"
        return "pending" if len(self.outcomes) > 1 else "started"

    @property
    def is_at_rest(self) -> bool:
        """Whether the saga has ended, and nothing in a branch of an import is still to be undone (R8)."""
        return bool(self.end) and not (self.end == "failed" and self.imported and self._done())

    def rest(self) -> None:
        """Take a saga that has failed as one in which nothing is to be undone, as its rows say (R9)."""
        self.lasting |= self._done()

    def _done(self) -> set[str]:
        """Return the steps that have succeeded and are to be undone."""
        settled = self.compensated | self.lasting
        return {step for step, outcome in self.outcomes.items() if outcome == SUCCEEDED} - settled

    def id_type(self, saga_type: str) -> str:
        """Return the saga type from which ids are derived, empty where they are derived without one."""
        return "" if self.keyed_by_id else saga_type

    def step(self, name: str) -> Progress:
        """Return the progress of an own step."""
        return self.steps.get(name, PENDING)

    def state_of(self, step: str) -> StepState:
        """Return the state of a step: from the progress of an own one, from the outcome of another."""
        own = self.steps.get(step)
        if own is not None:
            return own.state
        if step in self.compensated:
            return "compensated"
        return _STATE_OF_OUTCOME.get(self.outcomes.get(step, ""), "pending")
