"""``Simulation``: participants in memory, on virtual time, one small move at a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from choreo.choreography import derive
from choreo.errors import Permanent
from choreo.kafka.cloudevents import read
from choreo.participant import Context, Handler, Participant
from choreo.ports import Record
from choreo.testing.choices import Calm, Chooser, Move, Recorded
from choreo.testing.clock import VirtualClock
from choreo.testing.connection import SimulatedConnection
from choreo.testing.effects import Effects
from choreo.testing.faults import Fault
from choreo.testing.letters import settle_all
from choreo.testing.memory import MemoryBroker
from choreo.testing.seat import Seat, World
from choreo.testing.stores import open_store
from choreo.testing.violation import Violation

TIME = Move("time passes")


class Budget(NamedTuple):
    """How much may go wrong by choice: processes that crash, records that come twice, actions that fail, and
    moments at which time passes although there is work."""

    crashes: int = 0
    repeats: int = 0
    failures: int = 0
    leaps: int = 0


NOTHING = Budget()


class Simulation:
    """Runs participants; the run is a function of them, of what the test asks for, and of the choices alone.

    ``faults`` strike where they are to; ``budget`` says what may happen besides, by choice. ``folder``: keep
    the databases in files there. Use it from one thread, and `close` it. Where it ``reduces``, a participant
    that can only read on does so at once: that commutes with whatever the others do.
    """

    def __init__(
        self,
        participants: Sequence[Participant],
        *,
        chooser: Chooser | None = None,
        faults: Iterable[Fault] = (),
        budget: Budget = NOTHING,
        folder: Path | None = None,
        partitions: int = 1,
        most_moves: int = 20_000,
        reduces: bool = False,
    ) -> None:
        self.choices = Recorded(chooser or Calm())
        self.clock = VirtualClock()
        self.broker = MemoryBroker(partitions, self.clock, "simulation")
        self.faults = list(faults)
        self.trace: list[str] = []
        self.effects: dict[str, Effects] = {}
        self.seats: dict[str, Seat] = {}
        self._left = budget
        self._most_moves = most_moves
        self._reduces = reduces
        self._past: dict[str, int] = {each.name: 0 for each in participants}
        self._log_so_far = 0
        self._count = 0
        self._ids = random.Random(0)
        self._connected = [(each, each.connection) for each in participants]
        derive(participants)
        try:
            for each in participants:
                self._seat(each, folder)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the databases, and give every participant the connection back that it had."""
        for participant, connection in self._connected:
            participant.connect(connection)
        for seat in self.seats.values():
            seat.leave()
            seat.store.close()

    def run(self, until: Callable[[], bool] = lambda: False, before: int | None = None) -> None:
        """Go on until a condition holds, or nothing is left to do; not beyond the time ``before`` (ms)."""
        while not until():
            move = self._next(before)
            if move is None:
                return
            self.trace.append(str(move))
            self._make(move)
            if len(self.trace) > self._most_moves:
                raise Violation(f"the simulation doesn't come to rest in {self._most_moves} moves")

    @property
    def can_move(self) -> bool:
        """Whether anybody has anything to do now."""
        return bool(self._moves())

    def step(self, choice: int = 0) -> None:
        """Make one of the moves that can be made now, if there is any."""
        moves = self._moves()
        if moves:
            move = moves[choice % len(moves)]
            self.trace.append(str(move))
            self._make(move)

    def fingerprint(self) -> tuple[Any, ...]:
        """Give what is equal for two simulations that can't be told apart from here on.

        Of each participant it is what has happened to it, in its order: two runs that differ only in the
        order of moves of different participants are one (Mazurkiewicz, *Trace theory*, 1987).
        """
        seats = tuple(
            (self._past[name], len(seat.wire.in_flight), seat.rests_until)
            for name, seat in self.seats.items()
        )
        return seats, self._log_so_far, self.clock.now(), self._left

    def _seat(self, participant: Participant, folder: Path | None) -> None:
        store = open_store(folder, participant.name)
        effects = self.effects[participant.name] = Effects(store, self._next_place)

        def change(handler: Handler) -> Handler:
            return effects.noted(handler, _Around(self, participant.name))

        world = World(self.clock, self.broker)
        seat = self.seats[participant.name] = Seat(participant, world, store, change, self._on_taken)
        participant.connect(SimulatedConnection(seat, self.clock, self._new_id, self._run_before))

    # What may happen next

    def _next(self, before: int | None) -> Move | None:
        while True:
            moves = self._moves()
            if moves:
                moves = [*(self._alone(moves) or moves), *self._mishaps()]
                break
            if self._mend():
                continue
            time = self._next_time()
            if time is None and self._let_go():
                continue
            if time is None or (before is not None and time > before):
                return None
            moves = [TIME]
            break
        return moves[self.choices.choose(moves)]

    def _moves(self) -> list[Move]:
        seats = self.seats.values()
        moves = [Move("delivers", seat.name) for seat in seats if self._may_deliver(seat)]
        moves += [Move("calls", seat.name) for seat in seats if self._may_call(seat)]
        moves += [Move("turns", seat.name) for seat in seats if seat.is_ready]
        return moves

    def _alone(self, moves: list[Move]) -> list[Move]:
        """Give the one move that need not be tried after any other, if there is one."""
        if not self._reduces or self._left.crashes or (self._left.leaps and self._next_time() is not None):
            return []
        reads = (move for move in moves if move.what == "turns" and self._only_reads(self.seats[move.who]))
        return [move for move, _ in zip(reads, range(1), strict=False)]

    def _only_reads(self, seat: Seat) -> bool:
        wakes_at = seat.worker.wakes_at
        return not seat.calls.has_any and (wakes_at is None or wakes_at > self.clock.now())

    def _mishaps(self) -> list[Move]:
        left, moves = self._left, []
        if left.leaps and self._next_time() is not None:
            moves.append(TIME)
        if left.repeats and self.broker.latest:
            moves.append(Move("is repeated"))
        if left.crashes:
            moves += [Move("crashes", name) for name in self.seats]
        return moves

    def _may_call(self, seat: Seat) -> bool:
        return seat.calls.is_ready and self.clock.now() >= seat.rests_until

    def _may_deliver(self, seat: Seat) -> bool:
        if not seat.wire.in_flight or self.clock.now() < seat.rests_until:
            return False
        first = seat.wire.in_flight[0]
        return not any(fault.holds(seat, first) and not fault.lets_go for fault in self.faults)

    def _next_time(self) -> int | None:
        times = (seat.wakes_at for seat in self.seats.values())
        return min((time for time in times if time is not None), default=None)

    # Carrying it out

    def _make(self, move: Move) -> None:
        match move.what:
            case "time passes":
                self._pass_time()
            case "is repeated":
                self._left = self._left._replace(repeats=self._left.repeats - 1)
                self._repeat_latest()
            case "crashes":
                self._left = self._left._replace(crashes=self._left.crashes - 1)
                self._remember(move.who, "crashes")
                self.seats[move.who].crash()
            case "delivers":
                self._deliver(self.seats[move.who])
            case "calls":
                self._remember(move.who, "calls")
                self.seats[move.who].step_call()
            case _:
                self._turn(self.seats[move.who])

    def _turn(self, seat: Seat) -> None:
        before = seat.fragile.advances, seat.worker.wakes_at
        seat.turn()
        if before != (seat.fragile.advances, seat.worker.wakes_at):
            self._remember(seat.name, "turns")  # else it has only heard that something has arrived

    def _remember(self, name: str, what: str) -> None:
        self._past[name] = hash((self._past[name], what, self.clock.now(), self._left))

    def _pass_time(self) -> None:
        if self._moves():
            self._left = self._left._replace(leaps=self._left.leaps - 1)
        time = self._next_time()
        assert time is not None
        self.clock.advance_to(time)

    def _deliver(self, seat: Seat) -> None:
        publication = seat.wire.in_flight[0]
        for fault in self.faults:
            publication = fault.spoil(publication)
        seat.wire.deliver(publication)
        record = self.broker.latest
        assert record is not None
        self.trace[-1] += f" {read(record).type}"
        self._log_so_far = hash((self._log_so_far, record.partition, record.offset, record.headers))
        for fault in self.faults:
            fault.arrived(self, record)

    def _repeat_latest(self) -> None:
        if self.broker.latest:
            self.broker.repeat(self.broker.latest)
            self._log_so_far = hash((self._log_so_far, "is repeated"))

    def _mend(self) -> bool:
        """Let faults do what they do once nothing moves any more; settle the dead letters that they made."""
        went_on = [fault for fault in self.faults if fault.goes_on(self)]
        return bool(went_on) or (any(fault.makes_letters for fault in self.faults) and settle_all(self))

    def _let_go(self) -> bool:
        """Deliver after all what waits for something that won't happen any more; say whether anything did."""
        held = [fault for fault in self.faults if not fault.lets_go]
        for fault in held:
            fault.lets_go = True
        return bool(held)

    def _on_taken(self, seat: Seat, records: Sequence[Record]) -> None:
        for fault in self.faults:
            for record in records:
                fault.taken(seat, record)

    def _run_before(self, until: Callable[[], bool], before: int) -> None:
        self.run(until, before)
        if not until():
            self.clock.advance_to(before)

    def _next_place(self) -> int:
        self._count += 1
        return self._count

    def _new_id(self) -> str:
        """Make a saga id that the next run makes again."""
        return str(UUID(int=self._ids.getrandbits(128), version=4))

    def may_fail(self, handler: Handler) -> bool:
        """Say whether a handler fails now, by choice, as far as the budget goes."""
        if not self._left.failures or handler.task != "action" or handler.kind == "retriable":
            return False
        if not self.choices.choose([Move("succeeds", handler.name), Move("fails", handler.name)]):
            return False
        self._left = self._left._replace(failures=self._left.failures - 1)
        self.trace.append(f"{handler.name} fails")
        return True


class _Around:
    """What a simulation does around the handlers of one seat."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        self._simulation = simulation
        self._name = name

    def before(self, handler: Handler, context: Context) -> None:
        """Let faults strike."""
        for fault in self._simulation.faults:
            if fault.target.name == handler.name:
                fault.before(self._simulation.seats[self._name])

    def after(self, handler: Handler, context: Context) -> Any:
        """Let faults strike, or chance."""
        waits = None
        for fault in self._simulation.faults:
            if fault.target.name == handler.name:
                waits = fault.after(self._simulation.seats[self._name]) or waits
        if self._simulation.may_fail(handler):
            raise Permanent("the test lets it fail, by choice")
        return waits
