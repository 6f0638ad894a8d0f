"""``RolloutSearch``: visits the states in which a saga may be while participants are upgraded one by one.

Participants read the topic event by event, and one may be upgraded before each, and before each step that
begins or ends. Only moments are visited at which it may make a difference: an upgrade and an event, or a
step, that the release changes nothing about may come in either order. Otherwise the search is that of
`choreo.verify.engine.search`: by delays, with troubles. A deadline that passes when nothing else is left to
do is no trouble: it is what rescues a saga that waits in vain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from choreo.envelope import Envelope
from choreo.outcome import CANCEL, START, SUCCEEDED
from choreo.protocol import (
    Answer,
    Begin,
    Bury,
    Due,
    Ended,
    Expire,
    Input,
    Instance,
    Publish,
    Queue,
    fold_into,
)
from choreo.protocol.instance import PENDING
from choreo.verify.engine.budget import Meter
from choreo.verify.engine.model import Model
from choreo.verify.engine.search import (
    CHOICE,
    HOLD,
    SURE,
    ExternalEvent,
    Option,
    Read,
    Transition,
    Troubles,
    Upgrade,
    less,
    with_release,
)
from choreo.verify.rollout.mixture import ATTEMPT, COMPENSATION, PUT_OFF, Rollout, Upgraded

FURTHER = 20_000
"""Runs with more delays than must be are visited as long as states times steps are no more than this."""

STRANDED, REPEATED, REFUSED, KEPT, LATE, EARLY, UNDONE, OMITTED = (
    "stranded",
    "repeated",
    "refused",
    "kept",
    "late",
    "early",
    "undone",
    "omitted",
)
"""How a saga may break: it never ends; a step is done that another one did; a participant does not start, as
the saga needs what its release doesn't have; the saga fails and a step stays done, or is undone only later,
when nobody waits for it any more, or before a step that depends on it; it completes and a step is undone, or
was never done."""


DROPPED = "dropped"
"""Why a saga never ends whose version the release of a participant doesn't know any more."""


READ = Transition("read", Read())


class State(NamedTuple):
    """A state of the exploration; ``unread`` are the events that nobody has read yet.

    ``anew`` are the steps that were called as the new choreography says, of those that the old one calls
    otherwise.
    """

    saga: Instance
    unread: tuple[Envelope, ...]
    upgraded: Upgraded
    held: frozenset[str]
    troubles: Troubles
    anew: frozenset[str] = frozenset()


class Passed(NamedTuple):
    """The transitions that lead to a state, the last one first.

    ``near`` are the participants that could have been upgraded before it: to whom the moment mattered.
    """

    last: Transition
    near: tuple[str, ...]
    before: Passed | None


class Visit(NamedTuple):
    """A state that is to be visited: the one after an option in another state, to which a trail leads."""

    before: State
    option: Option
    near: tuple[str, ...]
    trail: Passed | None


class Signature(NamedTuple):
    """What breaks, whichever run shows it: how, and which step."""

    how: str
    step: str


class Break(NamedTuple):
    """How a saga breaks in a run: ``because`` says more of it.

    ``moments`` are, for each participant that is upgraded, the first and the last number of a transition
    before which it may be, without any difference to the run.
    """

    signature: Signature
    because: str
    transitions: tuple[Transition, ...]
    moments: Mapping[str, tuple[int, int]]

    @property
    def length(self) -> tuple[int, int]:
        """What makes a run a long one: troubles, then transitions; an attempt under way shows little."""
        troubles = sum(each.is_trouble for each in self.transitions)
        return troubles + self.because.endswith(ATTEMPT), len(self.transitions)


class _BrokenError(Exception):
    def __init__(self, how: str, step: str, because: str = "") -> None:
        self.signature, self.because = Signature(how, step), because


class RolloutSearch:
    """The states of one saga during a rollout.

    Participants are upgraded in the order ``order``, in any order where that is None. ``always`` is what must
    have been done in a saga that completes, and in which nothing went wrong: steps, and success events.
    """

    def __init__(
        self,
        rollout: Rollout,
        troubles: int,
        order: tuple[str, ...] | None = None,
        always: frozenset[str] = frozenset(),
    ) -> None:
        self.rollout = rollout
        self._order = order
        self._always = always
        self.untroubled = Troubles(*(troubles,) * 3)
        first = State(Instance(), (), Upgraded(), frozenset(), self.untroubled)
        self._waiting = {0: [Visit(first, Option(), (), None)]}
        self._reached: dict[object, tuple[Troubles, ...]] = {}
        self._further = FURTHER // max(len(rollout.rank), 1)
        self._trail: Passed | None = None
        self.moments = 0
        self.is_cut = False
        self.done: frozenset[str] | None = None

    def breaks(self, meter: Meter) -> Iterator[Break]:
        """Visit every state, or as many as the meter allows; return what breaks in which runs."""
        delays = 0
        while self._waiting and not meter.is_empty:
            visits = self._waiting.get(delays, [])
            while visits and not meter.is_empty:
                if delays > SURE and self._has_enough():
                    self._waiting.clear()
                    self.is_cut = True
                    break
                visit = visits.pop()
                try:
                    self._visit(visit, delays, meter)
                except _BrokenError as broken:
                    yield self._break(broken)
            self._waiting.pop(delays, None)
            delays += 1

    def _break(self, broken: _BrokenError) -> Break:
        trail = _in_order(self._trail)
        moments: dict[str, tuple[int, int]] = {}
        for participant in self.rollout.changed:
            first, last = 0, len(trail)
            for number, (transition, near, _) in enumerate(trail):
                if isinstance(transition.input, Upgrade):
                    if transition.input.participant == participant:
                        last = number
                        break
                elif participant in near:
                    first = number + 1
            moments[participant] = first, last
        return Break(broken.signature, broken.because, tuple(each.last for each in trail), moments)

    def _has_enough(self) -> bool:
        return len(self._reached) + sum(map(len, self._waiting.values())) > self._further

    def _visit(self, visit: Visit, delays: int, meter: Meter) -> None:
        state = self._read_on(self._arrive(visit))
        key = self._key(state)
        known = self._reached.get(key, ())
        if any(troubles.cover(state.troubles) for troubles in known):
            return
        self._reached[key] = (*known, state.troubles)
        meter.count()
        ready = self._ready(state)
        near = self._near(state, ready)
        for option in self.options(state, ready, near, just_held=bool(visit.option.held)):
            after = Visit(state, option, near, self._trail)
            self._waiting.setdefault(delays + option.delays, []).append(after)

    def _arrive(self, visit: Visit) -> State:
        last = visit.option.transition
        self._trail = Passed(last, visit.near, visit.trail) if last else visit.trail
        return self.after(visit.before, visit.option)

    def _read_on(self, state: State) -> State:
        """Read events up to the first before which an upgrade may make a difference.

        Nothing else may be done. The saga of the state is changed: no other state has one with unread events.
        """
        if not state.unread or self._near(state, ()):
            return state
        saga, unread, left = state.saga, list(state.unread), self._left(state)
        before = self._called(saga)
        while unread and not any(self.rollout.is_near(each, unread[0]) for each in left):
            self._trail = Passed(READ, (), self._trail)
            self._fold(state, saga, unread.pop(0), unread)
        held = _still_held(state.held, saga)
        return state._replace(unread=tuple(unread), held=held, anew=self._anew(state, saga, before))

    def _key(self, state: State) -> object:
        """Return all on which depends how the saga goes on.

        Where it is only undone, what came to nothing doesn't matter, nor does any event but those that call
        compensations of what is still done.
        """
        saga, upgraded, held = state.saga, state.upgraded, state.held
        flags: tuple[object, ...]
        unread = tuple((each.step, each.outcome, each.type) for each in state.unread)
        if self._only_undoes(state):
            done = [
                (name, progress, saga.outcomes.get(name))
                for name, progress in saga.steps.items()
                if progress.state in ("completed", "compensating")
            ]
            calling = self.rollout.calling
            types = frozenset(event for name, *_ in done for event in calling[name] if event in saga.types)
            late = frozenset(_undone_late(saga)) if saga.end else frozenset[str]()
            flags = (saga.end, CANCEL in saga.outcomes, late, state.anew)
            return unread, upgraded, held, flags, frozenset(done), types
        flags = (
            state.anew,
            saga.end,
            saga.version,
            saga.cancelled,
            saga.failing,
            frozenset(saga.deadlines.items()),
        )
        steps, types = frozenset(saga.steps.items()), frozenset(saga.types)
        if self.rollout.is_ambiguous:
            flags = (*flags, frozenset(saga.outcomes.items()), frozenset(saga.compensated))
        return unread, upgraded, held, flags, steps, types

    def _only_undoes(self, state: State) -> bool:
        if not state.saga.failing or self.rollout.begins_in_rollback:
            return False
        return all(
            each.activity == "idle" or each.state == "compensating" for each in state.saga.steps.values()
        ) and all(each.outcome != SUCCEEDED for each in state.unread)

    # What may be done in a state

    def options(
        self, state: State, ready: Sequence[str], near: Sequence[str], *, just_held: bool = False
    ) -> Iterator[Option]:
        """Return all that may be done in a state: who is ``near`` is upgraded, what is ``ready`` goes on."""
        for participant in near if self._order is None or not near else self._left(state)[:1]:
            yield Option(Transition("upgrade", Upgrade(participant)))
        if state.unread:
            yield Option(READ)
        elif START not in state.saga.outcomes:
            if self._may_start(state):
                yield Option(Transition("start", Ended(START, SUCCEEDED, self.rollout.old.contract.starts)))
                yield from map(Option, self._cancellations(state))
        else:
            yield from self._going_on(state, ready, just_held=just_held)

    def _may_start(self, state: State) -> bool:
        """Whether the saga starts here; after all upgrades it would be one of the new choreography alone."""
        is_mixed = bool(self._left(state)) or not state.upgraded
        return is_mixed and self.rollout.may_start(state.upgraded)

    def _going_on(self, state: State, ready: Sequence[str], *, just_held: bool) -> Iterator[Option]:
        free = [name for name in ready if name not in state.held]
        going_on = free[:1] or sorted(state.held)
        outside = [*self._deadlines(state, is_quiet=not going_on), *self._cancellations(state)]
        is_quiet = not going_on and not any(each.kind == "due" for each in outside)
        if is_quiet and (state.saga.is_at_rest or not self._left(state)):
            self._check_end(state)
            return
        if free and (free[1:] or state.held or outside):
            yield from self._holding(state, free[0])
        for name in going_on:
            yield from self._ending(state, name)
        if free and state.held and not just_held:
            outside = []
        failures = self._failures(state, state.held.difference(going_on))
        for transition in (*failures, *outside):
            yield from with_release(transition, state.held)

    def _ready(self, state: State) -> list[str]:
        """Return all that can go on: compensations first, the last step's before the others'."""
        saga = state.saga
        acting: list[str] = []
        undoing: list[str] = []
        for name, progress in saga.steps.items():
            if progress.activity in ("queued", "running"):
                (undoing if progress.state == "compensating" else acting).append(name)
        if not saga.end:
            imported = self.rollout.model(state.upgraded).imported
            acting += [step.name for step in imported if step.name not in saga.outcomes]
        rank = self.rollout.rank.__getitem__
        return sorted(undoing, key=rank, reverse=True) + sorted(acting, key=rank)

    def _left(self, state: State) -> list[str]:
        """Return the participants that are still to be upgraded, in their order."""
        among = self.rollout.changed if self._order is None else self._order
        return [name for name in among if name not in state.upgraded]

    def _near(self, state: State, ready: Sequence[str]) -> tuple[str, ...]:
        """Return the participants to which it may make a difference to be upgraded now, not later."""
        left = self._left(state)
        if not left or state.unread:
            return tuple(each for each in left if self.rollout.is_near(each, state.unread[0]))
        if START not in state.saga.outcomes:
            names: Iterable[str] = (START, CANCEL)
        elif ready:
            put_off = (name for name, each in state.saga.steps.items() if each == PUT_OFF)
            names = (*ready, *state.saga.deadlines, *put_off)
        elif state.saga.is_at_rest:
            return ()
        else:
            return tuple(left)
        return tuple(each for each in left if not self.rollout.touched[each].names.isdisjoint(names))

    def _holding(self, state: State, name: str) -> Iterator[Option]:
        if name == START:  # it ends the saga, and whatever comes after that is void
            yield Option(held=name)
        elif name in self.rollout.varied:
            yield Option(held=name, delays=HOLD)

    def _ending(self, state: State, name: str) -> Iterator[Option]:
        progress, model = state.saga.step(name), self.rollout.model(state.upgraded)
        if progress.state == "compensating":
            yield Option(Transition("compensate", model.compensated(name, progress.result)))
        elif progress.activity == "queued":
            yield Option(Transition("begin", Begin(name)))
        elif progress.activity == "running":
            for number, success in enumerate(model.graph.steps[name].successes):
                ended = Transition("end", Ended(name, SUCCEEDED, success))
                yield Option(ended, delays=CHOICE if number else 0)
            for transition in self._failures(state, (name,)):
                yield from with_release(transition, state.held - {name})
        else:
            event = model.graph.steps[name].successes[0]
            yield Option(Transition("import", ExternalEvent(name, SUCCEEDED, event)))

    def _failures(self, state: State, names: Iterable[str]) -> Iterator[Transition]:
        model = self.rollout.model(state.upgraded)
        for name in sorted(names) if state.troubles.failures else ():
            if state.saga.step(name).activity == "running" and name in self.rollout.varied:
                for each in model.failures(model.role.action[name]):
                    yield Transition("end", each)

    def _deadlines(self, state: State, *, is_quiet: bool) -> Iterator[Transition]:
        if state.troubles.deadlines or is_quiet:
            for name, deadline in sorted(state.saga.deadlines.items()):
                if deadline == "armed":
                    yield Transition("due", Due(name))

    def _cancellations(self, state: State) -> Iterator[Transition]:
        aborts, saga = self.rollout.model(state.upgraded).graph.contract.aborts, state.saga
        if aborts and state.troubles.cancellations and CANCEL not in saga.outcomes and not saga.end:
            yield Transition("cancel", ExternalEvent(CANCEL, SUCCEEDED, aborts))

    # The state after

    def after(self, state: State, option: Option) -> State:
        """Return the state after something is done; raise where the saga breaks."""
        if option.held:
            return state._replace(held=state.held | {option.held})
        transition = option.transition
        if transition is None:
            return state
        if isinstance(transition.input, Upgrade):
            return self._upgraded(state, transition.input.participant)
        saga, unread = state.saga.copy(), list(state.unread)
        self._take(state, saga, unread, transition)
        if isinstance(transition.input, Ended) and transition.kind == "end":
            self._check_once(saga, state.unread, transition.input)
            self._check_basis(state, saga, transition.step)
        elif transition.kind == "compensate":
            self._check_order(state, transition.step)
        held = frozenset[str]() if option.releases else state.held - {transition.step}
        troubles = less(state.troubles, transition)
        if troubles.deadlines < 0:  # passed when nothing else was left to do
            troubles = troubles._replace(deadlines=0)
        anew = self._anew(state, saga, self._called(state.saga))
        return State(saga, tuple(unread), state.upgraded, _still_held(held, saga), troubles, anew)

    def _called(self, saga: Instance) -> set[str]:
        steps = saga.steps
        return {name for name in self.rollout.recalled if steps.get(name, PENDING) != PENDING}

    def _anew(self, state: State, saga: Instance, before: Set[str]) -> frozenset[str]:
        """Return the steps that were called as the new choreography says, after something was done.

        ``before`` are those that were called when nothing of it was done yet.
        """
        called = self._called(saga) - before
        return state.anew.union(name for name in called if name.partition(".")[0] in state.upgraded)

    def _take(self, state: State, saga: Instance, unread: list[Envelope], transition: Transition) -> None:
        """Let a transition happen; what is published follows the events that are unread."""
        input, model = transition.input, self.rollout.model(state.upgraded)
        if isinstance(input, Read):
            self._fold(state, saga, unread.pop(0), unread)
        elif isinstance(input, ExternalEvent):
            unread.append(model.envelope(*input))
        elif transition.kind == "start" and not model.role.owns_start:
            unread.append(model.envelope(START, SUCCEEDED, model.graph.contract.starts))
        elif not isinstance(input, Upgrade):
            self._fold(state, saga, input, unread)

    def _fold(self, state: State, saga: Instance, input: Input, unread: list[Envelope]) -> None:
        model = self.rollout.model(state.upgraded)
        for decision in fold_into(model.role, saga, input):
            match decision:
                case Queue("action", name) | Answer(name) if self.rollout.puts_off(name, state.upgraded):
                    saga.steps[name] = PUT_OFF
                case Publish() | Answer() | Expire():
                    step, outcome, event = model.role.outcome_of(decision)
                    if event:
                        unread.append(model.envelope(step, outcome, event))
                case Bury(_, name, reason):
                    raise _BrokenError(REFUSED, name, reason)

    def _upgraded(self, state: State, participant: str) -> State:
        if self.rollout.is_dropped and state.saga.started and not state.saga.is_at_rest:
            own = (name for name, step in self.rollout.old.steps.items() if step.participant == participant)
            raise _BrokenError(STRANDED, min(own, key=self._rank), DROPPED)
        needs = self.rollout.needs(state.saga, participant)
        if needs:
            first = min(needs, key=lambda need: need.what != COMPENSATION)
            raise _BrokenError(REFUSED, first.step, f"{participant}\n{first.what}")
        saga = state.saga.copy()
        self.rollout.upgrade(saga, participant)
        self.moments += 1
        return state._replace(
            saga=saga, upgraded=state.upgraded | {participant}, held=state.held.intersection(saga.steps)
        )

    # What may break

    def _check_once(self, saga: Instance, unread: Iterable[Envelope], ended: Ended) -> None:
        """Check that a step that succeeds has not done what another one did: they return the same event."""
        coming = {each.step for each in unread if each.type == ended.type}
        if ended.outcome != SUCCEEDED or not (coming or ended.type in saga.types):
            return
        for other in sorted(self.rollout.emitters.get(ended.type, frozenset()) - {ended.step}):
            is_done = other in coming or saga.outcomes.get(other) == SUCCEEDED
            if is_done and other not in saga.compensated:
                raise _BrokenError(REPEATED, ended.step, other)

    def _check_order(self, state: State, step: str) -> None:
        """Check that nothing that depends on a step is still done when the step is undone."""
        saga, result = state.saga, self._leading_on(state.saga, step)
        for other, progress in saga.steps.items() if result else ():
            if progress.state in ("completed", "compensating") and result in self._calls(state, other):
                raise _BrokenError(EARLY, step, other)

    def _check_basis(self, state: State, saga: Instance, step: str) -> None:
        """Check that nothing on which a step depends is undone already when the step is done."""
        calls = self._calls(state, step)
        if not calls or saga.step(step).state not in ("completed", "compensating"):
            return
        for other, progress in saga.steps.items():
            if progress.state == "compensated" and self._leading_on(saga, other) in calls:
                raise _BrokenError(EARLY, other, step)

    def _calls(self, state: State, step: str) -> frozenset[str]:
        """Return the events that call a step which can be undone."""
        return self.rollout.calls(step, is_anew=step in state.anew)

    def _leading_on(self, saga: Instance, step: str) -> str:
        """Return the event by which a step has called others that must be undone before it, or nothing."""
        if saga.outcomes.get(step) != SUCCEEDED:
            return ""
        if step == START and not self.rollout.begins_in_rollback:
            return ""  # what is undone after the end is undone too late
        return saga.step(step).result

    def _check_end(self, state: State) -> None:
        saga = state.saga
        if not saga.end:
            raise _BrokenError(STRANDED, *self._missed(state))
        done = {name for name, outcome in saga.outcomes.items() if outcome == SUCCEEDED}
        done |= {name for name, each in saga.steps.items() if each.state == "completed"}
        undone = saga.compensated | {name for name, e in saga.steps.items() if e.state == "compensated"}
        action = self.rollout.model(state.upgraded).role.action
        if saga.end == "failed":
            left = (done - undone) & action.keys()
            if left:
                raise _BrokenError(KEPT, min(left, key=self._rank))
            late = _undone_late(saga) & action.keys()
            if late:
                raise _BrokenError(LATE, min(late, key=self._rank))
            return
        back = done & undone
        if back:
            raise _BrokenError(UNDONE, min(back, key=self._rank))
        if state.troubles != self.untroubled:
            return
        came = frozenset(done | saga.types).union(each.result for each in saga.steps.values() if each.result)
        self.done = came if self.done is None else self.done & came
        missing = self._always - came
        if missing:
            raise _BrokenError(OMITTED, min(missing, key=self._rank))

    def _rank(self, name: str) -> tuple[int, str]:
        return self.rollout.rank.get(name, len(self.rollout.rank)), name

    def _missed(self, state: State) -> tuple[str, str]:
        """Return the step that the saga waits for, and the state in which it is left.

        It is the first whose trigger came when nobody called it, or whose compensation nothing calls.
        """
        saga, model = state.saga, self.rollout.model(state.upgraded)
        for name in self.rollout.rank:
            action = model.role.action.get(name)
            progress = saga.step(name)
            if action is None or progress.activity != "idle":
                continue
            if progress.state == "completed" and saga.rolls_back and name != START and action.compensations:
                return name, progress.state
            if progress.state == "pending" and action.trigger.satisfied(saga.types):
                return name, progress.state
        touched = (
            n for n in self.rollout.rank if n in model.role.action and self._half_filled(saga, model, n)
        )
        return next(touched, ""), "pending"

    @staticmethod
    def _half_filled(saga: Instance, model: Model, name: str) -> bool:
        return saga.step(name).state == "pending" and model.role.action[name].trigger.touched(saga.types)


def _undone_late(saga: Instance) -> set[str]:
    """Return the steps that are compensated, and of which the saga took no notice before it ended."""
    undone = {name for name, progress in saga.steps.items() if progress.state == "compensated"}
    return undone - saga.compensated


def _still_held(held: frozenset[str], saga: Instance) -> frozenset[str]:
    """Return the steps that were held up and can still go on."""
    if not held:
        return held
    return frozenset(name for name in held if saga.step(name).activity in ("queued", "running"))


def _in_order(trail: Passed | None) -> list[Passed]:
    """Return the transitions of a trail, the first one first."""
    found: list[Passed] = []
    while trail:
        found.append(trail)
        trail = trail.before
    return found[::-1]
