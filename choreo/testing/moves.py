"""``Moves``: what may happen next in a simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from choreo.testing.budget import Budget
from choreo.testing.choices import Move
from choreo.testing.faults import Fault
from choreo.testing.seat import Seat, World

TIME = Move("time passes")
REPEAT = Move("is repeated")


class Moves:
    """Looks at the seats, the world and the faults of one simulation, and changes nothing.

    Where it ``reduces``, a participant that can only read on does so before anybody else does anything: that
    commutes with whatever the others do.
    """

    def __init__(
        self, seats: Mapping[str, Seat], world: World, faults: Sequence[Fault], reduces: bool
    ) -> None:
        self._seats = seats
        self._world = world
        self._faults = faults
        self._reduces = reduces

    def now(self) -> list[Move]:
        """Give what anybody can do without waiting; what a calm world does is first."""
        seats = self._seats.values()
        moves = [Move("delivers", seat.name) for seat in seats if self._may_deliver(seat)]
        moves += [Move("calls", seat.name) for seat in seats if self._may_call(seat)]
        moves += [Move("turns", seat.name) for seat in seats if seat.is_ready]
        return moves

    def choice(self, moves: Sequence[Move], left: Budget) -> list[Move]:
        """Give what is to be chosen from where these moves can be made: they, or one of them, and mishaps."""
        return [*(self._alone(moves, left) or moves), *self._mishaps(left)]

    def next_time(self) -> int | None:
        """Say when there will be something to do, in milliseconds since the epoch."""
        times = (seat.wakes_at for seat in self._seats.values())
        return min((time for time in times if time is not None), default=None)

    def _alone(self, moves: Sequence[Move], left: Budget) -> list[Move]:
        """Give the one move that need not be tried after any other, if there is one."""
        if not self._reduces or left.crashes or (left.leaps and self.next_time() is not None):
            return []
        reads = (move for move in moves if move.what == "turns" and self._only_reads(self._seats[move.who]))
        first = next(reads, None)
        return [first] if first else []

    def _only_reads(self, seat: Seat) -> bool:
        wakes_at = seat.worker.wakes_at
        return not seat.calls.has_any and (wakes_at is None or wakes_at > self._world.clock.now())

    def _mishaps(self, left: Budget) -> list[Move]:
        moves = []
        if left.leaps and self.next_time() is not None:
            moves.append(TIME)
        if left.repeats and self._world.broker.latest:
            moves.append(REPEAT)
        if left.crashes:
            moves += [Move("crashes", name) for name in self._seats]
        return moves

    def _may_call(self, seat: Seat) -> bool:
        return seat.calls.is_ready and self._world.clock.now() >= seat.rests_until

    def _may_deliver(self, seat: Seat) -> bool:
        if not seat.wire.in_flight or self._world.clock.now() < seat.rests_until:
            return False
        first = seat.wire.in_flight[0]
        return not any(fault.holds(seat, first) and not fault.lets_go for fault in self._faults)
