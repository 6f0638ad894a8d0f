"""``RandomRun``: one run of a choreography, by chance, from its start to where nothing moves any more.

It makes the moves of the naive search, one instead of all of them, so it is judged by the same words. What
goes wrong, and when something comes from outside, is planned before, so that late troubles are as frequent as
early ones. Every other run goes by random priorities with a few points of change, which finds rare orders
sooner than even odds do.

Source: Burckhardt et al., *A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs* (2010).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import NamedTuple

from choreo.outcome import CANCEL, START, SUCCEEDED
from tests.verify.naive import CANCELLING, Budget, GlobalState, Search, Verdict, refuse, refuse_twice
from tests.verify.naive_participant import Effect, Move, Published, Violation


class Option(NamedTuple):
    """Something that may happen next: to which participant, what it does or what comes, what that costs."""

    label: str
    place: int
    what: Move | Published | None = None
    costs: str = ""
    is_reading: bool = False


class Doing(NamedTuple):
    """All that a participant may do in a state, with the steps that it is about.

    ``planned`` is what it may do where none of these is to fail, ``timeless`` what of that is no deadline.
    """

    options: tuple[Option, ...]
    steps: frozenset[str]
    planned: tuple[Option, ...]
    timeless: tuple[Option, ...]


class Plan(NamedTuple):
    """What is to go wrong in a run: steps that fail, deadlines that pass, whether it is cancelled.

    ``held`` are steps that wait until nothing else can happen.
    """

    fails: frozenset[str]
    late: frozenset[str]
    cancelled: bool
    held: frozenset[str] = frozenset()


Doings = dict[tuple[int, int], Doing]
"""What each participant may do in each of its states, by their numbers."""


def random_runs(
    search: Search, budget: Budget, runs: int, seed: int, aim: frozenset[str] = frozenset()
) -> Verdict:
    """Go so many random runs; return what the first wrong one shows, or that none was wrong.

    Where there is an ``aim``, it is steps of these names that fail and are held up, or deadlines that pass.
    """
    ends: set[str] = set()
    doings: Doings = {}
    states, length = 0, 100
    for number in range(runs):
        found = RandomRun(search, budget, random.Random(f"{seed}/{number}"), doings, length, aim).go()
        ends |= found.ends
        states += found.states
        length = max(found.states, 1)
        if found.wrong:
            return found._replace(states=states, ends=frozenset(ends))
    return Verdict("", states, (), frozenset(ends))


class RandomRun:
    """The one state that a run is in, and the chance that leads it on.

    ``doings`` is shared by the runs of a saga, ``length`` is about how many moves it will have.
    """

    def __init__(
        self,
        search: Search,
        budget: Budget,
        chance: random.Random,
        doings: Doings,
        length: int = 100,
        aim: frozenset[str] = frozenset(),
    ) -> None:
        self._search = search
        self._doings = doings
        self._chance = chance
        self._plan, self._deadlines = _plan(search, budget, chance, aim)
        self._read = [0] * len(search.participants)
        self._numbers = [0] * len(search.participants)
        self._inside = [self._what_may(place) for place in range(len(search.participants))]
        self._reading = [
            Option(f"{participant.name} reads on", place, is_reading=True)
            for place, participant in enumerate(search.participants)
        ]
        self._log: list[Published] = []
        self._past = 0
        self._imports = dict(sorted(search.imports.items()))
        self._begun = False
        self._path: list[str | tuple[str, str]] = []
        self._priorities: dict[str, float] | None = {} if aim or chance.random() < 0.5 else None
        self._changes = {chance.randrange(length) for _ in range(chance.randint(0, 4))}
        self._length = length
        self._moments: dict[str, int] = {}

    def go(self) -> Verdict:
        """Go to the end, and judge everything on the way."""
        try:
            while options := self._options():
                if len(options) == 1 and options[0].label == CANCELLING:
                    break  # nobody has to
                option = self._choose(options) if len(options) > 1 else options[0]
                self._path.append(option.label)
                self._take(option)
            return Verdict("", len(self._path), (), frozenset((self._judge_end(),)))
        except Violation as wrong:
            path = (each if isinstance(each, str) else " reads ".join(each) for each in self._path)
            return Verdict(str(wrong), len(self._path), tuple(path))

    def _choose(self, options: list[Option]) -> Option:
        priorities = self._priorities
        if priorities is None:
            return options[int(self._chance.random() * len(options))]
        first, most = options[0], -math.inf
        for option in options:
            priority = priorities.get(option.label)
            if priority is None:
                priority = priorities[option.label] = self._chance.random() - self._is_held(option)
            if priority > most:
                first, most = option, priority
        if len(self._path) in self._changes:
            priorities[first.label] = -len(self._path)
        return first

    def _is_held(self, option: Option) -> bool:
        """Whether an option is the beginning or the end of a step that waits."""
        held = self._plan.held
        return bool(held) and any(word in held for word in option.label.split())

    # What may happen

    def _options(self) -> list[Option]:
        is_alone = self._begun and not self._plan.cancelled and not self._imports
        outside = [] if is_alone else list(self._from_outside())
        options = outside.copy()
        log = len(self._log)
        for read, reading, inside in zip(self._read, self._reading, self._inside, strict=True):
            if read < log:
                options.append(reading)
            options += inside
        if self._deadlines > 0 and any(option.costs == "d" for option in options):
            # Time does pass where nothing else happens.
            planned = [o for o in options if o.costs != "d" or o.label in self._plan.late]
            options = planned or options
        elif not outside:
            return options
        come = [o for o in options if (o.place >= 0 and o.costs != "d") or self._has_come(o.label)]
        return come if any(option.label != CANCELLING for option in come) else options

    def _what_may(self, place: int) -> tuple[Option, ...]:
        """Return what a participant may do in its state, other than to read."""
        number = self._numbers[place]
        doing = self._doings.get((place, number)) or self._doing(place, number)
        if not doing.steps.isdisjoint(self._plan.fails):
            return tuple(filter(self._may, doing.options))
        return doing.planned if self._deadlines > 0 else doing.timeless

    def _doing(self, place: int, number: int) -> Doing:
        participant = self._search.participants[place]
        publishes = participant.states[number].outbox
        options = [Option(f"{participant.name} publishes", place)] if publishes else []
        moves = participant.moves(number)
        options += [Option(move.label, place, move, move.costs) for move in moves]
        planned = tuple(option for option in options if option.costs in ("", "d"))
        timeless = tuple(option for option in planned if not option.costs)
        steps = frozenset(effect.step for move in moves for effect in move.effects)
        doing = self._doings[place, number] = Doing(tuple(options), steps, planned, timeless)
        return doing

    def _may(self, option: Option) -> bool:
        """Whether something is in the plan: a step that is to fail does nothing else, and no other fails."""
        if option.costs == "d":
            return self._deadlines > 0
        effects = option.what.effects if isinstance(option.what, Move) else ()
        fails = any(effect.step in self._plan.fails for effect in effects)
        if option.costs:
            return option.costs == "f" and fails
        return not fails or any(effect.what not in ("did", "may have done") for effect in effects)

    def _from_outside(self) -> Iterator[Option]:
        if not self._begun:
            yield Option("it begins", self._search.starter, None)
        if self._plan.cancelled:
            event = Published(CANCEL, SUCCEEDED, self._search.saga.aborts, "cancellation")
            yield Option(CANCELLING, -1, event)
        if self._imports and any(event.step == START for event in self._log):
            for step, name in self._imports.items():
                yield Option(f"{step} is imported", -1, Published(step, SUCCEEDED, name, "external"))

    def _has_come(self, label: str) -> bool:
        """Whether the moment of what comes from outside, or of a deadline, has come."""
        if label not in self._moments:
            self._moments[label] = self._chance.randrange(self._length)
        return len(self._path) >= self._moments[label]

    # How it happens

    def _take(self, option: Option) -> None:
        place, what = option.place, option.what
        if option.is_reading:
            event = self._log[self._read[place]]
            participant = self._search.participants[place]
            self._path[-1] = participant.name, event.type
            self._read[place] += 1
            self._move(place, participant.read(self._numbers[place], event))
        elif isinstance(what, Move):
            self._move(place, what)
            if what.costs == "d":
                self._deadlines -= 1
                self._inside = [self._what_may(each) for each in range(len(self._inside))]
        elif option.label == "it begins":
            self._begin(place)
        elif what is None:
            number, event = self._search.participants[place].published(self._numbers[place])
            refuse_twice(self._log, event)
            self._log.append(event)
            self._stand(place, number)
        else:
            self._imports.pop(what.step, None)
            self._plan = self._plan._replace(cancelled=self._plan.cancelled and what.step != CANCEL)
            self._log.append(what)

    def _begin(self, place: int) -> None:
        self._begun = True
        if place < 0:  # nobody owns the start: its event is there all the same
            self._past = self._search.judged(self._past, Effect("did", START))
            self._log.append(Published(START, SUCCEEDED, self._search.saga.starts, "start"))
        else:
            self._move(place, self._search.participants[place].begin(self._numbers[place]))

    def _move(self, place: int, move: Move) -> None:
        number, wrong = move.result
        refuse(wrong)
        self._stand(place, number)
        for effect in move.effects:
            self._past = self._search.judged(self._past, effect)

    def _stand(self, place: int, number: int) -> None:
        self._numbers[place] = number
        self._inside[place] = self._what_may(place)

    def _judge_end(self) -> str:
        places = tuple(each for pair in zip(self._read, self._numbers, strict=True) for each in pair)
        return self._search.judge_end(GlobalState(places, 0, self._past, Budget(), True, frozenset()))


def _plan(search: Search, budget: Budget, chance: random.Random, aim: frozenset[str]) -> tuple[Plan, int]:
    """Plan what goes wrong, within the budget; give the number of deadlines that may pass, too."""
    roles = [participant.role for participant in search.participants]
    steps = sorted(a.step for role in roles for a in role.actions if a.can_fail and a.step != START)
    late = sorted(deadline.name for role in roles for deadline in role.deadlines)
    fails = _some(_aimed(steps, aim, chance), budget.failures, chance, 0.7)
    passing = _some(_aimed(late, aim, chance), budget.deadlines, chance, 0.4)
    return (
        Plan(
            frozenset(fails),
            frozenset(f"{name} is due" for name in passing),
            bool(search.saga.aborts and budget.cancellations and chance.random() < 0.4),
            frozenset(name for name in sorted(aim) if chance.random() < 0.4),
        ),
        budget.deadlines,
    )


def _aimed(names: list[str], aim: frozenset[str], chance: random.Random) -> list[str]:
    """Return the names that are aimed at, mostly, where there are any."""
    some = [name for name in names if name in aim]
    return some if some and chance.random() < 0.7 else names


def _some(names: list[str], most: int, chance: random.Random, odds: float) -> list[str]:
    wanted = sum(chance.random() < odds for _ in range(most))
    return chance.sample(names, min(wanted, len(names)))
