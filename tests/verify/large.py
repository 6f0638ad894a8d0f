"""Large choreographies, as manifests: thousands of handlers in the shapes in which sagas grow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from choreo.manifest import Emission, HandlerEntry, Manifest, SagaEntry
from choreo.outcome import COMPENSATABLE, PIVOT, START
from choreo.protocol import Trigger
from tests.protocol.triggers import renamed
from tests.verify.choreography_text import COMPLETED, FAILED, MINUTE_MS, SAGA, STARTED, schema


@dataclass
class Large:
    """A saga that grows by steps, each with a compensation that names no event."""

    saga: str = SAGA
    handlers: list[HandlerEntry] = field(default_factory=list)

    def step(self, on: Trigger, *successes: str, participants: int = 20) -> tuple[str, ...]:
        """Add a step, and return its success events."""
        number = len(self.handlers)
        done = successes or (f"g.S{number}",)
        name = f"p{number // 2 % participants}.s{number}"
        self._add(name, "action", name, on, Emission(done, (f"g.S{number}Failed",)), COMPENSATABLE)
        self._add(f"{name}_undo", "compensation", name, Trigger(), Emission((f"g.S{number}Undone",)))
        return done

    def _add(self, name: str, task: str, step: str, on: Trigger, emits: Emission, kind: str = "") -> None:
        undo = task == "compensation"
        self.handlers.append(
            HandlerEntry(
                name=name,
                task=task,
                step=step,
                saga=self.saga,
                place=f"large.py:{len(self.handlers) + 1}",
                trigger=on,
                emits=emits,
                kind=kind,
                timeout_ms=MINUTE_MS if kind else None,
                aborted=undo,
                optional_result=undo,
                derived=undo,
            )
        )

    def whole(self, *last: str) -> list[HandlerEntry]:
        """Complete the saga after these events, with the compensation of its start; return its handlers."""
        self._add(
            "p0.finish",
            "action",
            "p0.finish",
            Trigger.all_of(*map(Trigger.of, last)),
            Emission((COMPLETED,), ("g.Unfit",)),
            PIVOT,
        )
        self._add("p0.give_up", "compensation", START, Trigger(), Emission((FAILED,)))
        return self.handlers


def chain(room: int) -> list[HandlerEntry]:
    """One step after the other."""
    large, last = Large(), STARTED
    while len(large.handlers) + 4 <= room:
        (last,) = large.step(Trigger.of(last))
    return large.whole(last)


def chains(room: int, width: int = 12) -> list[HandlerEntry]:
    """Long branches beside each other, which are joined at the end."""
    large, ends = Large(), [STARTED] * width
    while len(large.handlers) + 2 * width + 2 <= room:
        ends = [large.step(Trigger.of(end))[0] for end in ends]
    return large.whole(*ends)


def diamonds(room: int, width: int = 4) -> list[HandlerEntry]:
    """A fork and a join, again and again."""
    large, last = Large(), STARTED
    while len(large.handlers) + 2 * width + 4 <= room:
        branches = [large.step(Trigger.of(last))[0] for _ in range(width)]
        (last,) = large.step(Trigger.all_of(*map(Trigger.of, branches)))
    return large.whole(last)


def choices(room: int) -> list[HandlerEntry]:
    """A choice and its merge, again and again."""
    large, last = Large(), STARTED
    while len(large.handlers) + 8 <= room:
        number = len(large.handlers)
        left, right = large.step(Trigger.of(last), f"g.S{number}A", f"g.S{number}B")
        ends = [large.step(Trigger.of(way))[0] for way in (left, right)]
        (last,) = large.step(Trigger.of(*ends))
    return large.whole(last)


def tree(room: int) -> list[HandlerEntry]:
    """Each step calls two others, and no one waits for most of them."""
    large, waiting, last = Large(), [STARTED], STARTED
    while len(large.handlers) + 6 <= room:
        event = waiting.pop(0)
        waiting += [large.step(Trigger.of(event))[0] for _ in range(2)]
        last = waiting[-1]
    return large.whole(last)


def deadlines(room: int) -> list[HandlerEntry]:
    """One step after the other, each watched by a deadline."""
    large, last = Large(), STARTED
    while len(large.handlers) + 6 <= room:
        on, number = last, len(large.handlers)
        (last,) = large.step(Trigger.of(on))
        step = large.handlers[-2].name
        large.handlers.append(
            HandlerEntry(
                name=f"p0.late{number}",
                task="deadline",
                step=step,
                saga=SAGA,
                place=f"large.py:{number + 3}",
                trigger=Trigger.of(on),
                emits=Emission((f"g.S{number}Late",)),
                within_ms=100 * MINUTE_MS,
            )
        )
        large.step(Trigger.of(last))
        (last,) = large.handlers[-2].emits.successes
    return large.whole(last)


def fan(room: int, width: int = 13) -> list[HandlerEntry]:
    """Branches of one step each, which are joined at the end."""
    large = Large()
    ends = [large.step(Trigger.of(STARTED))[0] for _ in range(min(room // 2 - 2, width))]
    return large.whole(*ends)


def sagas(room: int, size: int = 10) -> list[HandlerEntry]:
    """Many small sagas."""
    found: list[HandlerEntry] = []
    for number in range(room // size):
        large, last = Large(f"{SAGA}-{number}"), STARTED
        for _ in range(size // 2 - 2):
            (last,) = large.step(Trigger.of(last))
        found += [_moved(handler, number) for handler in large.whole(last)]
    return found


def one_beside_many(room: int) -> list[HandlerEntry]:
    """One huge saga, and small ones."""
    return [*sagas(room // 10), *deadlines(room - room // 10)]


def _moved(handler: HandlerEntry, number: int) -> HandlerEntry:
    """Return a handler of a small saga under names that no other saga has."""

    def other(name: str) -> str:
        return name.replace("g.", f"g{number}.", 1)

    return replace(
        handler,
        name=f"{handler.name}_{number}",
        step=handler.step if handler.step == START else f"{handler.name.removesuffix('_undo')}_{number}",
        trigger=renamed(handler.trigger, other),
        emits=Emission(tuple(map(other, handler.emits.successes)), tuple(map(other, handler.emits.failures))),
    )


SHAPES: dict[str, Callable[[int], list[HandlerEntry]]] = {
    shape.__name__: shape
    for shape in (chain, chains, diamonds, choices, tree, deadlines, fan, sagas, one_beside_many)
}
"""Each shape, by its name: it returns about so many handlers as it is given room for."""


def manifests(handlers: list[HandlerEntry]) -> Iterator[Manifest]:
    """Return a manifest for each participant, from all their handlers."""
    sagas = {name: _saga(name) for name in dict.fromkeys(handler.saga for handler in handlers)}
    own: dict[str, list[HandlerEntry]] = {}
    for handler in handlers:
        own.setdefault(handler.participant, []).append(handler)
    for name, given in own.items():
        taking_part = dict.fromkeys(handler.saga for handler in given)
        types = {
            each
            for saga in taking_part
            for each in (sagas[saga].starts, sagas[saga].completes, sagas[saga].fails)
        }
        for handler in given:
            types.update(handler.trigger.types, handler.emits.successes, handler.emits.failures)
        yield Manifest(
            name,
            tuple(sagas[saga] for saga in taking_part),
            tuple(given),
            schemas={each: schema(each) for each in sorted(types)},
            origin=name,
        )


def _saga(name: str) -> SagaEntry:
    number = name.removeprefix(SAGA).removeprefix("-")
    starts, completes, fails = (each.replace("g.", f"g{number}.", 1) for each in (STARTED, COMPLETED, FAILED))
    return SagaEntry(name, name, 1, starts, completes, fails)
