"""``Simulation``: participants in memory, on virtual time, which run one move at a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from choreo.cloudevents import read
from choreo.errors import Permanent, ReleaseRefused
from choreo.graph import choreography_of, derive, derive_from, lock_of
from choreo.manifest import manifest_of
from choreo.participant import Handler, Participant
from choreo.participant.connection import Connection
from choreo.records import Record
from choreo.testing.awaited_imports import AwaitedImports
from choreo.testing.broker import MemoryBroker
from choreo.testing.effects import Effects
from choreo.testing.faults import Fault
from choreo.testing.moves import NOTHING, RELEASE, TIME, Budget, Move, Moves
from choreo.testing.process import Process, SimulatedConnection, World
from choreo.testing.schedule import Calm, Chooser, Recording
from choreo.testing.store import open_store
from choreo.testing.virtual_time import VirtualClock
from choreo.worker.dead_letters import settle, times_requeued

_LEAVE_SECONDS = 60.0
"""How much virtual time a lifespan may take to end."""

MAX_REQUEUES = 5
"""The greatest number of times that the same work is requeued."""


class Violation(AssertionError):
    """Raised when a saga, or choreo itself, violates an invariant in a test.

    The message is the ``complaint``, then the ``account``: the timeline of the saga, and the moves before.
    """

    def __init__(self, complaint: str, account: str = "") -> None:
        super().__init__(f"{complaint}\n{account}" if account else complaint)
        self.complaint = complaint
        self.account = account


class Simulation:
    """Runs participants deterministically: the same participants, test and choices make the same run.

    ``faults`` strike their handlers; ``budget`` is the number of other faults, which ``chooser`` chooses.
    ``called`` are the names of the handlers called so far, ``released`` tells when each release came,
    ``refused`` when one was refused, and ``joined`` are the participants that were not there before theirs.
    ``folder`` keeps the databases in files. It is not thread-safe, and must be closed (`close`). Where it
    ``reduces``, a participant that can only read does so before any other move. With ``imports``, events from
    outside come by themselves. ``releases`` are next releases of participants: each starts at a moment that
    is chosen, at rest at the latest, and again at rest where it is refused. Source: Zhou et al.,
    *FoundationDB* (SIGMOD 2021), section 4, "Simulation testing".
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
        imports: bool = False,
        releases: Sequence[Participant] = (),
    ) -> None:
        self.choices = Recording(chooser or Calm())
        self.clock = VirtualClock()
        self.broker = MemoryBroker(partitions, self.clock, "simulation")
        self.world = World(self.clock, self.broker)
        self.processes = self.world.processes
        self.faults = list(faults)
        self.moves: list[str] = []
        self.called: set[str] = set()
        self.released: list[str] = []
        self.refused: list[str] = []
        self._refused: dict[str, Participant] = {}
        self.joined: set[str] = set()
        self.effects: dict[str, Effects] = {}
        self._left = budget
        self._most_moves = most_moves
        self._imports = AwaitedImports(self.world) if imports else None
        self._coming = {each.name: each for each in releases}
        self._possible = Moves(self.world, self.faults, reduces, self._imports, self._coming)
        self._folder = folder
        self._past: dict[str, int] = {each.name: 0 for each in (*participants, *releases)}
        self._log_so_far = 0
        self._count = 0
        self._ids = random.Random(0)
        self._connected: list[tuple[Participant, Connection | None]] = []
        derive(participants)
        try:
            for each in participants:
                self._add(each)
            self._derive(releases)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the databases, and restore every participant's earlier connection."""
        for participant, connection in reversed(self._connected):
            participant.connect(connection)
        for process in self.processes.values():
            process.leave(_LEAVE_SECONDS)
            process.store.close()

    def run(self, until: Callable[[], bool] = lambda: False, before: int | None = None) -> None:
        """Run until a condition holds, nothing is left to do, or the time ``before`` (ms)."""
        while not until():
            move = self._next(before)
            if move is None:
                return
            self.moves.append(str(move))
            self._make(move)
            if len(self.moves) > self._most_moves:
                raise Violation(f"the sagas go on and on: after {self._most_moves} moves there is work left")

    def release(self, *participants: Participant) -> None:
        """End the processes of these participants at once, one after the other, and start the next releases.

        What is on the way to the topic is lost, and published again; a call that is under way is repeated.
        One that has no process yet takes part from now on. Compensations that name no event are called as was
        derived for them, from all participants of a release, or else as those that run now say. Where a
        release does not start, that of before goes on, and the error is raised.
        """
        self._derive([each for each in participants if not each.knows_rollback])
        for each in participants:
            self.moves.append(str(Move(RELEASE, each.name)))
            self._release(each)

    @property
    def coming(self) -> list[str]:
        """The participants whose next release has not come yet."""
        return list(self._coming)

    @property
    def can_move(self) -> bool:
        """Whether any move is possible now."""
        return bool(self._possible.now())

    def step(self, choice: int = 0) -> None:
        """Make one of the moves that are possible now, if any is."""
        moves = self._possible.now()
        if moves:
            move = moves[choice % len(moves)]
            self.moves.append(str(move))
            self._make(move)

    def fingerprint(self) -> tuple[Any, ...]:
        """Return a value that is equal for two simulations that behave alike from here on.

        It contains the hiaccount of each participant: two runs that differ only in the order of moves of
        different participants are equal (Mazurkiewicz, *Trace theory*, 1987).
        """
        processes = tuple(
            (self._past[name], len(process.log.in_flight), process.rests_until)
            for name, process in self.processes.items()
        )
        return processes, self._log_so_far, self.clock.now(), self._left

    def requeue_letters(self) -> bool:
        """Edit and requeue every open dead letter, as ``choreo dlq`` does; return whether there was one."""
        found = [
            (process, letter)
            for process, letter in self.world.open_letters()
            if times_requeued(process.store.dead_letters(), letter) < MAX_REQUEUES
        ]
        for process, letter in found:
            for fault in self.faults:
                body = fault.mends(letter)
                if body is not None:
                    with process.store.turn():
                        process.store.edit_dead_letter(letter.id, body)
            settle(process.store, letter, "requeued", "mended by the test", self.clock.now())
            process.faulty_store.was_touched = True
            self.moves.append(f"{process.name}: dead letter {letter.id} ({letter.reason}) is requeued")
        return bool(found)

    def _derive(self, releases: Sequence[Participant]) -> None:
        """Set what calls the compensations that name no event, of releases beside the others as they are."""
        if any(each.is_derived for each in releases):
            running = {name: process.participant for name, process in self.processes.items()}
            everybody = running | {each.name: each for each in releases}
            lock = lock_of(choreography_of(manifest_of(each, {}) for each in everybody.values()))
            for each in releases:
                derive_from(lock, each)

    def _try_release(self, name: str) -> None:
        """Release a participant by choice; where that is refused, it is tried again at rest."""
        participant = self._coming.get(name) or self._refused[name]
        try:
            self._release(participant)
        except ReleaseRefused as error:
            if name in self._refused:
                raise Violation(f"{name} refuses its release though all is done: {error}") from None
            self._refused[name] = participant
            self.refused.append(f"{name}, before move {len(self.moves)}: {error}")

    def _release(self, participant: Participant) -> None:
        name = participant.name
        self._coming.pop(name, None)
        self._past.setdefault(name, 0)
        self._remember(name, RELEASE)
        if name in self.processes:
            self.processes[name].release(participant)
            self._connect(participant)
        else:
            self._add(participant)
            self.joined.add(name)
        self._refused.pop(name, None)
        self.released.append(f"{name}, before move {len(self.moves)}{self._latest_event()}")

    def _latest_event(self) -> str:
        return f", after {read(self.broker.latest).type}" if self.broker.latest else ""

    def _connect(self, participant: Participant) -> None:
        process = self.processes[participant.name]
        self._connected.append((participant, participant.connection))
        connection = SimulatedConnection(process, self.clock, self._new_id, self._run_before)
        participant.connect(connection)

    def _add(self, participant: Participant) -> None:
        name, store = participant.name, open_store(self._folder, participant.name)
        effects = self.effects[name] = Effects(store, self._next_place)

        def change(handler: Handler) -> Handler:
            return effects.recorded(handler, partial(self._before, name), partial(self._after, name))

        self.processes[name] = Process(participant, self.world, store, change, self._on_taken)
        self._connect(participant)

    def _before(self, name: str, handler: Handler, given: Sequence[Any]) -> Any:
        """Run the faults of a handler before its call; return what one returns in its place, or None."""
        self.called.add(handler.name)
        instead = None
        for fault in self.faults:
            if fault.target.name == handler.name:
                fault.before(self.processes[name])
                instead = fault.instead(given) or instead
        if _leaves_nothing(handler):
            self._fail_by_choice(handler)
        return instead

    def _after(self, name: str, handler: Handler) -> Any:
        """Run the faults of a handler after its call, or fail it by choice; return an awaitable or None."""
        waits = None
        for fault in self.faults:
            if fault.target.name == handler.name:
                waits = fault.after(self.processes[name]) or waits
        if not _leaves_nothing(handler):
            self._fail_by_choice(handler)
        return waits

    def _next(self, before: int | None) -> Move | None:
        moves = self._possible.now()
        while not moves and (self._mend() or (self._possible.next_time() is None and self._let_go())):
            moves = self._possible.now()
        if moves:
            moves = self._possible.choice(moves, self._left)
            return moves[self.choices.choose(moves)]
        time = self._possible.next_time()
        if time is None and before is None and (self._coming or self._refused):
            return Move(RELEASE, next(iter({**self._coming, **self._refused})))
        return None if time is None or (before is not None and time > before) else TIME

    def _make(self, move: Move) -> None:
        if move.imported and self._imports:
            self._imports.bring(move.imported, move.who)
            self._remember(move.who, move.what)
            return
        match move.what:
            case "time passes":
                self._pass_time()
            case "is repeated":
                self._left = self._left.without("repeats")
                self._repeat_latest()
            case "crashes":
                self._left = self._left.without("crashes")
                self._remember(move.who, "crashes")
                self.processes[move.who].crash()
            case "is released":
                self._try_release(move.who)
            case "delivers":
                self._deliver(self.processes[move.who])
            case "calls":
                self._remember(move.who, "calls")
                self.processes[move.who].step_call()
            case _:
                self._turn(self.processes[move.who])

    def _turn(self, process: Process) -> None:
        before = process.faulty_store.advances, process.worker.wakes_at
        process.turn()
        if before != (process.faulty_store.advances, process.worker.wakes_at):
            self._remember(process.name, "turns")  # a turn without work changes nothing

    def _remember(self, name: str, what: str) -> None:
        self._past[name] = hash((self._past[name], what, self.clock.now(), self._left))

    def _pass_time(self) -> None:
        if self._possible.now():
            self._left = self._left.without("leaps")
        time = self._possible.next_time()
        assert time is not None
        self.clock.advance_to(time)

    def _deliver(self, process: Process) -> None:
        publication = process.log.in_flight[0]
        for fault in self.faults:
            publication = fault.spoil(publication)
        process.log.deliver(publication)
        record = self.broker.latest
        assert record is not None
        self.moves[-1] += f" {read(record).type}"
        self._log_so_far = hash((self._log_so_far, record.partition, record.offset, record.headers))
        for fault in self.faults:
            fault.arrived(self.world, record)

    def _repeat_latest(self) -> None:
        if self.broker.latest:
            self.broker.repeat(self.broker.latest)
            self._log_so_far = hash((self._log_so_far, "is repeated"))

    def _mend(self) -> bool:
        """Run the faults that act at rest, and requeue the dead letters that they caused."""
        went_on = [fault for fault in self.faults if fault.goes_on(self.world)]
        return bool(went_on) or (any(fault.makes_letters for fault in self.faults) and self.requeue_letters())

    def _let_go(self) -> bool:
        """Release publications held back for an event that can't come, and return whether there were any."""
        held = [fault for fault in self.faults if not fault.lets_go]
        for fault in held:
            fault.lets_go = True
        return bool(held)

    def _on_taken(self, process: Process, records: Sequence[Record]) -> None:
        for fault in self.faults:
            for record in records:
                fault.taken(process, record)

    def _run_before(self, until: Callable[[], bool], before: int) -> None:
        self.run(until, before)
        if not until():
            self.clock.advance_to(before)

    def _next_place(self) -> int:
        self._count += 1
        return self._count

    def _new_id(self) -> str:
        """Return a saga id, the same one in every run."""
        return str(UUID(int=self._ids.getrandbits(128), version=4))

    def _fail_by_choice(self, handler: Handler) -> None:
        """Let a handler fail now, by choice, within the budget."""
        if not self._left.failures or handler.task != "action" or handler.kind == "retriable":
            return
        if self.choices.choose([Move("succeeds", handler.name), Move("fails", handler.name)]):
            self._left = self._left.without("failures")
            self.moves.append(f"{handler.name} fails")
            raise Permanent("the test lets it fail, by choice")


def _leaves_nothing(handler: Handler) -> bool:
    """Whether a failed call has had no effect (``partial=False``): no transaction would undo it."""
    return handler.is_outside and not handler.partial
