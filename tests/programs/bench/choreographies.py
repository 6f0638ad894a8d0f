"""``choreo verify`` of large sagas: rows, forks, joins, choices, deadlines, a pivot, in one saga each."""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import cycle
from typing import Any

from choreo.graph import Choreography, choreography_of
from choreo.manifest import HandlerEntry, Manifest
from choreo.outcome import PIVOT, RETRIABLE, START
from choreo.protocol import Trigger
from choreo.verify import Budget, Verdict, verify
from tests.graph.small_sagas import manifests_of
from tests.protocol.sagas import ORDERS, STARTED, Saga, Step, last, step
from tests.verify import large

SIZES = ((30, 100), (50, 200), (70, 500), (100, 1_000))
"""Participants and event types of the sagas that are measured."""


def measure(sizes: Sequence[tuple[int, int]], repeats: int) -> Iterator[dict[str, Any]]:
    """Return a line for each (participants, events), one for a chain of 100 steps, and how the time grows."""
    lines = [_line(choreography(*size), *size, repeats) for size in sizes]
    yield from lines
    row = chain_of(100)
    yield {**_line(row, len(row.manifests), events_of(row), repeats), "shape": "chain of 100 steps"}
    yield {"bench": "verify growth", "exponent": round(_exponent(lines), 2)}


def table() -> Iterator[dict[str, Any]]:
    """Return a line for each shape in `SHAPES`: states, seconds of the processor, memory of the process."""
    for name in SHAPES:
        with ProcessPoolExecutor(1) as pool:
            yield pool.submit(_measured, name).result()


def _measured(name: str) -> dict[str, Any]:
    make, troubles = SHAPES[name]
    shape = make()
    begun = time.process_time()
    verdict = verify(shape, budget=Budget(troubles), clock=time.process_time)
    seconds = time.process_time() - begun
    return {
        "bench": "verify table",
        "shape": name,
        "steps": len(shape.sagas[0].steps),
        "states": verdict.scope.states,
        "seconds": round(seconds, 2),
        "MiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "errors": verdict.errors,
        "scope": str(verdict.scope).rpartition("; ")[2],
    }


def branches(width: int, length: int, *, spoilt: bool = False) -> Choreography:
    """Return branches that are joined; ``spoilt``: one is undone when the first step of another fails."""
    handlers = large.chains(2 * width * length + 4, width)
    if spoilt:
        last = max(n for n, each in enumerate(handlers) if each.task == "compensation" and each.step != START)
        called = Trigger.of(*handlers[0].emits.failures)
        handlers[last] = replace(handlers[last], derived=False, trigger=called)
    return choreography_of(large.manifests(handlers))


def choices(number: int, *, beside: bool = False) -> Choreography:
    """Return choices, each with a step on either way, one behind the other or beside each other."""
    steps: list[Step] = []
    on, ends = Trigger.of(STARTED), list[Trigger]()
    for at in range(number):
        one, other = f"C{at}One", f"C{at}Other"
        steps += [step(f"C{at}", on, one, other), step(f"D{at}", one), step(f"E{at}", other)]
        ends.append(Trigger.of(f"D{at}Done", f"E{at}Done"))
        on = on if beside else ends[-1]
    return choreography_of(
        manifests_of(Saga("choices", (*steps, last("Z", Trigger.all_of(*ends) if beside else on))))
    )


def layers(steps: int) -> Choreography:
    """Return a fork of four steps and their join, again and again."""
    return choreography_of(large.manifests(large.diamonds(2 * steps + 4)))


def choreography(participants: int, events: int) -> Choreography:
    """Return a saga of so many event types, its steps dealt out to so many participants."""
    return choreography_of(_dealt(manifests_of(mixed((events - 6) // 3)), participants))


def chain_of(steps: int) -> Choreography:
    """Return a chain, each step a participant's of its own."""
    names = [f"S{number}" for number in range(steps)]
    on = [STARTED, *(f"{name}Done" for name in names)]
    row = [step(name, trigger) for name, trigger in zip(names[:-1], on, strict=False)]
    return choreography_of(manifests_of(Saga("row", (*row, last(names[-1], on[steps - 1], PIVOT)))))


def events_of(choreography: Choreography) -> int:
    """Count the event types of a saga."""
    return len(choreography.sagas[0].outcome)


def mixed(steps: int) -> Saga:
    """Return a saga of about so many steps, of every shape, one behind the other."""
    made: list[Step] = []
    on = Trigger.of(STARTED)
    for shape in cycle((_row, _fork, _row, _choice)):
        room = steps - 2 - len(made)
        if room < 1:
            break
        added, on = shape(len(made), on, room)
        made += added
    pivot, end = step("P", on, kind=PIVOT), last("Z", "PDone", RETRIABLE)
    saga = Saga("mixed", (*made, pivot, end))
    for each in made[:: max(len(made) // 5, 1)]:
        saga = saga.with_watch(each.name)
    return saga


def _row(number: int, on: Trigger, room: int) -> tuple[list[Step], Trigger]:
    made: list[Step] = []
    for at in range(min(3, room)):
        made.append(step(f"R{number + at}", on))
        on = Trigger.of(f"R{number + at}Done")
    return made, on


def _fork(number: int, on: Trigger, room: int) -> tuple[list[Step], Trigger]:
    """Three branches of two steps, joined by whoever comes next."""
    if room < 7:
        return _row(number, on, room)
    heads = [step(f"F{number + at}", on) for at in range(3)]
    tails = [step(f"G{number + at}", f"F{number + at}Done") for at in range(3)]
    return [*heads, *tails], Trigger.all_of(*(Trigger.of(f"{each.name}Done") for each in tails))


def _choice(number: int, on: Trigger, room: int) -> tuple[list[Step], Trigger]:
    """One way or the other, and one end."""
    if room < 4:
        return _row(number, on, room)
    one, other = f"C{number}One", f"C{number}Other"
    ways = [step(f"C{number}", on, one, other), step(f"D{number}", one), step(f"E{number}", other)]
    return ways, Trigger.of(f"D{number}Done", f"E{number}Done")


def _dealt(manifests: list[Manifest], participants: int) -> list[Manifest]:
    """Return every participant some of the steps, in turn."""
    steps = [each.participant for each in manifests if each.participant != ORDERS]
    owners = {name: f"p{at % (participants - 1)}" for at, name in enumerate(steps)}
    owners[ORDERS] = ORDERS
    dealt: dict[str, list[HandlerEntry]] = {}
    for handler in (handler for manifest in manifests for handler in manifest.handlers):
        dealt.setdefault(owners[handler.participant], []).append(
            replace(handler, name=_new(handler.name, owners), step=_new(handler.step, owners))
        )
    return [Manifest(name, manifests[0].sagas, tuple(handlers)) for name, handlers in dealt.items()]


def _new(name: str, owners: dict[str, str]) -> str:
    owner, _, rest = name.partition(".")
    return f"{owners[owner]}.{owner}_{rest}" if rest and owner in owners else name


def _line(choreography: Choreography, participants: int, events: int, repeats: int) -> dict[str, Any]:
    times, verdict = [], _verified(choreography)
    for _ in range(repeats):
        begun = time.perf_counter()
        verdict = _verified(choreography)
        times.append(time.perf_counter() - begun)
    return {
        "bench": "verify",
        "participants": participants,
        "events": events_of(choreography),
        "wanted_events": events,
        "states": verdict.scope.states,
        "seconds": round(statistics.median(times), 3),
    }


def _verified(choreography: Choreography) -> Verdict:
    verdict = verify(choreography, budget=Budget(seconds=60), clock=time.perf_counter)
    assert not verdict.errors, verdict.findings
    assert not verdict.scope.unfinished, verdict.scope
    return verdict


def _exponent(lines: Sequence[dict[str, Any]]) -> float:
    """Fit time = constant × events ^ exponent, by least squares of the logarithms."""
    xs = [math.log(line["events"]) for line in lines]
    ys = [math.log(line["seconds"]) for line in lines]
    return statistics.linear_regression(xs, ys).slope


SHAPES: dict[str, tuple[Callable[[], Choreography], int]] = {
    **{f"chain of {n}": (partial(chain_of, n), 1) for n in (5, 20, 50, 100, 200)},
    **{f"layers, {n} steps": (partial(layers, n), 1) for n in (20, 60)},
    "100 participants": (lambda: choreography(100, 300), 1),
    "30 participants, --deep": (lambda: choreography(30, 100), 2),
    **{f"join of {n}": (partial(branches, n, 1), 1) for n in (12, 16, 20)},
    "join of 20, a bad pair": (partial(branches, 20, 1, spoilt=True), 1),
    **{f"{n} branches of 7": (partial(branches, n, 7), 1) for n in (4, 8)},
    "8 branches of 7, a bad pair": (partial(branches, 8, 7, spoilt=True), 1),
    **{f"{n} choices": (partial(choices, n), 1) for n in (10, 12)},
    **{f"{n} choices beside each other": (partial(choices, n, beside=True), 1) for n in (4, 10, 12)},
}
"""The shapes of the table, each with the number of troubles."""
