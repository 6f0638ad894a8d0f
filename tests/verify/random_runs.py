"""``RandomRun``: one run of a choreography, by chance, from its start to where nothing moves any more.

It makes the moves of the naive search, one instead of all of them, so it is judged by the same words. What
goes wrong, and when something comes from outside, is planned before, so that late troubles are as frequent as
early ones. Every other run goes by random priorities with a few points of change, which finds rare orders
sooner than even odds do.

Source: Burckhardt et al., *A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs* (2010).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from choreo.outcome import CANCEL, START, SUCCEEDED
from tests.verify.naive import CANCELLING, Budget, GlobalState, Search, Verdict, refuse, refuse_twice
from tests.verify.naive_participant import Effect, Move, NaiveParticipant, Published, Violation


class Option(NamedTuple):
    """Something that may happen next: to which participant, and what it is to do or to read."""

    label: str
    place: int
    what: Move | Published | None


class Plan(NamedTuple):
    """What is to go wrong in a run: steps that fail, deadlines that pass, whether it is cancelled."""

    fails: frozenset[str]
    late: frozenset[str]
    cancelled: bool


def random_runs(search: Search, budget: Budget, runs: int, seed: int) -> Verdict:
    """Go so many random runs; return what the first wrong one shows, or that none was wrong."""
    ends: set[str] = set()
    states, length = 0, 100
    for number in range(runs):
        found = RandomRun(search, budget, random.Random(f"{seed}/{number}"), length).go()
        ends |= found.ends
        states += found.states
        length = max(found.states, 1)
        if found.wrong:
            return found._replace(states=states, ends=frozenset(ends))
    return Verdict("", states, (), frozenset(ends))


class RandomRun:
    """The one state that a run is in, and the chance that leads it on.

    ``length`` is about how many moves it will have.
    """

    def __init__(self, search: Search, budget: Budget, chance: random.Random, length: int = 100) -> None:
        self._search = search
        self._chance = chance
        self._plan, self._deadlines = _plan(search, budget, chance)
        self._read = [0] * len(search.participants)
        self._numbers = [0] * len(search.participants)
        self._log: list[Published] = []
        self._past = 0
        self._imports = dict(sorted(search.imports.items()))
        self._begun = False
        self._path: list[str] = []
        self._priorities: dict[str, float] | None = {} if chance.random() < 0.5 else None
        self._changes = {chance.randrange(length) for _ in range(chance.randint(0, 4))}
        self._length = length
        self._moments: dict[str, int] = {}

    def go(self) -> Verdict:
        """Go to the end, and judge everything on the way."""
        try:
            while options := list(self._options()):
                if all(option.label == CANCELLING for option in options):
                    break  # nobody has to
                option = self._choose(options)
                self._path.append(option.label)
                self._take(option)
            return Verdict("", len(self._path), tuple(self._path), frozenset((self._judge_end(),)))
        except Violation as wrong:
            return Verdict(str(wrong), len(self._path), tuple(self._path))

    def _choose(self, options: list[Option]) -> Option:
        if self._priorities is None:
            return self._chance.choice(options)
        for option in options:
            if option.label not in self._priorities:
                self._priorities[option.label] = self._chance.random()
        first = max(options, key=lambda option: self._priorities[option.label])  # type: ignore[index]
        if len(self._path) in self._changes:
            self._priorities[first.label] = -len(self._path)
        return first

    # What may happen

    def _options(self) -> Iterator[Option]:
        options = [*self._from_outside(), *self._inside()]
        late = [option for option in options if _costs(option) == "d"]
        planned = [option for option in options if _costs(option) != "d" or option.label in self._plan.late]
        # Time does pass where nothing else happens.
        options = planned or late
        come = [option for option in options if self._has_come(option)]
        yield from come if any(option.label != CANCELLING for option in come) else options

    def _inside(self) -> Iterator[Option]:
        for place, participant in enumerate(self._search.participants):
            if self._read[place] < len(self._log):
                yield Option(f"{participant.name} reads on", place, self._log[self._read[place]])
            number = self._numbers[place]
            if participant.states[number].outbox:
                yield Option(f"{participant.name} publishes", place, None)
            for move in participant.moves(number):
                if self._may(move):
                    yield Option(move.label, place, move)

    def _may(self, move: Move) -> bool:
        """Whether a move is in the plan: a step that is to fail does nothing else, and no other fails."""
        if move.costs == "d":
            return self._deadlines > 0
        fails = any(effect.step in self._plan.fails for effect in move.effects)
        if move.costs:
            return move.costs == "f" and fails
        return not fails or any(effect.what not in ("did", "may have done") for effect in move.effects)

    def _from_outside(self) -> Iterator[Option]:
        if not self._begun:
            yield Option("it begins", self._search.starter, None)
        if self._plan.cancelled:
            event = Published(CANCEL, SUCCEEDED, self._search.saga.aborts, "cancellation")
            yield Option(CANCELLING, -1, event)
        if self._imports and any(event.step == START for event in self._log):
            for step, name in self._imports.items():
                yield Option(f"{step} is imported", -1, Published(step, SUCCEEDED, name, "external"))

    def _has_come(self, option: Option) -> bool:
        """Whether the moment of what comes from outside has come."""
        if option.place >= 0 and _costs(option) != "d":
            return True
        if option.label not in self._moments:
            self._moments[option.label] = self._chance.randrange(self._length)
        return len(self._path) >= self._moments[option.label]

    # How it happens

    def _take(self, option: Option) -> None:
        place, what = option.place, option.what
        if isinstance(what, Move):
            self._deadlines -= what.costs == "d"
            self._move(place, what)
        elif option.label == "it begins":
            self._begin(place)
        elif what is None:
            self._numbers[place], event = self._participant(place).published(self._numbers[place])
            refuse_twice(self._log, event)
            self._log.append(event)
        elif place < 0:
            self._imports.pop(what.step, None)
            self._plan = self._plan._replace(cancelled=self._plan.cancelled and what.step != CANCEL)
            self._log.append(what)
        else:
            self._path[-1] = f"{self._participant(place).name} reads {what.type}"
            self._read[place] += 1
            self._move(place, self._participant(place).read(self._numbers[place], what))

    def _begin(self, place: int) -> None:
        self._begun = True
        if place < 0:  # nobody owns the start: its event is there all the same
            self._past = self._search.judged(self._past, Effect("did", START))
            self._log.append(Published(START, SUCCEEDED, self._search.saga.starts, "start"))
        else:
            self._move(place, self._participant(place).begin(self._numbers[place]))

    def _move(self, place: int, move: Move) -> None:
        refuse(move.wrong)
        self._numbers[place] = move.after
        for effect in move.effects:
            self._past = self._search.judged(self._past, effect)

    def _participant(self, place: int) -> NaiveParticipant:
        return self._search.participants[place]

    def _judge_end(self) -> str:
        places = tuple(each for pair in zip(self._read, self._numbers, strict=True) for each in pair)
        return self._search.judge_end(GlobalState(places, 0, self._past, Budget(), True, frozenset()))


def _costs(option: Option) -> str:
    return option.what.costs if isinstance(option.what, Move) else ""


def _plan(search: Search, budget: Budget, chance: random.Random) -> tuple[Plan, int]:
    """Plan what goes wrong, within the budget; give the number of deadlines that may pass, too."""
    roles = [participant.role for participant in search.participants]
    steps = sorted(a.step for role in roles for a in role.actions if a.can_fail and a.step != START)
    late = sorted(f"{deadline.name} is due" for role in roles for deadline in role.deadlines)
    return (
        Plan(
            frozenset(_some(steps, budget.failures, chance, 0.7)),
            frozenset(_some(late, budget.deadlines, chance, 0.4)),
            bool(search.saga.aborts and budget.cancellations and chance.random() < 0.4),
        ),
        budget.deadlines,
    )


def _some(names: list[str], most: int, chance: random.Random, odds: float) -> list[str]:
    wanted = sum(chance.random() < odds for _ in range(most))
    return chance.sample(names, min(wanted, len(names)))
