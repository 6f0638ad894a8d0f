"""``Simulation``: participants in memory, on virtual time, one small move at a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from choreo.cloudevents import read
from choreo.graph import derive
from choreo.participant import Handler, Participant
from choreo.records import Record
from choreo.testing.around import Around
from choreo.testing.budget import NOTHING, Budget
from choreo.testing.choices import Calm, Chooser, Move, Recorded
from choreo.testing.clock import VirtualClock
from choreo.testing.connection import SimulatedConnection
from choreo.testing.effects import Effects
from choreo.testing.faults import Fault
from choreo.testing.letters import settle_all
from choreo.testing.memory import MemoryBroker
from choreo.testing.moves import TIME, Moves
from choreo.testing.seat import Seat, World
from choreo.testing.stores import open_store
from choreo.testing.violation import Violation


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
        self._moves = Moves(self.seats, World(self.clock, self.broker), self.faults, reduces)
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
        return bool(self._moves.now())

    def step(self, choice: int = 0) -> None:
        """Make one of the moves that can be made now, if there is any."""
        moves = self._moves.now()
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
            return effects.noted(handler, Around(self, participant.name))

        world = World(self.clock, self.broker)
        seat = self.seats[participant.name] = Seat(participant, world, store, change, self._on_taken)
        participant.connect(SimulatedConnection(seat, self.clock, self._new_id, self._run_before))

    def _next(self, before: int | None) -> Move | None:
        moves = self._moves.now()
        while not moves and (self._mend() or (self._moves.next_time() is None and self._let_go())):
            moves = self._moves.now()
        if moves:
            moves = self._moves.choice(moves, self._left)
            return moves[self.choices.choose(moves)]
        time = self._moves.next_time()
        return None if time is None or (before is not None and time > before) else TIME

    def _make(self, move: Move) -> None:
        match move.what:
            case "time passes":
                self._pass_time()
            case "is repeated":
                self._left = self._left.without("repeats")
                self._repeat_latest()
            case "crashes":
                self._left = self._left.without("crashes")
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
        if self._moves.now():
            self._left = self._left.without("leaps")
        time = self._moves.next_time()
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
        self._left = self._left.without("failures")
        self.trace.append(f"{handler.name} fails")
        return True
