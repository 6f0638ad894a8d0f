"""``Run``: one run of a saga without its data: its events, and the state in which nothing more can happen.

Each event has its causes. Two events of which neither caused the other may come in either order; a property
that requires an order must find it in the causes.

Source: Lamport, *Time, Clocks, and the Ordering of Events in a Distributed System* (1978).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from choreo.events import short_name
from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, TIMED_OUT, Outcome

REFUSED = "the saga is aborted"
"""The protocol's reason for an answer where no handler ran."""

HOW = ("start", "handler", "raised", "requeued", "runtime", "deadline", "cancellation", "outside")
"""What may bring an event about, as `choreo.verify.engine.run_file` explains it."""

_WORDS = {SUCCEEDED: "ok", FAILED: "FAILED", COMPENSATED: "undone", TIMED_OUT: "LATE"}


class RunLine(NamedTuple):
    """One event of a run, for people: ``what`` is ok, FAILED, undone, refused or LATE."""

    step: str
    what: str
    consumed: str
    emitted: str
    remark: str = ""


class Event(NamedTuple):
    """One event of a run: its step, its outcome, and the numbers of the events that caused it.

    ``past`` are the events that precede it causally, itself included: bit n stands for event n. When the
    step began, and when it ended, its participant had read ``begun`` and ``read`` events of the run. ``how``
    it came about is one of `HOW`.
    """

    type: str
    step: str
    outcome: Outcome
    causes: tuple[int, ...]
    remark: str = ""
    past: int = 0
    begun: int = 0
    read: int = 0
    how: str = "handler"


class Scenario(NamedTuple):
    """What goes wrong in a run, in words; ``choices`` are the success events that are not a step's first."""

    troubles: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """The scenario in a line."""
        what = ", ".join(self.troubles) or "nothing fails"
        chosen = ", ".join(f"{step} answers {short_name(event)}" for step, event in self.choices)
        return f"{what}; {chosen}" if chosen else what


@dataclass
class Run:
    """One run of a scenario.

    ``valid`` are the numbers of the events that counted; ``waiting`` are the steps that were called and never
    began, ``dead`` those that the protocol buried. ``explored`` are the events as far as the run was
    explored: where it reached the state that another run, ``joined``, had reached after so many events, its
    other events are those of that run. Then it ``is_repeat``: it violates nothing that the other doesn't.
    """

    scenario: Scenario
    explored: list[Event] = field(default_factory=list)
    end: str = ""
    waiting: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    valid: set[int] = field(default_factory=set)
    aborted: bool = False
    joined: tuple[Run, int] | None = None
    is_repeat: bool = False

    @property
    def events(self) -> list[Event]:
        """All events of the run."""
        joins: list[Run] = []
        run = self
        while run.joined:
            joins.append(run)
            run = run.joined[0]
        for each in reversed(joins):
            each._append_joined()
        return self.explored

    def join(self, other: Run, position: int) -> None:
        """Continue as another run did after its first ``position`` events."""
        self.joined = (other, position)
        self.is_repeat = True
        self.end, self.aborted = other.end, other.aborted
        self.waiting, self.dead = other.waiting.copy(), [*self.dead, *other.dead]

    def _append_joined(self) -> None:
        assert self.joined
        other, position = self.joined
        self.joined = None
        numbers = {(event.step, event.outcome): number for number, event in enumerate(self.explored)}
        shift = len(self.explored) - position
        known = {
            at: number
            for at, event in enumerate(other.explored[:position])
            if (number := numbers.get((event.step, event.outcome))) is not None
        }
        for at, event in enumerate(other.explored[position:], position):
            known[at] = at + shift
            causes = tuple(sorted(known[cause] for cause in event.causes if cause in known))
            past = 1 << at + shift
            for cause in causes:
                past |= self.explored[cause].past
            begun, read = max(event.begun + shift, 0), event.read + shift
            self.explored.append(event._replace(causes=causes, past=past, begun=begun, read=read))
            if at in other.valid:
                self.valid.add(at + shift)

    def index(self, step: str, outcome: str) -> int:
        """Return the number of the first event with this outcome of a step, -1 where there is none."""
        for number, event in enumerate(self.events):
            if event.step == step and event.outcome == outcome:
                return number
        return -1

    def is_before(self, first: int, second: int) -> bool:
        """Whether an event precedes another causally."""
        return bool(self.events[second].past >> first & 1) and first != second

    def cone(self, *numbers: int) -> list[int]:
        """Return the numbers of the events that led to these, in order."""
        past = 0
        for number in numbers:
            past |= self.events[number].past
        return [number for number in range(1, len(self.events)) if past >> number & 1]

    def lines(self, numbers: Iterable[int], remarks: Mapping[int, str] = {}) -> tuple[RunLine, ...]:
        """Return some events as lines."""
        return tuple(self._line(number, remarks.get(number, "")) for number in numbers)

    def _line(self, number: int, remark: str) -> RunLine:
        event = self.events[number]
        consumed = " + ".join(short_name(self.events[cause].type) for cause in event.causes)
        what = "refused" if event.remark == REFUSED else _WORDS[event.outcome]
        return RunLine(event.step, what, consumed, short_name(event.type), remark)
