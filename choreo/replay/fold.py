"""``Replay``: folds a saga's log again, and compares every row with what the protocol decides; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from choreo.envelope import event_id
from choreo.errors import ReplayError
from choreo.outcome import TIMED_OUT
from choreo.protocol import (
    Answer,
    Arm,
    Decision,
    Expire,
    Ignored,
    Instance,
    Moved,
    Publish,
    Queue,
    Role,
    Unowned,
    steps,
)
from choreo.protocol.recorded_inputs import fold_row
from choreo.protocol.renaming import role_for
from choreo.records import Entry

_MISSING = "missing"

_EMITTED_ALONE = ("external", "cancellation")
"""The kinds of the events that no input led to: somebody emitted them into the saga."""


class Replay:
    """Folds the rows of one saga in order; after each row, ``saga`` is the state at that row.

    ``events`` are the rows of the events that were read from the topic, by their ids; ``unconfirmed`` those
    of the events that were published here and have not been read back from the topic. ``causes`` maps the
    task and name of work to the id of the event that last called for it; ``due_answers`` maps steps whose
    answer was decided and not published to the id of the event that called for it. ``role`` is that of
    today, with which rows are folded that `fold` is given no other one for. ``keyed_by_id`` and ``names`` are
    as in `Instance`, from what the store records.

    >>> from choreo.protocol import Action, Contract, Role, Trigger
    >>> contract = Contract("trip", "Asked", "Done", "Failed")
    >>> act = Action("doer.act", Trigger.of("Asked"), failure="NotDone")
    >>> replay = Replay(Role("doer", contract, (act,)))
    >>> replay.fold(Entry("s1", "trip", 1, "started", 0, "event", "start", "pending", "completed",
    ...                   "e1", "Asked", "succeeded", "start", "asker", offset=0))
    >>> replay.fold(Entry("s1", "trip", 1, "pending", 0, "ended", "doer.act", "pending", "completed",
    ...                   "e2", "Acted", "succeeded", "returned", "doer", "e1"))
    >>> for difference in replay.close():
    ...     print(difference)
    row 2: doer.act: saga_state is pending, folded it is started
    row 2: doer.act: event_id is e2, folded it is no such event
    row 2: doer.act: event is nothing, folded it is Acted published as succeeded
    """

    def __init__(self, role: Role, *, keyed_by_id: bool = False, names: frozenset[str] = frozenset()) -> None:
        self.role = role
        self.saga = Instance()
        self.saga.keyed_by_id = keyed_by_id
        self.saga.names = names
        self.differences: list[Difference] = []
        self.events: dict[str, Entry] = {}
        self.unconfirmed: dict[str, Entry] = {}
        self.causes: dict[tuple[str, str], str] = {}
        self.due_answers: dict[str, str] = {}
        self.rows = 0
        self._then = role
        self._moves: list[Moved] = []
        self._to_publish: dict[str, Publish | Answer] = {}
        self._cause = ""
        self._saga_id = ""
        self._logged: set[str] = set()

    def fold(self, entry: Entry, then: Role | None = None) -> None:
        """Fold one row by the role ``then``, which was in force when it was written (R9).

        Raises `ReplayError` for a row that no fold could have written.
        """
        if entry.input or entry.kind in _EMITTED_ALONE:
            self._end_input()
            self._then = then or self.role
        self.rows += 1
        self._logged.add(entry.step)
        self._saga_id = entry.saga_id
        if entry.is_remark and not self._moves:  # remarks come last
            return
        if not entry.input:
            self._consequence(entry)
        elif entry.input == "event":
            self._event(entry)
        elif entry.input in ("begin", "ended") and entry.step not in self._then.action:
            self._differ(entry.step, "step", "in the log", "not declared")
        else:
            self._local(entry)

    def close(self) -> Sequence[Difference]:
        """Return all differences, after the last row of the saga."""
        self._end_input()
        self._then = self.role
        self.differences = [
            each._replace(what="step", recorded="not in the log")
            if each.is_missing and each.step not in self._logged
            else each
            for each in self.differences
        ]
        # What is newly declared acts on what is folded from then on, and owes nothing before (R9).
        self.due_answers = {step: cause for step, cause in self.due_answers.items() if step in self._logged}
        return self.differences

    def _event(self, entry: Entry) -> None:
        saga, step = self.saga, entry.step
        old = saga.state_of(step)
        decisions = self._fold(entry)
        self.unconfirmed.pop(entry.event_id, None)
        self.events.setdefault(entry.event_id, entry)
        first = type(decisions[0]) if decisions else None
        if first is Unowned and entry.note != "unowned":
            self._differ(step, "event", f"{entry.event_type} from here", "never published here")
            return
        if first is Ignored and decisions[0] == Ignored("duplicate"):
            self._differ(step, "row", "an event", "one that came before")
            return
        is_void = first is Ignored
        new = old if is_void or step in self._then.action else saga.state_of(step)
        if (entry.note == "void") is not is_void:
            self._differ(step, "note", entry.note or "empty", "void" if is_void else "empty")
        self._compare(entry, old, new)
        self._cause = entry.event_id
        self._plan(decisions)

    def _local(self, entry: Entry) -> None:
        step = entry.step
        old = new = self.saga.state_of(step)
        decisions = self._fold(entry)
        self._cause = entry.causation_id
        self._plan(decisions)
        moves = self._moves
        if moves and moves[0].step == step:
            old, new = moves[0][1:3]
            del moves[0]
        elif entry.input == "observed":
            new = "completed"
        self._compare(entry, old, new)
        if entry.event_id:
            self._published(entry)

    def _consequence(self, entry: Entry) -> None:
        moves = self._moves
        if moves and moves[0].step == entry.step:
            move = moves.pop(0)
            self._compare(entry, move.old, move.new)
        elif entry.kind in _EMITTED_ALONE:
            self._compare(entry, "pending", "completed")
            self.unconfirmed[entry.event_id] = entry
            return
        elif entry.event_id:
            state = self.saga.state_of(entry.step)
            self._compare(entry, state, state)
        else:
            self._differ(entry.step, "row", f"{entry.old_state} → {entry.new_state}", "no such transition")
        if entry.event_id:
            self._published(entry)

    def _fold(self, entry: Entry) -> list[Decision]:
        try:
            return fold_row(self._then, self.saga, entry)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ReplayError(
                f"row {self.rows} of saga {entry.saga_id} can't be folded: {entry.input} of {entry.step}",
                hint="was the saga log written by another release, or changed by hand?",
            ) from error

    def _plan(self, decisions: Iterable[Decision]) -> None:
        """Record what the following rows must hold, and which event called for which work."""
        for decision in decisions:
            kind = type(decision)
            if kind is Moved:
                self._moves.append(decision)  # type: ignore[arg-type]
            elif kind is Queue:
                self.causes[decision.task, decision.name] = self._cause  # type: ignore[union-attr]
            elif kind is Arm:
                self.causes["deadline", decision.deadline] = self._cause  # type: ignore[union-attr]
            elif kind is Publish or kind is Answer:
                self._expect(decision)  # type: ignore[arg-type]
            elif kind is Expire and decision.deadline in self._then.deadline:  # type: ignore[union-attr]
                deadline = role_for(self._then, self.saga).deadline[decision.deadline]  # type: ignore[union-attr]
                self._expect(Publish(deadline.of, TIMED_OUT, deadline.answer))

    def _expect(self, what: Publish | Answer) -> None:
        self._to_publish[self._id_of(what)] = what

    def _id_of(self, what: Publish | Answer) -> str:
        id_type = self.saga.id_type(self.role.contract.saga)
        return event_id(self._saga_id, id_type, what.step, what.outcome, what.type)

    def _published(self, entry: Entry) -> None:
        self.unconfirmed[entry.event_id] = entry
        if self._to_publish.pop(entry.event_id, None) is not None:
            self.due_answers.pop(entry.step, None)  # of one that could not be built before
        elif not self._is_late_answer(entry):
            self._differ(entry.step, "event_id", entry.event_id, "no such event")

    def _is_late_answer(self, entry: Entry) -> bool:
        """Whether a row publishes an answer that was decided while the participant caught up (R4)."""
        if entry.step not in self.due_answers or entry.step not in self._then.action:
            return False
        del self.due_answers[entry.step]
        answers: list[Decision] = []
        steps.answer(self.saga, self._then.action[entry.step], answers, "")
        return any(isinstance(each, Answer) and self._id_of(each) == entry.event_id for each in answers)

    def _end_input(self) -> None:
        """Report the decisions on the last input that have no row."""
        if self._moves:
            for move in self._moves:
                self._differ(move.step, "row", _MISSING, f"{move.old} → {move.new}")
            self._moves.clear()
        if self._to_publish:
            for what in self._to_publish.values():
                if isinstance(what, Answer):
                    self.due_answers[what.step] = self._cause
                else:
                    self._differ(what.step, "event", "nothing", f"{what.type} published as {what.outcome}")
            self._to_publish.clear()

    def _compare(self, entry: Entry, old: str, new: str) -> None:
        state = self.saga.state
        if entry.saga_state != state:
            self._differ(entry.step, "saga_state", entry.saga_state, state)
        if entry.old_state != old:
            self._differ(entry.step, "old_state", entry.old_state, old)
        if entry.new_state != new:
            self._differ(entry.step, "new_state", entry.new_state, new)

    def _differ(self, step: str, what: str, recorded: str, folded: str) -> None:
        self.differences.append(Difference(self.rows, step, what, recorded, folded))


class Difference(NamedTuple):
    """One difference between a store and the result of folding its saga log again.

    ``row`` is the number of a saga's row in its log, from 1, or 0 for a row of another table; ``what`` is
    its column, or the table; it is ``step`` where the rows are of a release that declared the step or lacked
    it, other than this one. ``recorded`` is the value in the store, ``folded`` the value by the fold.

    >>> str(Difference(3, "payments.charge", "new_state", "completed", "failed"))
    'row 3: payments.charge: new_state is completed, folded it is failed'
    >>> str(Difference(0, "payments.charge", "schedule", "nothing", "action due"))
    'payments.charge: schedule is nothing, folded it is action due'
    """

    row: int
    step: str
    what: str
    recorded: str
    folded: str

    @property
    def is_missing(self) -> bool:
        """Whether a transition that is folded has no row."""
        return self.what == "row" and self.recorded == _MISSING

    def __str__(self) -> str:
        where = f"row {self.row}: " if self.row else ""
        return f"{where}{self.step}: {self.what} is {self.recorded}, folded it is {self.folded}"
