"""Random choreographies, as manifests: right by rule R7 as they grow, until `mutants` spoils them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from choreo.manifest import Emission, HandlerEntry, Manifest
from choreo.outcome import COMPENSATABLE, PIVOT, RETRIABLE, START
from choreo.protocol import Trigger
from tests.verify.choreography_text import CANCELLED, COMPLETED, FAILED, MINUTE_MS, SAGA, STARTED, manifests

_FORMS = (
    "step",
    "sequence",
    "sequence",
    "fork",
    "leaf",
    "choice",
    "bypass",
    "merge",
    "shortcut",
    "outside",
)


@dataclass
class Plan:
    """One action to be, with the success events that it chooses from."""

    name: str
    on: Trigger
    successes: tuple[str, ...]
    kind: str = COMPENSATABLE
    failures: tuple[str, ...] = ()
    partial: bool = False
    runs: str = "inside"
    answers: tuple[str, ...] = ()

    @property
    def participant(self) -> str:
        return self.name.partition(".")[0]


@dataclass
class Grown:
    """What has grown so far: steps, imported events, deadlines, and who starts it all.

    ``optional`` counts the ways around what grows now; ``loose``: what comes at the end doesn't wait for all.
    """

    chance: random.Random
    participants: list[str]
    sound: bool = False
    optional: int = 0
    loose: bool = False
    plans: list[Plan] = field(default_factory=list)
    imports: list[tuple[str, str]] = field(default_factory=list)
    handlers: list[HandlerEntry] = field(default_factory=list)
    names: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def starter(self) -> str:
        return self.participants[0]

    def step(self, on: Trigger, successes: int = 1) -> Plan:
        number = next(self.names)
        done = [f"g.S{number}{letter}" for letter in "ABC"[:successes]] if successes > 1 else [f"g.S{number}"]
        plan = Plan(f"{self.chance.choice(self.participants)}.s{number}", on, tuple(done))
        plan.failures = (f"g.S{number}Failed",) + ((f"g.S{number}Bad",) if self.chance.random() < 0.1 else ())
        if self.chance.random() < 0.2:
            plan.runs = "coroutine"
            plan.partial = successes == 1 or (self.chance.random() < 0.3 and not self.sound)
        self.plans.append(plan)
        return plan

    def block(self, on: Trigger, room: int) -> Trigger:
        """Grow at most ``room`` steps that begin with ``on``; give the condition that they are through."""
        form = self.chance.choice(_FORMS) if room > 1 else "step"
        half = room // 2
        if form == "sequence":
            return self.block(self.block(on, half), room - half)
        if form == "fork":
            return Trigger.all_of(self.block(on, half), self.block(on, room - half))
        if form == "merge":
            self.loose = True
            return Trigger.any_of(self.block(on, half), self.block(on, room - half))
        if form == "shortcut":
            first = self.block(on, half)
            return Trigger.all_of(first, self.block(first, room - half))
        if form == "leaf":
            self.step(on)
            return self.block(on, room - 1)
        if form in ("choice", "bypass"):
            return self._choice(on, room - 1, form)
        if form == "outside" and len(self.imports) < 2:
            return self._outside(on, room)
        return self._awaited(Trigger.of(*self.step(on).successes))

    def _choice(self, on: Trigger, room: int, form: str) -> Trigger:
        one, two = (Trigger.of(name) for name in self.step(on, 2).successes)
        self.optional += 1
        first = self.block(one, max(room // 2, 1))
        second = two if form == "bypass" or room < 2 else self.block(two, room - room // 2)
        self.optional -= 1
        return Trigger.any_of(first, second)

    def _outside(self, on: Trigger, room: int) -> Trigger:
        """Grow a branch that an event from outside alone calls; now and then nobody waits for it."""
        event = self._imported()
        self.loose = self.loose or self.optional > 0
        if self.chance.random() < 0.3:
            self.step(event)
            return self.block(on, room - 1)
        branch = self.block(event, room // 2)
        return Trigger.all_of(self.block(on, room - room // 2), branch)

    def _awaited(self, on: Trigger) -> Trigger:
        """Now and then let an event from outside be waited for, too."""
        if self.chance.random() > 0.05 or self.imports:
            return on
        return Trigger.all_of(on, self._imported())

    def _imported(self) -> Trigger:
        name = f"g.X{next(self.names)}"
        self.imports.append((self.chance.choice(self.participants), name))
        return Trigger.of(name)


def grow(seed: int, room: int = 4, least: int = 1, sound: bool = False) -> list[Manifest]:
    """Return the manifests of a random choreography of one saga; the same seed gives the same one.

    It has room for ``least`` steps at least, and for ``room`` at most, and then come those that end it. Where
    it must be ``sound``, a choice has a compensation for each of its events, and nothing is late beside what
    is final: whatever else grows is.
    """
    chance = random.Random(seed)
    steps = chance.randint(least, room)
    names = [f"p{number}" for number in range(1, 2 + chance.randint(0, min(steps, 3 + room // 6)))]
    grown = Grown(chance, names, sound)
    through = grown.block(Trigger.of(STARTED), steps)
    _end(grown, through)
    for plan in grown.plans:
        plan.answers = _answers(grown, plan)
    for plan in grown.plans:
        _declare(grown, plan)
    _declare_start(grown)
    _declare_onlookers(grown)
    if chance.random() < 0.1:
        grown.handlers = [_derived(handler) for handler in grown.handlers]
    return manifests(grown.handlers, grown.imports, CANCELLED if chance.random() < 0.25 else "")


def _derived(handler: HandlerEntry) -> HandlerEntry:
    return replace(handler, trigger=Trigger(), derived=True) if handler.task == "compensation" else handler


def _end(grown: Grown, through: Trigger) -> None:
    """Add what completes the saga; nothing final where a leaf may fail beside it."""
    tail = grown.chance.choice(["plain", "plain", "pivot", "pivot and more", "retriable"])
    used = {name for plan in grown.plans for name in plan.on.types} | through.types
    if any(used.isdisjoint(plan.successes) for plan in grown.plans) or (grown.sound and grown.loose):
        tail = "plain"
    if tail == "pivot and more":
        pivot = grown.step(through)
        pivot.kind, pivot.partial = PIVOT, False
        through = Trigger.of(*pivot.successes)
        if grown.chance.random() < 0.3:
            through = Trigger.all_of(*(Trigger.of(*_retriable(grown, through).successes) for _ in "ab"))
        tail = "retriable"
    last = _retriable(grown, through) if tail == "retriable" else grown.step(through)
    if tail == "pivot":
        last.kind, last.partial = PIVOT, False
    last.successes = (COMPLETED,)


def _retriable(grown: Grown, on: Trigger) -> Plan:
    plan = grown.step(on)
    plan.kind, plan.failures, plan.partial = RETRIABLE, (), False
    return plan


def reverse_edges(plans: list[Plan], success: str) -> Trigger:
    """Return what undoes a success event by R7: each successor that can fail has failed, or is undone."""
    after = [plan for plan in plans if success in plan.on.types and plan.kind != RETRIABLE]
    ends = [Trigger.of(*plan.failures, *plan.answers) for plan in after]
    return Trigger.all_of(*ends) if ends else Trigger()


def _answers(grown: Grown, plan: Plan) -> tuple[str, ...]:
    """Return the compensated events: one for each success event, or one for all where none is a leaf's."""
    if plan.kind != COMPENSATABLE:
        return ()
    leaves = [not reverse_edges(grown.plans, success) for success in plan.successes]
    together = plan.partial or (not any(leaves) and grown.chance.random() < 0.3 and not grown.sound)
    names = tuple(f"{name}Undone" for name in plan.successes)
    return names[:1] if together else names


def _declare(grown: Grown, plan: Plan) -> None:
    grown.handlers.append(
        HandlerEntry(
            name=plan.name,
            task="action",
            step=plan.name,
            saga=SAGA,
            place=f"grown.py:{len(grown.handlers) + 1}",
            trigger=plan.on,
            emits=Emission(plan.successes, plan.failures),
            kind=plan.kind,
            timeout_ms=None if plan.kind == RETRIABLE else MINUTE_MS,
            runs=plan.runs,
            partial=plan.partial,
        )
    )
    if plan.kind != COMPENSATABLE:
        return
    edges = [reverse_edges(grown.plans, success) for success in plan.successes]
    if len(plan.answers) < len(edges):
        _declare_undo(grown, plan, Trigger.any_of(*edges), plan.successes, plan.answers[0])
    else:
        for edge, success, answer in zip(edges, plan.successes, plan.answers, strict=True):
            _declare_undo(grown, plan, edge, (success,), answer)


def _declare_undo(grown: Grown, plan: Plan, on: Trigger, undone: tuple[str, ...], answer: str) -> None:
    function = answer.removeprefix("g.").lower()
    grown.handlers.append(
        HandlerEntry(
            name=f"{plan.participant}.{function}",
            task="compensation",
            step=plan.name,
            saga=SAGA,
            place=f"grown.py:{len(grown.handlers) + 1}",
            trigger=on,
            emits=Emission((answer,)),
            results=frozenset(undone),
            aborted=True,
            optional_result=True,
            runs=plan.runs,
        )
    )


def _declare_start(grown: Grown) -> None:
    grown.handlers.append(
        HandlerEntry(
            name=f"{grown.starter}.give_up",
            task="compensation",
            step=START,
            saga=SAGA,
            place=f"grown.py:{len(grown.handlers) + 1}",
            trigger=reverse_edges(grown.plans, STARTED),
            emits=Emission((FAILED,)),
            results=frozenset((STARTED,)),
            aborted=True,
            optional_result=True,
        )
    )


def _declare_onlookers(grown: Grown) -> None:
    chance = grown.chance
    watchable = [plan for plan in grown.plans if plan.kind == COMPENSATABLE]
    final = any(plan.kind != COMPENSATABLE for plan in grown.plans)
    watchable = [] if final and grown.sound else watchable
    while watchable and chance.random() < 0.2:
        plan = watchable.pop(chance.randrange(len(watchable)))
        far = chance.random() < (0.15 if final else 0.5)
        after = Trigger.of(STARTED) if far else plan.on
        if chance.random() < 0.15:  # counted from what another step does
            after = Trigger.of(*chance.choice(grown.plans).successes)
        _declare_look(grown, plan.name, after, f"g.{plan.name.partition('.')[2].upper()}Late")
    for owner, event in grown.imports:
        if chance.random() < 0.1 and not final:
            name = event.rpartition(".")[2]
            _declare_look(grown, f"{owner}.{name}", Trigger.of(STARTED), f"{event}Late")
    if chance.random() < 0.2:
        _declare_look(grown, "", Trigger.of(COMPLETED, FAILED), "")


def _declare_look(grown: Grown, of: str, after: Trigger, answer: str) -> None:
    """Declare a deadline, or an observer where it has no answer."""
    owner, number = grown.chance.choice(grown.participants), len(grown.handlers) + 1
    name = f"{owner}.{'late' if answer else 'look'}{number}"
    grown.handlers.append(
        HandlerEntry(
            name=name,
            task="deadline" if answer else "observer",
            step=of or name,
            saga=SAGA,
            place=f"grown.py:{number}",
            trigger=after,
            emits=Emission((answer,) if answer else ()),
            within_ms=100 * MINUTE_MS if answer else None,
        )
    )
