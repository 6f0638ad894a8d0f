"""Operators that spoil a choreography, each in the way of one mistake that people make.

Each gives every mutant that it can make of some manifests, with a name for it. They know nothing of
what `choreo verify` looks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from choreo.manifest import Emission, HandlerEntry, Manifest, SchemaEntry
from choreo.outcome import START
from choreo.protocol import Trigger
from tests.protocol.triggers import alternatives, renamed

Manifests = Sequence[Manifest]
Operator = Callable[[Manifests], Iterator["Mutant"]]


class Mutant(NamedTuple):
    """A spoilt choreography: by which operator, and where."""

    operator: str
    where: str
    manifests: tuple[Manifest, ...]

    @property
    def name(self) -> str:
        return f"{self.operator}: {self.where}"


def mutants(manifests: Manifests) -> Iterator[Mutant]:
    """Return every mutant of some manifests."""
    for operator in OPERATORS:
        yield from operator(manifests)


def _handlers(manifests: Manifests, *tasks: str) -> Iterator[HandlerEntry]:
    for manifest in manifests:
        yield from (handler for handler in manifest.handlers if handler.task in tasks)


def _with(manifests: Manifests, old: HandlerEntry, *new: HandlerEntry) -> tuple[Manifest, ...]:
    """Put handlers in the place of one, each with the participant that its name says."""
    found = []
    for manifest in manifests:
        kept = [handler for handler in manifest.handlers if handler is not old]
        kept += [handler for handler in new if handler.participant == manifest.participant]
        found.append(replace(manifest, handlers=tuple(kept)))
    return tuple(found)


def _retriggered(old: HandlerEntry, trigger: Sequence[frozenset[str]]) -> HandlerEntry:
    return replace(old, trigger=Trigger.of_alternatives(trigger), derived=False)


def drop_compensation(manifests: Manifests) -> Iterator[Mutant]:
    """Nobody wrote the compensation."""
    for undo in _handlers(manifests, "compensation"):
        yield Mutant("drop a compensation", undo.name, _with(manifests, undo))


def drop_trigger(manifests: Manifests) -> Iterator[Mutant]:
    """The compensation doesn't hear of one of the failures that call it."""
    for undo in _handlers(manifests, "compensation"):
        options = alternatives(undo.trigger)
        for option in options:
            kept = [each for each in options if each != option]
            if kept:
                where = f"{undo.name} without {_named(option)}"
                yield Mutant("drop a trigger", where, _with(manifests, undo, _retriggered(undo, kept)))


def too_early(manifests: Manifests) -> Iterator[Mutant]:
    """The compensation reacts to the failure itself, and doesn't wait for the one before it."""
    failures = _failures(manifests)
    for undo in _handlers(manifests, "compensation"):
        for failure in failures[undo.saga]:
            if failure in undo.trigger.types:
                continue
            spoilt = _retriggered(undo, [*alternatives(undo.trigger), frozenset((failure,))])
            yield Mutant("trigger too early", f"{undo.name} by {failure}", _with(manifests, undo, spoilt))


def broadcast_undo(manifests: Manifests) -> Iterator[Mutant]:
    """All compensations react to one failure at once, as the textbooks have it."""
    for saga, failures in _failures(manifests).items():
        for failure in failures:
            spoilt, changed = tuple(manifests), False
            for undo in list(_handlers(spoilt, "compensation")):
                if undo.saga == saga and undo.step != START and undo.trigger != Trigger.of(failure):
                    spoilt = _with(spoilt, undo, _retriggered(undo, [frozenset((failure,))]))
                    changed = True
            if changed:
                yield Mutant("broadcast undo", failure, spoilt)


def swap_order(manifests: Manifests) -> Iterator[Mutant]:
    """Two compensations have each other's triggers."""
    undos = [undo for undo in _handlers(manifests, "compensation") if undo.step != START]
    for number, one in enumerate(undos):
        for other in undos[number + 1 :]:
            if one.saga != other.saga or one.trigger == other.trigger:
                continue
            spoilt = _with(manifests, one, replace(one, trigger=other.trigger, derived=False))
            spoilt = _with(spoilt, other, replace(other, trigger=one.trigger, derived=False))
            yield Mutant("swap order", f"{one.name} and {other.name}", spoilt)


def drop_join_slot(manifests: Manifests) -> Iterator[Mutant]:
    """A join doesn't wait for one of its branches."""
    for handler in _handlers(manifests, "action", "compensation"):
        options = alternatives(handler.trigger)
        slots = sorted({name for option in options if len(option) > 1 for name in option})
        for slot in slots:
            trigger = [option - {slot} if len(option) > 1 else option for option in options]
            spoilt = _retriggered(handler, trigger)
            where = f"{handler.name} without {slot}"
            yield Mutant("drop a join's slot", where, _with(manifests, handler, spoilt))


def join_for_any(manifests: Manifests) -> Iterator[Mutant]:
    """`all_of` where `A | B` was meant, and the reverse."""
    for handler in _handlers(manifests, "action"):
        names = sorted(handler.trigger.types)
        if len(names) < 2:
            continue
        joined = Trigger.all_of(*map(Trigger.of, names))
        trigger = Trigger.of(*names) if handler.trigger == joined else joined
        spoilt = replace(handler, trigger=trigger, derived=False)
        yield Mutant("join for any", handler.name, _with(manifests, handler, spoilt))


def drop_deadline(manifests: Manifests) -> Iterator[Mutant]:
    """Nobody watches the step any more: neither a deadline nor a timeout of its own."""
    for deadline in _handlers(manifests, "deadline"):
        spoilt = _with(manifests, deadline)
        for action in list(_handlers(spoilt, "action")):
            spoilt = _with(spoilt, action, replace(action, timeout_ms=None))
        yield Mutant("drop a deadline", deadline.name, spoilt)


def drop_timeouts(manifests: Manifests) -> Iterator[Mutant]:
    """An action has no timeout, nor has anything behind it."""
    if any(True for _ in _handlers(manifests, "deadline")):
        return
    spoilt = tuple(manifests)
    for action in list(_handlers(spoilt, "action")):
        spoilt = _with(spoilt, action, replace(action, timeout_ms=None))
    if any(h.timeout_ms is not None and h.kind == "compensatable" for h in _handlers(manifests, "action")):
        yield Mutant("drop all timeouts", "everywhere", spoilt)


def short_deadline(manifests: Manifests) -> Iterator[Mutant]:
    """A deadline passes before the steps under it have used up their timeouts."""
    for deadline in _handlers(manifests, "deadline"):
        spoilt = replace(deadline, within_ms=1)
        yield Mutant("short deadline", deadline.name, _with(manifests, deadline, spoilt))


def watch_final(manifests: Manifests) -> Iterator[Mutant]:
    """Somebody sets a deadline on a step that can't be undone."""
    for action in _handlers(manifests, "action"):
        if action.kind in ("pivot", "retriable"):
            watch = replace(
                action,
                name=f"{action.name}_is_late",
                task="deadline",
                kind="",
                timeout_ms=None,
                within_ms=3_600_000,
                emits=Emission((f"{next(iter(action.emits.successes))}Late",)),
            )
            yield Mutant("watch a final step", action.name, _with(manifests, action, action, watch))


def drop_aborted(manifests: Manifests) -> Iterator[Mutant]:
    """A compensation of a watched step doesn't admit `Aborted`."""
    watched = {deadline.step for deadline in _handlers(manifests, "deadline")}
    for undo in _handlers(manifests, "compensation"):
        if undo.aborted and undo.step in watched and undo.trigger:
            yield Mutant("drop Aborted", undo.name, _with(manifests, undo, replace(undo, aborted=False)))


def drop_consumer(manifests: Manifests) -> Iterator[Mutant]:
    """An action isn't there any more."""
    for action in _handlers(manifests, "action"):
        yield Mutant("drop a consumer", action.name, _with(manifests, action))


def drop_participant(manifests: Manifests) -> Iterator[Mutant]:
    """Somebody doesn't take part."""
    for manifest in manifests:
        if any(handler.task != "observer" for handler in manifest.handlers) and len(manifests) > 1:
            kept = tuple(each for each in manifests if each is not manifest)
            yield Mutant("drop a participant", manifest.participant, kept)


def mistype_trigger(manifests: Manifests) -> Iterator[Mutant]:
    """An event's name is misspelt where it is consumed."""
    for handler in _handlers(manifests, "action", "compensation", "deadline"):
        for name in sorted(handler.trigger.types)[:1]:
            spoilt = _with(
                manifests,
                handler,
                replace(_renamed(handler, name, f"{name}X"), derived=False, emits=handler.emits),
            )
            yield Mutant("misspell an event", f"{handler.name} < {name}", spoilt)


def merge_events(manifests: Manifests) -> Iterator[Mutant]:
    """Two steps emit the same event, as "Failed" for all."""
    actions = [action for action in _handlers(manifests, "action") if action.emits.failures]
    for one, other in pairwise(actions):
        if one.saga != other.saga:
            continue
        new, old = one.emits.failures[0], other.emits.failures[0]
        handlers = [tuple(_renamed(h, old, new) for h in manifest.handlers) for manifest in manifests]
        spoilt = (replace(m, handlers=its) for m, its in zip(manifests, handlers, strict=True))
        yield Mutant("merge events", f"{new} for {old}", tuple(spoilt))


def drop_failure(manifests: Manifests) -> Iterator[Mutant]:
    """A failure reaches nobody: no compensation hears of it."""
    for saga, failures in _failures(manifests).items():
        for failure in failures:
            spoilt = tuple(manifests)
            for undo in list(_handlers(spoilt, "compensation")):
                kept = [option for option in alternatives(undo.trigger) if failure not in option]
                if undo.saga == saga and failure in undo.trigger.types and kept:
                    spoilt = _with(spoilt, undo, _retriggered(undo, kept))
            if spoilt != tuple(manifests):
                yield Mutant("drop a failure", failure, spoilt)


def fail_after_pivot(manifests: Manifests) -> Iterator[Mutant]:
    """A step that can fail comes after the point of no return, or beside what is never undone."""
    for action in _handlers(manifests, "action"):
        if action.kind == "retriable":
            failing = replace(
                action,
                kind="pivot",
                timeout_ms=60_000,
                emits=Emission(action.emits.successes, (f"{action.emits.successes[0]}Not",)),
            )
            others = [a for a in _handlers(manifests, "action") if a is not action and a.saga == action.saga]
            if any(other.kind != "compensatable" for other in others):
                yield Mutant("fail after the pivot", action.name, _with(manifests, action, failing))


def early_pivot(manifests: Manifests) -> Iterator[Mutant]:
    """What could be undone is declared a point of no return, and others may fail after it."""
    for action in _handlers(manifests, "action"):
        if action.kind != "compensatable" or not _is_last(manifests, action):
            continue
        for earlier in _handlers(manifests, "action"):
            if earlier.saga != action.saga or earlier is action or earlier.kind != "compensatable":
                continue
            spoilt = _with(manifests, earlier, replace(earlier, kind="pivot", partial=False))
            for undo in list(_handlers(spoilt, "compensation")):
                spoilt = _with(spoilt, undo) if undo.step == earlier.step else spoilt
            yield Mutant("pivot too early", earlier.name, spoilt)


def foreign_compensation(manifests: Manifests) -> Iterator[Mutant]:
    """Another participant declares the compensation; that of the start may be anybody's, who then starts."""
    for undo in (each for each in _handlers(manifests, "compensation") if each.step != START):
        others = [m for m in manifests if any(saga.name == undo.saga for saga in m.sagas)]
        other = next((m.participant for m in others if m.participant != undo.participant), "")
        if other:
            moved = replace(undo, name=f"{other}.{undo.name.partition('.')[2]}")
            yield Mutant("foreign compensation", undo.name, _with(manifests, undo, moved))


def failing_compensation(manifests: Manifests) -> Iterator[Mutant]:
    """A compensation has an outcome that says it failed."""
    for undo in _handlers(manifests, "compensation"):
        emits = Emission(undo.emits.successes, (f"{undo.emits.successes[0]}Failed",))
        yield Mutant("failing compensation", undo.name, _with(manifests, undo, replace(undo, emits=emits)))


def double_compensation(manifests: Manifests) -> Iterator[Mutant]:
    """Two compensations undo one thing."""
    for undo in _handlers(manifests, "compensation"):
        twin = replace(undo, name=f"{undo.name}_again", emits=Emission((f"{undo.emits.successes[0]}Again",)))
        yield Mutant("double compensation", undo.name, _with(manifests, undo, undo, twin))


def wrong_result(manifests: Manifests) -> Iterator[Mutant]:
    """Of two compensations of a choice, one undoes what the other should."""
    for undo in _handlers(manifests, "compensation"):
        others = [o for o in _handlers(manifests, "compensation") if o.step == undo.step and o is not undo]
        for other in others:
            spoilt = _with(manifests, undo, replace(undo, results=other.results))
            yield Mutant("wrong result", f"{undo.name} for {other.name}", spoilt)


def cycle(manifests: Manifests) -> Iterator[Mutant]:
    """A step is triggered by what comes of it."""
    for action in _handlers(manifests, "action"):
        done = set(action.emits.successes)
        later = [
            other.emits.successes[0]
            for other in _handlers(manifests, "action")
            if other.saga == action.saga and not done.isdisjoint(other.trigger.types)
        ]
        for name in later[:1]:
            spoilt = _retriggered(action, [*alternatives(action.trigger), frozenset((name,))])
            yield Mutant("cycle", f"{action.name} < {name}", _with(manifests, action, spoilt))


def lose_end(manifests: Manifests) -> Iterator[Mutant]:
    """The last step emits something else than the end."""
    for manifest in manifests:
        for saga in manifest.sagas:
            for action in (h for h in manifest.handlers if saga.completes in h.emits.successes):
                emits = replace(action.emits, successes=(f"{saga.completes}Nearly",))
                spoilt = _with(manifests, action, replace(action, emits=emits))
                yield Mutant("lose the end", action.name, spoilt)


def rename_field(manifests: Manifests) -> Iterator[Mutant]:
    """A writer and a reader name a field differently."""
    for manifest in manifests:
        written = {n for h in manifest.handlers for n in (*h.emits.successes, *h.emits.failures)}
        for name in sorted(written):
            if not any(_reads(other, name) for other in manifests if other is not manifest):
                continue
            schema = manifest.schemas.get(name)
            if schema is None or not schema.schema.get("fields"):
                continue
            first, *others = schema.schema["fields"]
            fields = [{**first, "name": f"{first['name']}_new"}, *others]
            changed = SchemaEntry({**schema.schema, "fields": fields}, schema.fingerprint, ())
            spoilt = replace(manifest, schemas={**manifest.schemas, name: changed})
            where = f"{manifest.participant} writes {name}.{first['name']}_new"
            yield Mutant("rename a field", where, tuple(spoilt if m is manifest else m for m in manifests))


def disagree(manifests: Manifests) -> Iterator[Mutant]:
    """Two participants have different contracts of one saga."""
    for manifest in manifests:
        for saga in manifest.sagas:
            if sum(any(s.name == saga.name for s in other.sagas) for other in manifests) < 2:
                continue
            other = replace(saga, topic=f"{saga.topic}-2")
            sagas = tuple(other if each is saga else each for each in manifest.sagas)
            spoilt = replace(manifest, sagas=sagas)
            all_of_them = tuple(spoilt if each is manifest else each for each in manifests)
            yield Mutant("disagree", manifest.participant, all_of_them)


OPERATORS: tuple[Operator, ...] = (
    drop_compensation,
    drop_trigger,
    too_early,
    broadcast_undo,
    swap_order,
    drop_join_slot,
    join_for_any,
    drop_deadline,
    drop_timeouts,
    short_deadline,
    watch_final,
    drop_aborted,
    drop_consumer,
    drop_participant,
    mistype_trigger,
    merge_events,
    drop_failure,
    fail_after_pivot,
    early_pivot,
    foreign_compensation,
    failing_compensation,
    double_compensation,
    wrong_result,
    cycle,
    lose_end,
    rename_field,
    disagree,
)


def _named(option: frozenset[str]) -> str:
    return " & ".join(sorted(option))


def _failures(manifests: Manifests) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {saga.name: [] for manifest in manifests for saga in manifest.sagas}
    for action in _handlers(manifests, "action"):
        found[action.saga] += action.emits.failures
    return found


def _renamed(handler: HandlerEntry, old: str, new: str) -> HandlerEntry:
    def swap(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(new if name == old else name for name in names)

    return replace(
        handler,
        trigger=renamed(handler.trigger, lambda name: new if name == old else name),
        emits=Emission(swap(handler.emits.successes), swap(handler.emits.failures)),
    )


def _is_last(manifests: Manifests, action: HandlerEntry) -> bool:
    ends = {saga.completes for manifest in manifests for saga in manifest.sagas}
    return bool(ends & set(action.emits.successes))


def _reads(manifest: Manifest, name: str) -> bool:
    return any(name in handler.trigger.types for handler in manifest.handlers)
