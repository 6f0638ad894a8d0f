"""Small sagas to explore: their steps, the compensations that R7 asks for, and everybody's role."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from choreo.envelope import Envelope, event_id
from choreo.outcome import (
    CANCEL,
    COMPENSATABLE,
    COMPENSATED,
    FAILED,
    PIVOT,
    RETRIABLE,
    START,
    SUCCEEDED,
    TIMED_OUT,
    Kind,
    Outcome,
)
from choreo.protocol import Action, Compensation, Contract, Deadline, Role, Trigger

STARTED, COMPLETES, FAILS, CANCELLED = "Started", "Completed", "Failed", "Cancelled"
ORDERS = "orders"


@dataclass(frozen=True)
class Step:
    """One action: what triggers it, and the events that it may end in. Every step has its own participant."""

    name: str
    on: Trigger
    results: tuple[str, ...]
    kind: Kind = COMPENSATABLE
    partial: bool = False

    @property
    def failure(self) -> str:
        return f"{self.name}Failed"

    @property
    def can_fail(self) -> bool:
        return self.kind != RETRIABLE

    @property
    def answers(self) -> tuple[str, ...]:
        """Its compensated events: one for each result, none where it is not compensatable."""
        if self.kind != COMPENSATABLE:
            return ()
        if len(self.results) == 1:
            return (f"{self.name}Undone",)
        return tuple(f"{result}Undone" for result in self.results)

    @property
    def confirmed(self) -> Trigger:
        """What says that nothing of it is left: it has failed or is compensated."""
        return Trigger.of(self.failure, *self.answers)


@dataclass(frozen=True)
class Watch:
    """A deadline on a step: `far` counts from the start, otherwise from the step's trigger."""

    of: str
    far: bool = False

    @property
    def answer(self) -> str:
        return f"{self.of}Late{'Far' if self.far else ''}"


@dataclass(frozen=True)
class Saga:
    """A saga whose step results are its events; `COMPLETES` is the result of one of its steps.

    ``imports`` are events from outside, each of which comes once.
    """

    name: str
    steps: tuple[Step, ...]
    watches: tuple[Watch, ...] = ()
    imports: tuple[str, ...] = ()

    def with_watch(self, of: str, far: bool = False) -> Saga:
        return replace(self, watches=(*self.watches, Watch(of, far)))

    def with_partial(self, *names: str) -> Saga:
        """Let these steps leave something behind when they raise."""
        return replace(
            self, steps=tuple(replace(s, partial=s.partial or s.name in names) for s in self.steps)
        )

    @cached_property
    def step(self) -> dict[str, Step]:
        return {step.name: step for step in self.steps}

    @property
    def contract(self) -> Contract:
        return Contract(self.name, STARTED, COMPLETES, FAILS, CANCELLED)

    def reverse_edges(self, result: str) -> Trigger:
        """Return R7's trigger for undoing what ``result`` says: its successors that can fail are through."""
        successors = [step for step in self.steps if result in step.on.types and step.can_fail]
        return Trigger.all_of(*(step.confirmed for step in successors)) if successors else Trigger()

    def action(self, step: Step) -> Action:
        undo = tuple(
            Compensation(self.reverse_edges(result), answer, frozenset((result,)))
            for result, answer in zip(step.results, step.answers, strict=False)
        )
        failure = step.failure if step.can_fail else ""
        return Action(step.name, step.on, step.kind, failure, undo, step.partial)

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """The participant that starts the saga, then one for each step; the first sets the deadlines."""
        start = Action(
            START, Trigger(), "start", compensations=(Compensation(self.reverse_edges(STARTED), FAILS),)
        )
        first = Role(ORDERS, self.contract, (start,), deadlines=tuple(map(self._deadline, self.watches)))
        return (first, *(Role(step.name, self.contract, (self.action(step),)) for step in self.steps))

    def _deadline(self, watch: Watch) -> Deadline:
        after = Trigger.of(STARTED) if watch.far else self.step[watch.of].on
        return Deadline(watch.answer, watch.of, after, watch.answer)

    @cached_property
    def events(self) -> dict[str, Envelope]:
        """Every event that the saga may have, by its type: a type belongs to one outcome of one step."""
        made = [
            _envelope(ORDERS, START, "start", SUCCEEDED, STARTED),
            _envelope(ORDERS, START, "start", COMPENSATED, FAILS),
            _envelope(ORDERS, CANCEL, "cancellation", SUCCEEDED, CANCELLED),
            *(_envelope(ORDERS, f"{ORDERS}.{name}", "external", SUCCEEDED, name) for name in self.imports),
        ]
        for step in self.steps:
            outcomes: list[tuple[Outcome, str]] = [(SUCCEEDED, name) for name in step.results]
            outcomes += [(FAILED, step.failure), *((COMPENSATED, name) for name in step.answers)]
            made += [_envelope(step.name, step.name, step.kind, *outcome) for outcome in outcomes]
        for watch in self.watches:
            made.append(_envelope(ORDERS, watch.of, self.step[watch.of].kind, TIMED_OUT, watch.answer))
        return {event.type: event for event in made}


def _envelope(source: str, step: str, kind: Kind, outcome: Outcome, event_type: str) -> Envelope:
    return Envelope(
        id=event_id("s-1", "order", step, outcome, event_type),
        source=source,
        type=event_type,
        time=0,
        saga_id="s-1",
        saga_type="saga",
        saga_version=1,
        step=step,
        outcome=outcome,
        kind=kind,
    )


def step(name: str, on: Trigger | str, *results: str, kind: Kind = COMPENSATABLE) -> Step:
    """Make a step; a bare name is one triggering event, and no result means ``<name>Done``."""
    trigger = Trigger.of(on) if isinstance(on, str) else on
    return Step(name, trigger, results or (f"{name}Done",), kind)


def last(name: str, on: Trigger | str, kind: Kind = COMPENSATABLE) -> Step:
    """Make the step whose success completes the saga."""
    return step(name, on, COMPLETES, kind=kind)


A, B, C, L = "A", "B", "C", "L"


def chain(length: int) -> Saga:
    """A → B → C → …"""
    names = [chr(ord("A") + i) for i in range(length)]
    events = [STARTED, *(f"{name}Done" for name in names)]
    steps = [step(name, on) for name, on in zip(names[:-1], events, strict=False)]
    return Saga(f"chain-{length}", (*steps, last(names[-1], events[length - 1])))


JOIN = Saga(
    "join",
    (step(A, STARTED), step(B, STARTED), last(C, Trigger.all_of(Trigger.of("ADone"), Trigger.of("BDone")))),
)
LEAF = Saga("leaf", (step(A, STARTED), step(L, STARTED), last(C, "ADone")))
PIVOT_LAST = Saga("pivot-last", (step(A, STARTED), last(B, "ADone", PIVOT)))
PIVOT_MIDDLE = Saga(
    "pivot-middle", (step(A, STARTED), step(B, "ADone", kind=PIVOT), last(C, "BDone", RETRIABLE))
)
RETRIABLE_TAIL = Saga("retriable-tail", (step(A, STARTED), last(B, "ADone", RETRIABLE)))
RETRIABLE_FORK = Saga(
    "retriable-fork",
    (
        step(A, STARTED, kind=PIVOT),
        step(B, "ADone", kind=RETRIABLE),
        step(C, "ADone", kind=RETRIABLE),
        last("D", Trigger.all_of(Trigger.of("BDone"), Trigger.of("CDone")), RETRIABLE),
    ),
)
CHOICE = Saga(
    "choice",
    (step(A, STARTED, "A1", "A2"), step(B, "A1"), step(C, "A2"), last("D", Trigger.of("BDone", "CDone"))),
)
BYPASS = Saga("bypass", (step(A, STARTED, "A1", "A2"), step(B, "A1"), last(C, Trigger.of("A2", "BDone"))))
MERGE = Saga("merge", (step(A, STARTED), step(B, STARTED), last(C, Trigger.of("ADone", "BDone"))))
SHORTCUT = Saga(
    "shortcut",
    (step(A, STARTED), step(B, "ADone"), last(C, Trigger.all_of(Trigger.of("ADone"), Trigger.of("BDone")))),
)
"""B stands between A and C, and C waits for A as well."""
CHOICE_INTO_JOINS = Saga(
    "choice-into-joins",
    (
        step(A, STARTED, "A1", "A2"),
        step(B, STARTED),
        step(C, Trigger.all_of(Trigger.of("A1"), Trigger.of("BDone"))),
        step("D", Trigger.all_of(Trigger.of("A2"), Trigger.of("BDone"))),
        last("E", Trigger.of("CDone", "DDone")),
    ),
)
"""One of two joins never fills: it must answer for B all the same when the saga is aborted."""

IMPORT_IN_JOIN = Saga(
    "import-in-join",
    (step(A, STARTED), last(B, Trigger.all_of(Trigger.of("ADone"), Trigger.of("X")))),
    imports=("X",),
)
IMPORT_BRANCH = Saga(
    "import-branch",
    (step(A, STARTED), step(B, "X"), last(C, Trigger.all_of(Trigger.of("ADone"), Trigger.of("BDone")))),
    imports=("X",),
)
"""Nothing but the import calls B, and C waits for it."""
IMPORT_ROW = Saga(
    "import-row",
    (
        step(A, STARTED),
        step(B, "X"),
        step(C, "BDone"),
        last("D", Trigger.all_of(Trigger.of("ADone"), Trigger.of("CDone")), PIVOT),
    ),
    imports=("X",),
)
IMPORT_LEAF = Saga("import-leaf", (step(A, STARTED), step(L, "X"), last(C, "ADone")), imports=("X",))
