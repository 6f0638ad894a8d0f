"""Random pairs of choreographies: one that is deployed, and the next release of it.

The old one is right by rule R7 as it grew (`growth`); the new one differs by one or two mutations, each of
them something that people do to a choreography. What calls each compensation follows from the graph of each.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from choreo.errors import DeclarationError
from choreo.manifest import Emission, HandlerEntry, Manifest
from choreo.outcome import COMPENSATABLE, PIVOT, RETRIABLE, START
from choreo.protocol import Trigger
from choreo.saga import Versions
from tests.protocol.triggers import renamed
from tests.verify.choreography_text import (
    CANCELLED,
    COMPLETED,
    FAILED,
    MINUTE_MS,
    SAGA,
    STARTED,
    manifests,
    write_choreography,
)
from tests.verify.growth import Grown, Plan, _answers, _declare, _end, reverse_edges

NEWCOMER = "pn"
"""The participant that may join with the release."""

_MOST_TRIED = 12


@dataclass
class Step(Plan):
    """A step of a choreography that releases change; ``formerly`` are names that its function had."""

    formerly: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        return f"{self.participant}.{self.formerly[-1]}" if self.formerly else self.name


class Look(NamedTuple):
    """An observer of some events, or a deadline ``of`` a step that is known by its success event."""

    name: str
    on: frozenset[str]
    of: str = ""


@dataclass
class Draft:
    """A choreography that is being changed."""

    chance: random.Random
    starter: str
    participants: list[str]
    steps: list[Step]
    imports: list[tuple[str, str]]
    looks: list[Look]
    aborts: str
    derived: bool
    is_version: bool = False
    number: int = field(default=100)

    def fresh(self) -> int:
        self.number += 1
        return self.number

    def consumers(self, event: str) -> list[Step]:
        return [step for step in self.steps if event in step.on.types]

    def swap(self, old: str, *new: str) -> None:
        """Let every step that waits for an event wait for another, or for any of several."""
        for step in self.steps:
            step.on = _swapped(step.on, old, *new)
        self.looks = [
            each._replace(on=frozenset(n for e in each.on for n in (new if e == old else (e,))))
            for each in self.looks
        ]

    def later(self, step: Step) -> set[str]:
        """Return the events that follow from a step, its own among them."""
        found = set(step.successes)
        while more := {e for s in self.steps if found & s.on.types for e in s.successes} - found:
            found |= more
        return found

    def owner(self) -> str:
        return self.chance.choice([*self.participants, *([NEWCOMER] if self.chance.random() < 0.2 else [])])


class Pair(NamedTuple):
    """Two releases of a choreography, and how the new one differs."""

    seed: int
    mutations: tuple[str, ...]
    old: tuple[Manifest, ...]
    new: tuple[Manifest, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What was done, without where."""
        return tuple(each.partition(":")[0] for each in self.mutations)

    def __str__(self) -> str:
        old, new = (write_choreography(each).splitlines() for each in (self.old, self.new))
        lines = [f"seed {self.seed}: {'; '.join(self.mutations)}", "  both:"]
        lines += [f"    {line}" for line in old if line in new]
        lines += ["  old:", *(f"    {line}" for line in old if line not in new)]
        lines += ["  new:", *(f"    {line}" for line in new if line not in old)]
        names = {
            h.name: (h.formerly, h.versions)
            for m in self.new
            for h in m.handlers
            if h.formerly or h.versions != Versions()
        }
        lines += [
            f"    {name}: formerly={formerly} {versions}" for name, (formerly, versions) in names.items()
        ]
        return "\n".join(lines)


def draft(seed: int) -> Draft:
    """Grow a sound choreography of 2 to 8 steps."""
    chance = random.Random(f"pair {seed}")
    room = chance.choice((1, 2, 2, 3, 3, 4, 4, 5, 6))
    steps = chance.randint(1, room)
    names = [f"p{number}" for number in range(1, 2 + chance.randint(1, min(steps, 3) + 1))]
    grown = Grown(chance, names, sound=True)
    _end(grown, grown.block(Trigger.of(STARTED), steps))
    made = [Step(**vars(plan)) for plan in grown.plans]
    watchable = [s for s in made if s.kind == COMPENSATABLE]
    looks = []
    if watchable and all(s.kind == COMPENSATABLE for s in made) and chance.random() < 0.3:
        looks.append(
            Look(f"{chance.choice(names)}.late", frozenset((STARTED,)), chance.choice(watchable).successes[0])
        )
    if chance.random() < 0.4:
        events = sorted({STARTED, COMPLETED, *(e for s in made for e in s.successes)})
        seen = frozenset(chance.sample(events, chance.randint(1, min(3, len(events)))))
        looks.append(Look(f"{chance.choice(names)}.look", seen))
    aborts = CANCELLED if chance.random() < 0.25 else ""
    return Draft(chance, grown.starter, names, made, grown.imports, looks, aborts, chance.random() < 0.3)


def written(draft: Draft, version: int = 1) -> list[Manifest]:
    """Return the manifests of a draft."""
    grown = Grown(draft.chance, draft.participants, sound=True)
    grown.plans = list(draft.steps)
    for step in draft.steps:
        step.answers = _answers(grown, step)
    handlers = [each for step in draft.steps for each in _declared(grown, step)]
    handlers.append(_given_up(draft))
    handlers += [_looking(draft, look) for look in draft.looks if not look.of or _watched(draft, look.of)]
    if draft.derived:
        handlers = [_derived(each) for each in handlers]
    made = manifests(handlers, draft.imports, draft.aborts)
    if version == 1:
        return made
    return [replace(m, sagas=tuple(replace(s, version=version) for s in m.sagas)) for m in made]


def _declared(grown: Grown, step: Step) -> list[HandlerEntry]:
    grown.handlers = []
    _declare(grown, step)
    if not step.formerly:
        return grown.handlers
    return [
        replace(each, step=step.identity, formerly=step.formerly if each.task == "action" else ())
        for each in grown.handlers
    ]


def _given_up(draft: Draft) -> HandlerEntry:
    return HandlerEntry(
        name=f"{draft.starter}.give_up",
        task="compensation",
        step=START,
        saga=SAGA,
        place="grown.py:1",
        trigger=reverse_edges(draft.steps, STARTED),  # type: ignore[arg-type]
        emits=Emission((FAILED,)),
        results=frozenset((STARTED,)),
        aborted=True,
        optional_result=True,
    )


def _watched(draft: Draft, event: str) -> Step | None:
    return next((s for s in draft.steps if event in s.successes and s.kind == COMPENSATABLE), None)


def _looking(draft: Draft, look: Look) -> HandlerEntry:
    of = _watched(draft, look.of) if look.of else None
    return HandlerEntry(
        name=look.name,
        task="deadline" if of else "observer",
        step=of.identity if of else look.name,
        saga=SAGA,
        place="grown.py:1",
        trigger=Trigger.of(*sorted(look.on)),
        emits=Emission((f"{look.of}Late",) if of else ()),
        within_ms=100 * MINUTE_MS if of else None,
    )


def _derived(handler: HandlerEntry) -> HandlerEntry:
    return replace(handler, trigger=Trigger(), derived=True) if handler.task == "compensation" else handler


def _swapped(trigger: Trigger, old: str, *new: str) -> Trigger:
    if old not in trigger.types:
        return trigger
    if len(new) == 1:
        return renamed(trigger, lambda name: new[0] if name == old else name)
    parts = [renamed(trigger, lambda name, one=one: one if name == old else name) for one in new]  # type: ignore[misc]
    return Trigger.any_of(*parts)


# What people do to a choreography: each changes a draft, and says what it did, or gives up

Mutation = Callable[[Draft], str]


def _some(draft: Draft, steps: list[Step]) -> Step | None:
    return draft.chance.choice(steps) if steps else None


def _single(draft: Draft) -> list[Step]:
    """Return the steps with one success event that doesn't end the saga."""
    return [s for s in draft.steps if len(s.successes) == 1 and s.successes[0] != COMPLETED]


def _function(step: Step) -> str:
    return step.name.partition(".")[2]


def rename_formerly(draft: Draft) -> str:
    """A function has another name, and says which it had."""
    step = draft.chance.choice(draft.steps)
    old = step.name
    step.formerly = (*([_function(step)]), *step.formerly)
    step.name = f"{step.participant}.r{draft.fresh()}"
    return f"{old} is {step.name}, formerly"


def rename(draft: Draft) -> str:
    """A function has another name, and doesn't say so."""
    step = draft.chance.choice(draft.steps)
    old, step.name, step.formerly = step.name, f"{step.participant}.r{draft.fresh()}", ()
    return f"{old} is {step.name}"


def _after_some_event(draft: Draft) -> tuple[str, Step]:
    """Return an event, and a new step that it calls."""
    events = sorted({STARTED, *(e for s in draft.steps for e in s.successes if e != COMPLETED)})
    event = draft.chance.choice(events)
    number = draft.fresh()
    return event, Step(
        f"{draft.owner()}.n{number}", Trigger.of(event), (f"g.N{number}",), failures=(f"g.N{number}Failed",)
    )


def insert(draft: Draft) -> str:
    """A step comes between an event and all steps that wait for it."""
    event, made = _after_some_event(draft)
    if draft.chance.random() < 0.25:
        made.kind, made.failures = RETRIABLE, ()
    draft.swap(event, *made.successes)
    draft.steps.append(made)
    return f"{made.name} after {event}"


def insert_leaf(draft: Draft) -> str:
    """A step that nobody waits for comes after an event."""
    event, made = _after_some_event(draft)
    if draft.chance.random() < 0.4 or any(s.kind != COMPENSATABLE for s in draft.steps):
        made.kind, made.failures = RETRIABLE, ()
    draft.steps.append(made)
    return f"{made.name} after {event}"


def remove(draft: Draft) -> str:
    """A step goes, and those that waited for it wait for what it waited for."""
    step = _some(draft, [s for s in _single(draft) if len(s.on.types) == 1])
    if step is None or len(draft.steps) < 2:
        return ""
    draft.steps.remove(step)
    draft.swap(step.successes[0], *step.on.types)
    draft.looks = [each for each in draft.looks if each.of != step.successes[0]]
    return step.name


def move(draft: Draft) -> str:
    """A step waits for another event."""
    step = _some(draft, [s for s in draft.steps if len(s.on.types) == 1])
    if step is None:
        return ""
    others = (
        {STARTED, *(e for s in draft.steps for e in s.successes)}
        - draft.later(step)
        - step.on.types
        - {COMPLETED}
    )
    if not others:
        return ""
    old = str(step.on)
    step.on = Trigger.of(draft.chance.choice(sorted(others)))
    return f"{step.name} after {step.on}, was after {old}"


def move_away(draft: Draft) -> str:
    """A step is another participant's from now on."""
    step = draft.chance.choice(draft.steps)
    other = draft.owner()
    if other == step.participant:
        return ""
    old, step.name, step.formerly = step.name, f"{other}.{_function(step)}", ()
    return f"{old} is {step.name}"


def split(draft: Draft) -> str:
    """A step becomes two, one after the other; the first or the second one keeps the name."""
    step = _some(draft, _single(draft))
    if step is None:
        return ""
    number = draft.fresh()
    owner = step.participant if draft.chance.random() < 0.6 else draft.owner()
    other = Step(
        f"{owner}.n{number}", step.on, (f"g.N{number}",), step.kind, failures=(f"g.N{number}Failed",)
    )
    if other.kind == RETRIABLE:
        other.failures = ()
    if draft.chance.random() < 0.5:  # the new one comes before
        step.on = Trigger.of(*other.successes)
        draft.steps.append(other)
        return f"{other.name} before {step.name}"
    event = step.successes[0]
    step.successes, other.successes, other.on = other.successes, step.successes, Trigger.of(*other.successes)
    draft.steps.append(other)
    return f"{step.name} to {event}, of which {other.name} is the second half"


def merge(draft: Draft) -> str:
    """Two steps, one after the other, become one."""
    pairs = [
        (one, two)
        for one in _single(draft)
        for two in draft.steps
        if two.on == Trigger.of(*one.successes) and draft.consumers(one.successes[0]) == [two]
    ]
    if not pairs:
        return ""
    one, two = draft.chance.choice(pairs)
    keeps = draft.chance.choice((one, two))
    gone = two if keeps is one else one
    keeps.on, keeps.successes = one.on, two.successes
    keeps.kind = two.kind if PIVOT in (two.kind,) or one.kind == two.kind else PIVOT
    keeps.failures = () if keeps.kind == RETRIABLE else (one.failures or two.failures)
    keeps.partial = keeps.partial and keeps.kind == COMPENSATABLE and len(keeps.successes) == 1
    draft.steps.remove(gone)
    draft.looks = [each for each in draft.looks if each.of not in (*one.successes, *two.successes)]
    draft.looks = [each._replace(on=each.on - {*gone.successes} or each.on) for each in draft.looks]
    return f"{one.name} and {two.name} as {keeps.name}"


def change_kind(draft: Draft) -> str:
    """A step can be undone no more, or can from now on."""
    step = draft.chance.choice(draft.steps)
    old = step.kind
    step.kind = draft.chance.choice([k for k in (COMPENSATABLE, PIVOT, RETRIABLE) if k != old])
    if step.kind == RETRIABLE:
        step.failures = ()
    elif not step.failures:
        step.failures = (f"{step.successes[0]}Failed",)
    step.partial = step.partial and step.kind == COMPENSATABLE
    return f"{step.name} from {old} to {step.kind}"


def gain_choice(draft: Draft) -> str:
    """A step may return another event, too: those that wait take both, or a new step takes it."""
    step = _some(draft, [s for s in _single(draft) if s.kind == COMPENSATABLE])
    if step is None:
        return ""
    event, number = step.successes[0], draft.fresh()
    other = f"g.C{number}"
    if draft.chance.random() < 0.5:
        draft.swap(event, event, other)
        step.successes = (event, other)
        return f"{step.name} may return {other}"
    made = Step(
        f"{draft.owner()}.n{number}", Trigger.of(other), (f"g.N{number}",), failures=(f"g.N{number}Failed",)
    )
    draft.swap(event, event, *made.successes)
    step.successes = (event, other)
    step.partial = False
    draft.steps.append(made)
    return f"{step.name} may return {other}, and {made.name} takes it"


def lose_choice(draft: Draft) -> str:
    """A step returns one of its events no more; those that waited for it wait for the other."""
    step = _some(draft, [s for s in draft.steps if len(s.successes) > 1])
    if step is None:
        return ""
    kept, gone = draft.chance.sample(step.successes, 2)
    step.successes = (kept,)
    for other in [s for s in draft.steps if s.on == Trigger.of(gone)]:
        draft.steps.remove(other)
        for event in other.successes:
            draft.swap(event, kept)
    draft.swap(gone, kept)
    return f"{step.name} returns {gone} no more"


def rename_event(draft: Draft) -> str:
    """A step returns another event; those that wait for it take it, and the old one too, now and then."""
    step = _some(draft, _single(draft))
    if step is None:
        return ""
    event, new = step.successes[0], f"g.E{draft.fresh()}"
    both = draft.chance.random() < 0.5
    draft.swap(event, *((event, new) if both else (new,)))
    draft.looks = [each._replace(of=new) if each.of == event else each for each in draft.looks]
    step.successes = (new,)
    return f"{step.name} returns {new}, was {event}{', and both are taken' if both else ''}"


def widen_observer(draft: Draft) -> str:
    """An observer takes another event, too."""
    looks = [each for each in draft.looks if not each.of]
    events = {STARTED, COMPLETED, FAILED, *(e for s in draft.steps for e in (*s.successes, *s.failures))}
    if not looks or not events - looks[0].on:
        return ""
    event = draft.chance.choice(sorted(events - looks[0].on))
    draft.looks = [each._replace(on=each.on | {event}) if each is looks[0] else each for each in draft.looks]
    return f"{looks[0].name} takes {event}"


def narrow_observer(draft: Draft) -> str:
    """An observer takes an event no more."""
    looks = [each for each in draft.looks if not each.of and len(each.on) > 1]
    if not looks:
        return ""
    event = draft.chance.choice(sorted(looks[0].on))
    draft.looks = [each._replace(on=each.on - {event}) if each is looks[0] else each for each in draft.looks]
    return f"{looks[0].name} takes {event} no more"


def add_deadline(draft: Draft) -> str:
    """Somebody sets a deadline on a step."""
    step = _some(draft, [s for s in draft.steps if s.kind == COMPENSATABLE])
    if step is None or any(s.kind != COMPENSATABLE for s in draft.steps):
        return ""
    draft.looks.append(Look(f"{draft.owner()}.late{draft.fresh()}", frozenset((STARTED,)), step.successes[0]))
    return f"of {step.name}"


def drop_deadline(draft: Draft) -> str:
    """A deadline goes."""
    looks = [each for each in draft.looks if each.of]
    if not looks:
        return ""
    draft.looks.remove(looks[0])
    return looks[0].name


MUTATIONS: tuple[Mutation, ...] = (
    rename_formerly,
    rename,
    insert,
    insert_leaf,
    remove,
    move,
    move_away,
    split,
    merge,
    change_kind,
    gain_choice,
    lose_choice,
    rename_event,
    widen_observer,
    narrow_observer,
    add_deadline,
    drop_deadline,
)


Right = Callable[[list[Manifest]], bool]


def pairs(seed: int, right: Right) -> Iterator[Pair]:
    """Yield pairs of a seed, one after the other, both of which are ``right``; none where it grew wrong."""
    grown = draft(seed)
    grown.is_version = grown.chance.random() < 0.12
    grown.derived = grown.derived or grown.is_version
    try:
        old = written(copy.deepcopy(grown))
        if not right(old):
            return
    except DeclarationError:
        return
    for tried in range(_MOST_TRIED):
        grown.chance.random()
        pair = _pair(seed, grown, old, MUTATIONS[(seed + tried * 5) % len(MUTATIONS)], right)
        if pair is not None:
            yield pair


def _pair(seed: int, grown: Draft, old: list[Manifest], first: Mutation, right: Right) -> Pair | None:
    changed = copy.deepcopy(grown)
    made = _mutated(changed, first)
    try:
        new = written(changed)
        if not made or not right(new):
            return None
    except DeclarationError:
        return None
    if grown.is_version:
        new = versioned(old, new)
        made.append("version 2")
    everybody = {m.participant: m for m in (*old, *new)}
    return Pair(seed, tuple(made), tuple(old), _with_leavers(everybody, new))


def _with_leavers(everybody: dict[str, Manifest], new: list[Manifest]) -> tuple[Manifest, ...]:
    """Return the new release with a participant that has no part in it any more, as one without handlers."""
    there = {m.participant for m in new}
    sagas = new[0].sagas
    left = [
        replace(m, sagas=sagas, handlers=(), external=(), schemas=new[0].schemas)
        for name, m in sorted(everybody.items())
        if name not in there
    ]
    return (*new, *left)


def _mutated(changed: Draft, first: Mutation) -> list[str]:
    wanted = [first]
    if changed.chance.random() < 0.3:
        wanted.append(changed.chance.choice(MUTATIONS))
    made = []
    for mutation in wanted:
        said = mutation(changed)
        if said:
            made.append(f"{mutation.__name__.replace('_', ' ')}: {said}")
    return made


def versioned(old: list[Manifest], new: list[Manifest]) -> list[Manifest]:
    """Return the new handlers as those of version 2, beside the old ones that differ, until version 1."""
    before, after = ({h.name: _bare(h) for m in each for h in m.handlers} for each in (old, new))
    same = {name for name in before if after.get(name) == before[name]}
    same -= {h.name for h in before.values() if h.step in before and h.step not in same}
    renames = {name: f"{name}_2" for name in after if name in before and name not in same}
    kept = [h if h.name in same else _for(h, Versions(until=1)) for m in old for h in m.handlers]
    identity = {h.step: h.name for h in after.values() if h.task == "action"}
    added = []
    for handler in (h for m in new for h in m.handlers if h.name not in same):
        step = identity.get(handler.step, handler.step)
        name = renames.get(handler.name, handler.name)
        step = name if handler.task == "observer" else renames.get(step, step)
        added.append(_for(replace(handler, name=name, step=step, formerly=()), Versions(since=2)))
    imports = list(dict.fromkeys((m.participant, e.event) for m in (*old, *new) for e in m.external))
    made = manifests([*kept, *added], imports, old[0].sagas[0].aborts)
    return [replace(m, sagas=tuple(replace(s, version=2) for s in m.sagas)) for m in made]


def _for(handler: HandlerEntry, versions: Versions) -> HandlerEntry:
    """Return a handler for some versions of the saga; what undoes the start is for all."""
    return handler if handler.step == START else replace(handler, versions=versions)


def _bare(handler: HandlerEntry) -> HandlerEntry:
    return replace(handler, place="")
