"""``Role``: a participant's part in one saga, as names only, without code and payloads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, TypeVar

from choreo.outcome import COMPENSATABLE, RETRIABLE, START, TIMED_OUT, Kind, Outcome
from choreo.protocol.decisions import Answer, Expire, Publish
from choreo.protocol.trigger import Trigger

T = TypeVar("T")


class Contract(NamedTuple):
    """The contract of a saga, which all participants share; events are full names, empty where none."""

    saga: str
    starts: str
    completes: str
    fails: str
    aborts: str = ""
    version: int = 1


class Compensation(NamedTuple):
    """A compensation: its trigger, the success events of its action that it undoes, and its answer.

    ``trigger`` is empty for a step without successors that can fail, which the saga's first failure
    compensates (R7). ``results`` is empty when it undoes every success event.
    """

    trigger: Trigger
    answer: str
    results: frozenset[str] = frozenset()

    @property
    def is_leaf(self) -> bool:
        """Whether no event of another step calls it."""
        return not self.trigger


class ServesResults(Protocol):
    """A compensation of any type: `Compensation`, a handler, or a handler of a manifest."""

    @property
    def results(self) -> frozenset[str]:
        """The success events of the action that it undoes; empty for all of them."""
        ...


C = TypeVar("C", bound=ServesResults)


def serves(compensation: ServesResults, result: str) -> bool:
    """Whether a compensation undoes an action that emitted the success event ``result``."""
    return not compensation.results or result in compensation.results


def compensation_for(compensations: Iterable[C], result: str) -> C | None:
    """Return the compensation that undoes an action that emitted ``result``, or None."""
    for compensation in compensations:
        if serves(compensation, result):
            return compensation
    return None


class Action(NamedTuple):
    """An action: its trigger, its kind, the failure event that answers a refusal, its compensations.

    ``partial``: an attempt that raised may have had outside effects, so it is compensated before its failure
    is published.
    """

    step: str
    trigger: Trigger
    kind: Kind = COMPENSATABLE
    failure: str = ""
    compensations: tuple[Compensation, ...] = ()
    partial: bool = False

    @property
    def can_fail(self) -> bool:
        """Whether it may fail or be refused."""
        return self.kind != RETRIABLE


class Observer(NamedTuple):
    """An observer: a handler that publishes nothing, such as a read model or a notification."""

    name: str
    trigger: Trigger


class Deadline(NamedTuple):
    """A deadline of step ``of``, armed by ``after``; ``answer`` is the event that times the step out."""

    name: str
    of: str
    after: Trigger
    answer: str


@dataclass(frozen=True)
class Role:
    """The declarations of one participant in one saga. The step that starts the saga is an action too.

    ``reads`` are the event types that handlers take without being called by them. ``names`` are those of
    each handler that was renamed, newest first: the last one is its identity, by which the other fields know
    it, and the others are its aliases (see `choreo.protocol.renaming`).

    >>> reserve = Action("inventory.reserve", Trigger.of("OrderCreated"), failure="InventoryUnavailable")
    >>> contract = Contract("order-fulfilment", "OrderCreated", "OrderFulfilled", "OrderFailed")
    >>> sorted(Role("inventory", contract, (reserve,)).handles)
    ['OrderCreated']
    """

    participant: str
    contract: Contract
    actions: tuple[Action, ...] = ()
    observers: tuple[Observer, ...] = ()
    deadlines: tuple[Deadline, ...] = ()
    reads: frozenset[str] = frozenset()
    names: tuple[tuple[str, ...], ...] = ()

    family: dict[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    aliases: frozenset[str] = field(init=False, repr=False, compare=False)
    action: dict[str, Action] = field(init=False, repr=False, compare=False)
    triggered_by: dict[str, list[Action]] = field(init=False, repr=False, compare=False)
    compensated_by: dict[str, list[Action]] = field(init=False, repr=False, compare=False)
    observed_by: dict[str, list[Observer]] = field(init=False, repr=False, compare=False)
    armed_by: dict[str, list[Deadline]] = field(init=False, repr=False, compare=False)
    deadline: dict[str, Deadline] = field(init=False, repr=False, compare=False)
    watching: dict[str, list[Deadline]] = field(init=False, repr=False, compare=False)
    leaves: tuple[Action, ...] = field(init=False, repr=False, compare=False)
    joins: tuple[Action, ...] = field(init=False, repr=False, compare=False)
    handles: frozenset[str] = field(init=False, repr=False, compare=False)
    """The event types whose body this participant may need."""
    variants: dict[frozenset[str], Role] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        put("family", {name: names for names in self.names for name in names})
        put("aliases", frozenset(name for names in self.names for name in names[:-1]))
        put("variants", {})
        put("action", {action.step: action for action in self.actions})
        put("deadline", {deadline.name: deadline for deadline in self.deadlines})
        if self.names:
            self._add_aliases()
        put("triggered_by", _index(self.actions, lambda action: action.trigger.types))
        put("compensated_by", _index(self.actions, _calls))
        put("observed_by", _index(self.observers, lambda observer: observer.trigger.types))
        put("armed_by", _index(self.deadlines, lambda deadline: deadline.after.types))
        put("watching", _index(self.deadlines, lambda deadline: frozenset((deadline.of,))))
        put("leaves", tuple(a for a in self.actions if any(each.is_leaf for each in a.compensations)))
        put("joins", tuple(action for action in self.actions if action.trigger.is_join))
        indexes = (self.triggered_by, self.compensated_by, self.observed_by, self.armed_by)
        put("handles", self.reads.union(*indexes))

    def _add_aliases(self) -> None:
        """Look up steps and deadlines by each of their names; only the identities are in other indexes."""
        for action in self.actions:
            for name in self.family.get(action.step, ()):
                self.action.setdefault(name, action._replace(step=name))
        for deadline in self.deadlines:
            for name in self.family.get(deadline.name, ()):
                self.deadline.setdefault(name, deadline._replace(name=name))

    def under(self, known: frozenset[str]) -> Role:
        """Return the role for a saga that knows renamed handlers under the names ``known``.

        It may know a step under several, where releases that didn't declare the rename were in between: each
        is a step of its own, with its own compensation. An observer has one name, so that it sees an event
        once.
        """
        if known.isdisjoint(self.aliases):
            return self
        if known not in self.variants:
            self.variants[known] = self._variant(known)
        return self.variants[known]

    def _variant(self, known: frozenset[str]) -> Role:
        def names(identity: str) -> tuple[str, ...]:
            return tuple(each for each in self.family.get(identity, ()) if each in known) or (identity,)

        return replace(
            self,
            actions=tuple(each._replace(step=name) for each in self.actions for name in names(each.step)),
            observers=tuple(each._replace(name=names(each.name)[0]) for each in self.observers),
            deadlines=tuple(
                each._replace(name=name, of=names(each.of)[0])
                for each in self.deadlines
                for name in names(each.name)
            ),
        )

    @property
    def owns_start(self) -> bool:
        """Whether this participant starts the saga."""
        return START in self.action

    def outcome_of(self, decision: Publish | Answer | Expire) -> tuple[str, Outcome, str]:
        """Return the step, the outcome and the type of the event that a decision publishes."""
        if isinstance(decision, Expire):
            deadline = self.deadline[decision.deadline]
            return deadline.of, TIMED_OUT, deadline.answer
        return decision.step, decision.outcome, decision.type


def _calls(action: Action) -> frozenset[str]:
    return frozenset().union(*(each.trigger.types for each in action.compensations))


def _index(items: Iterable[T], types: Callable[[T], frozenset[str]]) -> dict[str, list[T]]:
    index: dict[str, list[T]] = {}
    for item in items:
        for name in types(item):
            index.setdefault(name, []).append(item)
    return index
