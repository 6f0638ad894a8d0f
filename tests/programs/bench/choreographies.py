"""``choreo verify`` of large sagas: rows, forks, joins, choices, deadlines, a pivot, in one saga each."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

from choreo.graph import Choreography, choreography_of
from choreo.manifest import HandlerEntry, Manifest
from choreo.outcome import PIVOT, RETRIABLE
from choreo.protocol import Trigger
from choreo.verify import Budget, Verdict, verify
from tests.graph.small_sagas import manifests_of
from tests.protocol.sagas import ORDERS, STARTED, Saga, Step, last, step

SIZES = ((30, 100), (50, 200), (70, 500), (100, 1_000))
"""Participants and event types of the sagas that are measured."""


def measure(sizes: Sequence[tuple[int, int]], repeats: int) -> Iterator[dict[str, Any]]:
    """Return a line for each (participants, events), one for a chain of 100 steps, and how the time grows."""
    lines = [_line(choreography(*size), *size, repeats) for size in sizes]
    yield from lines
    row = chain_of(100)
    yield {**_line(row, len(row.manifests), events_of(row), repeats), "shape": "chain of 100 steps"}
    yield {"bench": "verify growth", "exponent": round(_exponent(lines), 2)}


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
