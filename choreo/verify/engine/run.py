"""``Run``: one run of a saga, its data erased: the log, and what is left when nothing moves any more.

What came because of what is kept: two events that are not related so may come in either order, and a
property that needs an order must find it there (Lamport, *Time, Clocks, and the Ordering of Events in a
Distributed System*, 1978).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from choreo.events import short_name
from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, TIMED_OUT, Outcome

REFUSED = "the saga is aborted"
"""The reason that the protocol gives an answer that nobody worked for."""

HOW = ("start", "handler", "raised", "requeued", "runtime", "deadline", "cancellation", "outside")
"""What may bring an event about; `choreo.verify.engine.run_file` tells them apart."""

_WORDS = {SUCCEEDED: "ok", FAILED: "FAILED", COMPENSATED: "undone", TIMED_OUT: "LATE"}


class RunLine(NamedTuple):
    """One step of a run that shows the finding: ``what`` is ok, FAILED, undone, refused or late."""

    step: str
    what: str
    consumed: str
    emitted: str
    remark: str = ""


class Happened(NamedTuple):
    """One event of a run's log: its step, its outcome, and the numbers of the events that caused it.

    ``past`` are the events that came before it causally, itself included: bit n stands for event n. When the
    step began, and when it ended, its participant had read ``begun`` and ``read`` events of the log. ``how``
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
    """What goes wrong in a run, in words; ``choices`` are the steps that don't give their first answer."""

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
    """What a scenario came to.

    ``valid`` are the numbers of the events that counted; ``waiting`` the steps that were called and never
    began, ``dead`` those that the protocol buried. ``written`` is the log as far as it was run: where it had
    come to what an earlier run, ``joined``, had come to after so many events, the rest is that one's, and the
    run ``is_repeat``: it breaks nothing that the other doesn't.
    """

    scenario: Scenario
    written: list[Happened] = field(default_factory=list)
    end: str = ""
    waiting: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    valid: set[int] = field(default_factory=set)
    aborted: bool = False
    joined: tuple[Run, int] | None = None
    is_repeat: bool = False

    @property
    def log(self) -> list[Happened]:
        """The whole log."""
        joins: list[Run] = []
        run = self
        while run.joined:
            joins.append(run)
            run = run.joined[0]
        for each in reversed(joins):
            each._write_rest()
        return self.written

    def join(self, other: Run, position: int) -> None:
        """End as another run did from there on, that had written so many events by then."""
        self.joined = (other, position)
        self.is_repeat = True
        self.end, self.aborted = other.end, other.aborted
        self.waiting, self.dead = other.waiting.copy(), [*self.dead, *other.dead]

    def _write_rest(self) -> None:
        assert self.joined
        other, position = self.joined
        self.joined = None
        numbers = {(event.step, event.outcome): number for number, event in enumerate(self.written)}
        shift = len(self.written) - position
        known = {
            at: number
            for at, event in enumerate(other.written[:position])
            if (number := numbers.get((event.step, event.outcome))) is not None
        }
        for at, event in enumerate(other.written[position:], position):
            known[at] = at + shift
            causes = tuple(sorted(known[cause] for cause in event.causes if cause in known))
            past = 1 << at + shift
            for cause in causes:
                past |= self.written[cause].past
            begun, read = max(event.begun + shift, 0), event.read + shift
            self.written.append(event._replace(causes=causes, past=past, begun=begun, read=read))
            if at in other.valid:
                self.valid.add(at + shift)

    def index(self, step: str, outcome: str) -> int:
        """Give the number of a step's outcome in the log, -1 where there is none that counts."""
        for number, event in enumerate(self.log):
            if event.step == step and event.outcome == outcome:
                return number
        return -1

    def is_before(self, first: int, second: int) -> bool:
        """Say whether an event came causally before another."""
        return bool(self.log[second].past >> first & 1) and first != second

    def trace(self, remarks: Mapping[int, str] = {}) -> tuple[RunLine, ...]:
        """Give the run as lines, a step each."""
        return tuple(self._line(number, remarks.get(number, "")) for number in range(1, len(self.log)))

    def cone(self, *numbers: int) -> list[int]:
        """Give the events that led to these, in order."""
        past = 0
        for number in numbers:
            past |= self.log[number].past
        return [number for number in range(1, len(self.log)) if past >> number & 1]

    def lines(self, numbers: Iterable[int], remarks: Mapping[int, str] = {}) -> tuple[RunLine, ...]:
        """Give some events as lines."""
        return tuple(self._line(number, remarks.get(number, "")) for number in numbers)

    def _line(self, number: int, remark: str) -> RunLine:
        event = self.log[number]
        consumed = " + ".join(short_name(self.log[cause].type) for cause in event.causes)
        what = "refused" if event.remark == REFUSED else _WORDS[event.outcome]
        return RunLine(event.step, what, consumed, short_name(event.type), remark)
