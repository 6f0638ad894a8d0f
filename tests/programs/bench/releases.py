"""``choreo verify --against``: releases of sagas with 20 steps of five participants."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from choreo.graph import SagaGraph, choreography_of
from choreo.verify.engine.budget import DEFAULT, Meter, no_clock
from choreo.verify.rollout.judgement import judge
from choreo.verify.rollout.mixture import Rollout
from tests.verify.choreography_text import read_choreography

OWNERS = "pqstu"


class Line(NamedTuple):
    """An action in a few words; without an ``owner`` the participants take turns."""

    name: str
    on: str
    out: str
    kind: str = ""
    owner: str = ""


Lines = list[Line]


def table() -> Iterator[dict[str, Any]]:
    """Return a line for each shape and change: states, moments, orders, seconds of the processor."""
    for shape in SHAPES:
        for change in CHANGES:
            rollout = rollout_of(shape, change)
            meter, begun = Meter(DEFAULT, no_clock), time.process_time()
            judgement = judge(rollout, DEFAULT.troubles, meter)
            yield {
                "bench": "verify release",
                "shape": shape,
                "change": change,
                "changed": len(rollout.changed),
                "states": meter.states,
                "moments": judgement.moments,
                "orders": judgement.orders,
                "seconds": round(time.process_time() - begun, 2),
                "breaks": len(judgement.certain) + len(judgement.others),
            }


def rollout_of(shape: str, change: str) -> Rollout:
    """Return the rollout of a change of a saga with 20 steps."""
    make = SHAPES[shape]
    return Rollout(_graph(make()), _graph(CHANGES[change](make())))


def _graph(lines: Lines) -> SagaGraph:
    text = ["o.fail of start derived <> Failed"]
    for number, (name, on, out, kind, owner) in enumerate(lines):
        step = f"{owner or OWNERS[number % len(OWNERS)]}.{name}"
        fails = "" if kind == "retriable" else f" / {name}Failed"
        text.append(f"{step} {kind} < {on} > {out}{fails}")
        text += [] if kind else [f"{step.partition('.')[0]}.un{name} of {step} derived <> {name}Undone"]
    return choreography_of(read_choreography("\n".join(text))).sagas[0]


def _row(name: str, on: str, length: int) -> tuple[Lines, str]:
    lines: Lines = []
    for number in range(length):
        lines.append(Line(f"{name}{number}", on, f"{name.upper()}{number}"))
        on = lines[-1].out
    return lines, on


def _ended(lines: Lines, on: str) -> Lines:
    return [*lines, Line("bind", on, "Bound", "pivot"), Line("close", "Bound", "Completed", "retriable")]


def _chain() -> Lines:
    return _ended(*_row("a", "Started", 18))


def _forks() -> Lines:
    lines, front = _row("a", "Started", 1)
    branches = [_row(name, front, 4) for name in "xyz"]
    tail, end = _row("b", " & ".join(last for _, last in branches), 5)
    return _ended([*lines, *(line for branch, _ in branches for line in branch), *tail], end)


def _choices() -> Lines:
    lines: Lines = []
    on = "Started"
    for number in range(4):
        one, other = f"One{number}", f"Other{number}"
        lines.append(Line(f"c{number}", on, f"{one} {other}"))
        lines += [Line(f"d{number}", one, f"D{number}"), Line(f"e{number}", other, f"E{number}")]
        lines.append(Line(f"f{number}", f"D{number} | E{number}", f"F{number}"))
        on = f"F{number}"
    return _ended([*lines, *_row("g", on, 2)[0]], "G1")


def _kept(lines: Lines) -> Lines:
    """Keep every participant's steps its own, whatever is added before them."""
    return [line._replace(owner=OWNERS[number % len(OWNERS)]) for number, line in enumerate(lines)]


def _renamed(lines: Lines) -> Lines:
    lines = _kept(lines)
    lines[7] = lines[7]._replace(name=f"{lines[7].name}n")
    return lines


def _inserted(lines: Lines) -> Lines:
    lines = _kept(lines)
    event = lines[8].out.split()[0]
    later = [line._replace(on=re.sub(rf"\b{event}\b", "New", line.on)) for line in lines[9:]]
    return [*lines[:9], Line("new", event, "New", owner="p"), *later]


def _added(owner: str) -> Callable[[Lines], Lines]:
    def added(lines: Lines) -> Lines:
        *first, last = _kept(lines)
        return [*first, last._replace(out="Last"), Line("tell", "Last", "Completed", "retriable", owner)]

    return added


SHAPES = {"chain": _chain, "forks": _forks, "choices": _choices}
CHANGES: dict[str, Callable[[Lines], Lines]] = {
    "nothing": _kept,
    "renamed": _renamed,
    "inserted": _inserted,
    "added at the end": _added("o"),
    "added by whom it is new": _added("n"),
}
