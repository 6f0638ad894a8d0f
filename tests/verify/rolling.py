"""Sagas of one choreography while its participants are replaced by their next releases, by the real worker.

A run is judged by what must hold at rest (`choreo.testing.check`), and by what comes in every saga that goes
well, under both choreographies.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import permutations
from typing import Any, NamedTuple

from choreo.errors import Permanent, ReleaseRefused
from choreo.events import event_name
from choreo.graph import derive
from choreo.manifest import Manifest
from choreo.outcome import RETRIABLE
from choreo.participant import Context, Handler, Parameter, Participant
from choreo.participant.external import External
from choreo.testing import Harness, Seeded, Violation
from choreo.testing.account import account_of
from choreo.testing.fakes import fake_event, fake_participants
from choreo.testing.history import SagaHistory
from choreo.testing.invariants import check
from tests.verify.choreography_text import SAGA
from tests.verify.naive_participant import written_out
from tests.verify.pairs import Pair

TROUBLES = ("", "failure", "deadline", "cancellation")
MOST_MOVES = 5_000
_LATE = timedelta(minutes=101)
"""More than any deadline. The steps' own timeouts are left out, as a leap of time would strike several."""


_TRANSIENT = 0.15
"""How often the first attempt of a handler raises, and the next one is after a pause."""


class Way(NamedTuple):
    """One run: in which order participants are upgraded, after which move the first, and what goes wrong.

    ``gaps`` are the moves between two upgrades; ``troubles`` has one for each saga, ``starts`` the moves
    after which they start. With ``reads_on``, one has read everything before the next one is upgraded.
    """

    order: tuple[str, ...]
    position: int
    gaps: tuple[int, ...]
    troubles: tuple[str, ...]
    seed: int
    starts: tuple[int, ...] = (0,)
    reads_on: bool = False

    def __str__(self) -> str:
        upgrades = ", ".join(
            f"{name} (+{gap})" for name, gap in zip(self.order, (0, *self.gaps), strict=False)
        )
        troubles = ", ".join(each or "nothing" for each in self.troubles)
        return f"upgraded from move {self.position}: {upgrades}; goes wrong: {troubles}; seed {self.seed}"


class Course(NamedTuple):
    """What came of a run: what is wrong, who refused a release; of the last saga its end and its events."""

    wrong: str = ""
    refused: tuple[str, ...] = ()
    end: str = ""
    types: frozenset[str] = frozenset()
    moves: int = 0
    account: str = ""


class _Script:
    """What steps return, and which of them fails in which saga: by chance, and alike in every release."""

    def __init__(self) -> None:
        self.seed = 0
        self.fails: dict[str, str] = {}

    def result(self, handler: Handler, context: Context) -> Any:
        chance = random.Random(f"{self.seed} {context.saga_id} {handler.step} {handler.task}")
        if chance.random() < _TRANSIENT and context.attempt == 1:
            raise ConnectionError("the run lets one attempt fail")
        fails = handler.task == "action" and handler.kind != RETRIABLE
        if fails and handler.step == self.fails.get(context.saga_id):
            raise Permanent("the run lets it fail")
        names = list(handler.successes)
        if not names:
            return None
        return fake_event(handler.emits[names[chance.randrange(len(names))]])


class _Prepared(Harness):
    """A harness whose releases know already what calls their compensations, from all of them together."""

    def _derive(self, releases: Sequence[Participant]) -> None:
        del releases


class Rolling:
    """Runs one pair of choreographies, in all ways that are asked for."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.script = _Script()
        self._old = self._participants(pair.old)
        self._new = {each.name: each for each in self._participants(pair.new)}
        derive(list(self._new.values()))
        handlers = [h for m in (*pair.old, *pair.new) for h in m.handlers]
        self._failing = sorted({h.step for h in handlers if h.task == "action" and h.kind != RETRIABLE})
        troubles = ["", "failure", "failure"] if self._failing else [""]
        troubles += ["deadline"] if any(h.task == "deadline" for h in handlers) else []
        self.troubles = troubles + (["cancellation"] if pair.old[0].sagas[0].aborts else [])
        self.changed = _changed(pair)
        self.always: frozenset[str] = frozenset()
        self.length = 0

    def _participants(self, manifests: Sequence[Manifest]) -> list[Participant]:
        def scripted(handler: Handler) -> Handler:
            async def awaited(*given: Any) -> Any:
                return self.script.result(handler, given[-1])

            def called(*given: Any) -> Any:
                return self.script.result(handler, given[-1])

            parameters = (*handler.parameters, Parameter("ctx", is_context=True))
            outside = handler.is_outside
            changes = {
                "function": awaited if outside else called,
                "runs": "coroutine" if outside else "inside",
            }
            return replace(handler, parameters=parameters, timeout=None, **changes)  # type: ignore[arg-type]

        made = fake_participants(manifests)
        classes = {event_name(cls): cls for each in made for cls in each.events}
        made = [each.with_handlers(map(scripted, each.handlers)) for each in made]
        for participant, manifest in zip(made, manifests, strict=True):
            participant.external = tuple(_imported(participant, manifest, classes))
        return made

    def alone(self, is_new: bool, seed: int, trouble: str) -> Course:
        """Run one of the two choreographies alone."""
        participants = list(self._new.values()) if is_new else self._old
        return self._run(participants, Way((), 0, (), (trouble,), seed))

    def go(self, way: Way) -> Course:
        """Run sagas across the release."""
        return self._run(self._old, way)

    def _run(self, participants: list[Participant], way: Way) -> Course:
        chance = random.Random(f"run {way.seed}")
        self.script.seed, self.script.fails = way.seed, {}
        for number, trouble in enumerate(way.troubles):
            if trouble == "failure":
                self.script.fails[_id(number)] = chance.choice(self._failing)
        options = {"chooser": Seeded(way.seed), "imports": True, "most_moves": MOST_MOVES}
        with _Prepared(participants, **options) as harness:  # type: ignore[arg-type]
            return _Run(self, harness, way, chance).course()

    def next_release(self, name: str) -> Participant:
        """Return a participant's next release."""
        return self._new[name]


def _imported(
    participant: Participant, manifest: Manifest, classes: Mapping[str, type]
) -> Iterator[External]:
    """Yield what a participant imports and somebody reads; it comes by itself (`AwaitedImports`)."""
    for entry in manifest.external:
        if entry.event in classes:
            saga = participant.saga(entry.saga)
            yield External(classes[entry.event], entry.topic, saga_id=lambda _: None, saga=saga)


def _id(number: int) -> str:
    return f"s-{number}"


class _Run:
    """One run: what happens at which move, and what must hold in the end."""

    def __init__(self, rolling: Rolling, harness: Harness, way: Way, chance: random.Random) -> None:
        self._rolling = rolling
        self._harness = harness
        self._way = way
        self._refused: list[str] = []
        self._happens = sorted(self._plan(chance), key=lambda each: each[0])

    def _plan(self, chance: random.Random) -> Iterator[tuple[int, Callable[[], None]]]:
        at = self._way.position
        for name, gap in zip(self._way.order, (*self._way.gaps, 0), strict=False):
            yield at, partial(self._upgrade, name)
            at += gap
        for number, (start, trouble) in enumerate(zip(self._way.starts, self._way.troubles, strict=True)):
            yield start, partial(self._start, number)
            if trouble == "cancellation":
                yield start + chance.randrange(1, 40), partial(self._cancel, number)
        if "deadline" in self._way.troubles:
            yield max(self._way.starts) + chance.randrange(1, 40), self._let_time_pass

    def course(self) -> Course:
        """Run everything, and judge it."""
        harness, wrong, account = self._harness, "", ""
        try:
            for at, happens in self._happens:
                harness.run(until=lambda at=at: len(harness.moves) >= at)  # type: ignore[misc]
                happens()
            harness.run()
            check(harness)
            for number in range(len(self._way.troubles)):
                self._check_omitted(number)
                self._check_observers(number)
        except Violation as violation:
            wrong, account = violation.complaint, violation.account or account_of(harness)
        history = self._history(len(self._way.troubles) - 1)
        end, types = history.end, frozenset(history.types)
        return Course(wrong, tuple(self._refused), end, types, len(harness.moves), account)

    def _start(self, number: int) -> None:
        starter = self._starter()
        with starter.transaction() as tx:
            tx.start(fake_event(starter.saga(SAGA).starts), _id(number))

    def _cancel(self, number: int) -> None:
        starter = self._starter()
        with starter.transaction() as tx:
            tx.cancel(_id(number), fake_event(starter.saga(SAGA).aborts))  # type: ignore[arg-type]

    def _let_time_pass(self) -> None:
        self._harness.clock.advance(_LATE.total_seconds())
        self._harness.moves.append("more time passes than any deadline allows")

    def _upgrade(self, name: str) -> None:
        try:
            self._harness.release(self._rolling.next_release(name))
        except ReleaseRefused:
            self._refused.append(name)
        if self._way.reads_on:
            process = self._harness.processes[name]
            while not process.worker.is_live or process.log.has_news:
                process.turn()

    def _starter(self) -> Participant:
        participants = [process.participant for process in self._harness.processes.values()]
        return next(each for each in participants if each.roles()[SAGA].owns_start)

    def _history(self, number: int) -> SagaHistory:
        return SagaHistory(self._starter().saga(SAGA), self._harness.events(_id(number)))

    def _check_omitted(self, number: int) -> None:
        history = self._history(number)
        missing = self._rolling.always - history.types
        if history.end == "completed" and missing:
            raise Violation(f"it completes without {sorted(missing)}, which always comes")

    def _check_observers(self, number: int) -> None:
        """Check that an observer of both releases has got each event of both once, and none twice."""
        counted = {envelope.id: envelope.type for envelope in self._history(number).counted}
        for process in self._harness.processes.values():
            rows = process.store.history(_id(number), SAGA)
            observed = [row for row in rows if row.input == "observed"]
            for name, both in _observers(process.releases[0], process.releases[-1]):
                times = Counter(row.causation_id for row in observed if row.step == name)
                for each, event_type in counted.items():
                    if times[each] > 1 or (event_type in both and not times[each]):
                        raise Violation(f"the observer {name} got {event_type} {times[each]} times")


def _observers(first: Participant, last: Participant) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the observers of two releases, with the events that both of them take."""
    later = {h.known_as: h for h in last.handlers if h.task == "observer"}
    for handler in first.handlers:
        if handler.task == "observer" and handler.known_as in later:
            yield handler.known_as, handler.trigger.types & later[handler.known_as].trigger.types


def _changed(pair: Pair) -> tuple[str, ...]:
    """Return the participants that the release changes, newcomers first, as they have nothing in flight."""
    old, new = ({m.participant: _bare(m) for m in written_out(each)} for each in (pair.old, pair.new))
    names = sorted(new, key=lambda name: (name in old, name))
    return tuple(name for name in names if old.get(name) != new[name])


def _bare(manifest: Manifest) -> tuple[Any, ...]:
    handlers = sorted(repr(replace(h, place="")) for h in manifest.handlers)
    return tuple(handlers), manifest.sagas, manifest.external


def orders(changed: Sequence[str], chance: random.Random, most: int) -> list[tuple[str, ...]]:
    """Return all orders of few participants, or so many random ones."""
    everything = list(permutations(changed)) if len(changed) <= 4 else []
    if everything and len(everything) <= most:
        return everything
    return [tuple(chance.sample(changed, len(changed))) for _ in range(most)]
