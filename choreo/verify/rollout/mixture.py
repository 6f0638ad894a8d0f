"""``Rollout``: one saga under two choreographies, and the mixtures of both while a release is rolled out.

A mixture has the new handlers of the participants that were upgraded, and the old ones of the others. As all
read the same topic in the same order, one role stands for all of them together.

What a participant did stays a fact when it is upgraded: the states of its steps, what they returned, what is
queued (R9). What its new release declares acts on the events that it reads from then on. A participant that
is new to the saga reads all events from the first one on, so its steps are only put off until it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from choreo.envelope import Envelope
from choreo.graph import SagaGraph, Step, role_of
from choreo.manifest import HandlerEntry
from choreo.outcome import EXTERNAL, FAILED, START, TIMED_OUT
from choreo.protocol import Instance, Progress, serves
from choreo.verify.engine.model import Model
from choreo.verify.engine.rows import further_in_rows

Upgraded = frozenset[str]
"""The participants that were upgraded."""


NONE = frozenset[str]()

PUT_OFF = Progress(activity="dead")
"""The progress of a step that was called, and whose participant is not there yet."""


class Touched(NamedTuple):
    """The steps and deadlines that a new release declares otherwise, and the events that call them."""

    names: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.names)


COMPENSATION = "a saga may still have to compensate it"
ATTEMPT = "an attempt may be under way"
ARMED = "it may be armed"


class Need(NamedTuple):
    """What a saga still needs of a participant, and its new release doesn't have: a step, and for what."""

    step: str
    what: str


class Rollout:
    """One saga of an old and of a new choreography.

    ``changed`` are the participants that take part otherwise in the new one, or in one of both only.
    Observers are left out: they publish nothing. ``is_dropped``: the saga is of a version that the new
    choreography doesn't know any more, so that whoever is upgraded does nothing for it.
    """

    def __init__(self, old: SagaGraph, new: SagaGraph, *, is_dropped: bool = False) -> None:
        self.old, self.new = (replace(graph, observers=()) for graph in (old, new))
        self.is_dropped = is_dropped
        self.participants = tuple(dict.fromkeys((*self.old.participants, *self.new.participants)))
        self.added = frozenset(self.new.participants) - frozenset(self.old.participants)
        self.touched = {name: self._touched(name) for name in self.participants}
        self.changed = tuple(name for name in self.participants if self.touched[name])
        self.whole = Upgraded(self.changed)
        self._models: dict[Upgraded, Model] = {}

    def model(self, upgraded: Upgraded) -> Model:
        """Return the mixture in which these participants were upgraded."""
        if upgraded not in self._models:
            model = self._models[upgraded] = Model(self._graph(upgraded))
            model.graph = self._with_former_names(model.graph)
        return self._models[upgraded]

    @cached_property
    def rank(self) -> dict[str, int]:
        """The order in which steps go on that can: that of the old choreography, then of the new one."""
        names = dict.fromkeys((*self.old.steps, *self.new.steps))
        return {name: number for number, name in enumerate(names)}

    @cached_property
    def varied(self) -> frozenset[str]:
        """The steps that may fail, or be held up: of a row that no release changes, two stand for all."""
        alike = {name for name in self.old.steps if self._is_alike(name)}
        alike -= {event for each in self.touched.values() for event in each.names}
        further = further_in_rows(self.old) & further_in_rows(self.new) & alike
        return frozenset(self.rank) - further

    @cached_property
    def emitters(self) -> dict[str, frozenset[str]]:
        """The steps that may emit each success event, in either choreography."""
        found: dict[str, frozenset[str]] = {}
        for step in (*self.old.steps.values(), *self.new.steps.values()):
            for event in step.successes:
                found[event] = found.get(event, frozenset()) | {step.name}
        return found

    @cached_property
    def is_ambiguous(self) -> bool:
        """Whether an event may be of several steps: of one of the old choreography, or one of the new."""
        return any(len(names) > 1 for names in self.emitters.values()) or bool(self.renamed)

    @cached_property
    def calling(self) -> dict[str, frozenset[str]]:
        """The events in the triggers of each step's compensations, of both choreographies."""
        return {
            name: frozenset[str]().union(
                *(undo.trigger.types for step in self._declared(name) for undo in step.compensations)
            )
            for name in self.rank
        }

    def _declared(self, step: str) -> Iterator[Step]:
        """Yield a step as both choreographies declare it, as far as they have it."""
        yield from filter(None, (self.old.steps.get(step), self._renewed(step)))

    @cached_property
    def begins_in_rollback(self) -> bool:
        """Whether a step may begin in the middle of a rollback: by an event of it, or from outside."""
        steps = (*self.old.steps.values(), *self.new.steps.values())
        triggers = frozenset[str]().union(*(step.trigger.types for step in steps))
        return not triggers <= self.emitters.keys() or any(step.kind == EXTERNAL for step in steps)

    def may_start(self, upgraded: Upgraded) -> bool:
        """Whether a saga of this version may be started: whoever starts it stamps it with its own version."""
        owner = self.old.steps[START].participant
        if self.old.contract.version == self.new.contract.version or owner not in self.changed:
            return True
        return owner not in upgraded

    def puts_off(self, step: str, upgraded: Upgraded) -> bool:
        """Whether the participant of a step is not there yet."""
        new = self.new.steps.get(step)
        return new is not None and new.participant in self.added - upgraded

    def is_near(self, participant: str, event: Envelope) -> bool:
        """Whether it may make a difference that a participant is upgraded before it reads an event."""
        touched = self.touched[participant]
        contract = self.old.contract
        ends = (contract.completes, contract.fails, contract.aborts)
        aborts = event.outcome in (FAILED, TIMED_OUT) or event.type in ends
        return aborts or event.type in touched.events or event.step in touched.names

    def needs(self, saga: Instance, participant: str) -> list[Need]:
        """Return what a saga still needs of a participant that its new release doesn't have."""
        if saga.is_at_rest:
            return []
        found = []
        for name, old in self.old.steps.items():
            progress = saga.steps.get(name)
            if old.participant != participant or progress is None:
                continue
            new = self.new.steps.get(self.renamed.get(name, name))
            new = new if new and new.participant == participant else None
            if progress.state in ("completed", "compensating") and _lacks(old, new, progress.result):
                found.append(Need(name, COMPENSATION))
            elif progress.activity != "idle" and new is None:
                found.append(Need(name, ATTEMPT))
        armed = (each for each in self.old.deadlines if saga.deadlines.get(each.known_as) == "armed")
        found += (
            Need(each.known_as, ARMED)
            for each in armed
            if each.participant == participant and not self._has_deadline(each.known_as)
        )
        return found

    def _has_deadline(self, name: str) -> bool:
        return any(each.known_as == self.renamed.get(name, name) for each in self.new.deadlines)

    @cached_property
    def recalled(self) -> frozenset[str]:
        """The steps that the new choreography calls by other events than the old one."""
        both = ((name, step, self._renewed(name)) for name, step in self.old.steps.items())
        return frozenset(name for name, old, new in both if new and new.trigger != old.trigger)

    def calls(self, step: str, *, is_anew: bool) -> frozenset[str]:
        """Return the events that call a step which can be undone, as one of both choreographies says."""
        return (self._calls_anew if is_anew or step not in self.old.steps else self._calls).get(step, NONE)

    @cached_property
    def _calls(self) -> dict[str, frozenset[str]]:
        return _calls_of((name, step) for name, step in self.old.steps.items())

    @cached_property
    def _calls_anew(self) -> dict[str, frozenset[str]]:
        return _calls_of((name, self._renewed(name)) for name in self.rank)

    def _renewed(self, step: str) -> Step | None:
        return self.new.steps.get(self.renamed.get(step, step))

    @cached_property
    def renamed(self) -> dict[str, str]:
        """The steps and deadlines that the new choreography knows by an older name than the old one does."""
        known = {*self.old.steps, *(each.known_as for each in self.old.deadlines)}
        names = ((alias, each.known_as) for each in self.new.handlers for alias in each.aliases)
        return {alias: name for alias, name in names if alias in known and name not in known}

    def upgrade(self, saga: Instance, participant: str) -> None:
        """Upgrade a participant: drop what its new release does not know, and take up what was put off."""
        known = {*self.new.steps, *(each.known_as for each in self.new.deadlines)}
        own = [name for name, step in self.old.steps.items() if step.participant == participant]
        own += [each.known_as for each in self.old.deadlines if each.participant == participant]
        for name in own:
            if name not in known and name not in self.renamed:
                saga.steps.pop(name, None)
                saga.deadlines.pop(name, None)
        for name, step in self.new.steps.items():
            if step.participant == participant and saga.step(name) == PUT_OFF:
                saga.steps[name] = PUT_OFF._replace(activity="queued")

    def _graph(self, upgraded: Upgraded) -> SagaGraph:
        old, new = self.old, self.new
        keeps = set(old.participants) - upgraded

        def mixed(ours: Iterable[HandlerEntry], theirs: Iterable[HandlerEntry]) -> tuple[HandlerEntry, ...]:
            return (
                *(each for each in ours if each.participant in keeps),
                *(each for each in theirs if each.participant not in keeps),
            )

        steps = {name: step for name, step in new.steps.items() if step.participant not in keeps}
        steps |= {name: step for name, step in old.steps.items() if step.participant in keeps}
        return replace(
            old,
            participants=self.participants,
            steps={name: steps[name] for name in self.rank if name in steps},
            deadlines=mixed(old.deadlines, new.deadlines),
            handlers=mixed(old.handlers, new.handlers),
        )

    def _with_former_names(self, graph: SagaGraph) -> SagaGraph:
        """Return a graph that knows a renamed step under the name, too, with which a saga may go on."""
        former = {
            name: replace(graph.steps[new], name=name)
            for name, new in self.renamed.items()
            if new in graph.steps and name not in graph.steps
        }
        return replace(graph, steps={**graph.steps, **former}) if former else graph

    def _touched(self, participant: str) -> Touched:
        old, new = (_parts(graph, participant) for graph in (self.old, self.new))
        both = old.keys() | new.keys()
        names = {name for name in both if self.is_dropped or old.get(name) != new.get(name)}
        parts = [part for each in (old, new) for name, part in each.items() if name in names]
        return Touched(frozenset(names), frozenset[str]().union(*(part.events for part in parts)))

    def _is_alike(self, name: str) -> bool:
        old, new = self.old.steps[name], self.new.steps.get(name)
        return new is not None and (old.trigger, old.successes) == (new.trigger, new.successes)


class _Part(NamedTuple):
    """All of a step or a deadline that a run depends on, and the events that call it."""

    what: tuple[object, ...]
    events: frozenset[str]


def _parts(graph: SagaGraph, participant: str) -> dict[str, _Part]:
    role = role_of(graph, participant)
    found = {each.name: _Part(tuple(each), each.after.types) for each in role.deadlines}
    for name, step in graph.steps.items():
        if step.participant == participant:
            action = role.action.get(name)
            calls = (undo.trigger.types for undo in action.compensations) if action else ()
            events = step.trigger.types.union(*calls)
            found[name] = _Part((action, step.kind, step.successes, step.failures), events)
    return found


def _calls_of(steps: Iterable[tuple[str, Step | None]]) -> dict[str, frozenset[str]]:
    return {name: step.trigger.types for name, step in steps if step and step.compensations}


def _lacks(old: Step, new: Step | None, result: str) -> bool:
    """Whether a step that had this result could be compensated, and can't be any more."""
    return _undoes(old, result) and (new is None or not _undoes(new, result))


def _undoes(step: Step, result: str) -> bool:
    """Whether a step with this result has a compensation; without one, nothing tells several apart."""
    if not result:
        return len({undo.name for undo in step.compensations}) == 1
    return any(serves(undo, result) for undo in step.compensations)
