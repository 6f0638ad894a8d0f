"""``Moves``: the possible next moves of a simulation; ``Budget``: the number of faults among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from choreo.testing.awaited_imports import AwaitedImports
from choreo.testing.faults import Fault
from choreo.testing.process import Process, World

_IMPORTS = "imports "


class Move(NamedTuple):
    """One step of a simulation: what happens, and to which participant."""

    what: str
    who: str = ""

    def __str__(self) -> str:
        return f"{self.who}: {self.what}" if self.who else self.what

    @property
    def imported(self) -> str:
        """The event that comes from outside, empty for any other move."""
        return self.what.removeprefix(_IMPORTS) if self.what.startswith(_IMPORTS) else ""


TIME = Move("time passes")
REPEAT = Move("is repeated")
RELEASE = "is released"


class Budget(NamedTuple):
    """The number of faults that a simulation may choose.

    ``crashes`` of processes, ``repeats`` of records, ``failures`` of actions, and ``leaps`` of the time while
    there is work.

    >>> Budget(crashes=1, repeats=1).without("crashes")
    Budget(crashes=0, repeats=1, failures=0, leaps=0)
    """

    crashes: int = 0
    repeats: int = 0
    failures: int = 0
    leaps: int = 0

    def without(self, name: str) -> Budget:
        """Return the budget less one fault of a kind."""
        return self._replace(**{name: getattr(self, name) - 1})


NOTHING = Budget()


class Moves:
    """The possible moves of one simulation, which it does not change.

    Where it ``reduces``, a participant that can only read does so before any other move, since reading
    commutes with the moves of the others. ``imports`` are the events that come from outside, where they do;
    ``releases`` are the participants whose next release may start at any moment.
    """

    def __init__(
        self,
        world: World,
        faults: Sequence[Fault],
        reduces: bool,
        imports: AwaitedImports | None = None,
        releases: Iterable[str] = (),
    ) -> None:
        self._imports = imports
        self._releases = releases
        self._processes = world.processes
        self._world = world
        self._faults = faults
        self._reduces = reduces

    def now(self) -> list[Move]:
        """Return the moves that are possible without waiting; a calm simulation makes the first."""
        processes = self._processes.values()
        moves = [Move("delivers", process.name) for process in processes if self._may_deliver(process)]
        moves += [Move("calls", process.name) for process in processes if self._may_call(process)]
        moves += [Move("turns", process.name) for process in processes if process.is_ready]
        return [*moves, *self._awaited()]

    def choice(self, moves: Sequence[Move], left: Budget) -> list[Move]:
        """Return the moves to choose from: all of those possible now, or only one, and the faults."""
        return [*(self._alone(moves, left) or moves), *self._mishaps(left)]

    def next_time(self) -> int | None:
        """Return the time of the next work, in milliseconds since the epoch, or None."""
        times = (process.wakes_at for process in self._processes.values())
        return min((time for time in times if time is not None), default=None)

    def _awaited(self) -> list[Move]:
        names = self._imports.names() if self._imports else ()
        return [Move(f"{_IMPORTS}{name}", participant) for name, participant in names]

    def _alone(self, moves: Sequence[Move], left: Budget) -> list[Move]:
        """Return a move that commutes with all others, so that no other need be tried before it."""
        if not self._reduces or left.crashes or (left.leaps and self.next_time() is not None):
            return []
        importing = {move.who for move in moves if move.imported} | {*self._releases}
        turns = (move for move in moves if move.what == "turns" and move.who not in importing)
        first = next((move for move in turns if self._only_reads(self._processes[move.who])), None)
        return [first] if first else []

    def _only_reads(self, process: Process) -> bool:
        wakes_at = process.worker.wakes_at
        return not process.calls.has_any and (wakes_at is None or wakes_at > self._world.clock.now())

    def _mishaps(self, left: Budget) -> list[Move]:
        moves = []
        if left.leaps and self.next_time() is not None:
            moves.append(TIME)
        if left.repeats and self._world.broker.latest:
            moves.append(REPEAT)
        if left.crashes:
            moves += [Move("crashes", name) for name in self._processes]
        return [*moves, *(Move(RELEASE, name) for name in self._releases)]

    def _may_call(self, process: Process) -> bool:
        return process.calls.is_ready and self._world.clock.now() >= process.rests_until

    def _may_deliver(self, process: Process) -> bool:
        if not process.log.in_flight or self._world.clock.now() < process.rests_until:
            return False
        first = process.log.in_flight[0]
        return not any(fault.holds(process, first) and not fault.lets_go for fault in self._faults)
