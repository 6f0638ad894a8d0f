"""``Store``: the interface of the worker to a participant's database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from choreo.participant import Sessions
from choreo.ports.joined import JoinedStore, OpenTransaction
from choreo.ports.saga_log import SagaLog
from choreo.records import (
    DeadLetter,
    Entry,
    InFlight,
    Lane,
    LetterState,
    Partition,
    Release,
    SagaKey,
    Scheduled,
    Unpublished,
    Work,
)


class Store(Protocol):
    """One participant's database: saga log, outbox, schedule, positions, letters, releases; for one thread.

    All writes happen inside `turn`, one turn at a time. A store may buffer writes until the turn ends or one
    of its own methods reads them, so handlers must not read these tables.
    """

    @property
    def db(self) -> Any:
        """The open database for handlers (`sqlite_utils.Database` for SQLite).

        While a turn is open it refuses to begin, to commit and to roll back; savepoints are allowed.
        """
        ...

    @property
    def store_id(self) -> str:
        """A random id from the creation of the store, which a copied file shares."""
        ...

    @property
    def saga_log(self) -> SagaLog:
        """The interface of `choreo.audit` to the saga log."""
        ...

    def sessions(self, declared: Any) -> Sessions:
        """Return the sessions on this store's connection of the ORM that a participant declares.

        Raises `ConfigurationError` where that can't be used.
        """
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Open the transaction of a turn, which is committed at the end and rolled back on an exception.

        Raises `StoreError` when the database stays locked, or when the transaction can't be committed
        (`TurnLost` where what was done inside is the cause); `NestedTransaction` at once where `blocks_here`;
        `TransactionControl` when something inside, but outside of a savepoint, tried to commit or roll back;
        `Fenced` when another worker has claimed the store since this one did. In any case nothing was
        committed. Raises `StoreChanged` at the beginning where another process has written what this worker
        may have in memory, and `StoreGone` where the store's files were deleted or replaced meanwhile. A
        `Fenced` with ``partitions`` says that these, and these alone, are another's now.
        """
        ...

    @property
    def blocks_here(self) -> bool:
        """Whether the calling thread or task has a turn of this database open, by any connection.

        Whoever waits here for another writer then waits for ever.
        """
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Open a savepoint inside a turn, to which an exception that leaves it rolls back.

        Raises `TransactionControl`, and rolls back to it, when something inside tried to commit or roll back,
        even where it caught the database's error; the turn can go on. Raises `StoreError` when the whole
        turn is lost (`TurnLost` for a statement's ``OR ROLLBACK``), which the caller must leave then.
        """
        ...

    def within(self, transaction: OpenTransaction, participant: str) -> AbstractContextManager[JoinedStore]:
        """Open a block that writes inside of a transaction of the service's own, and never ends that.

        Raises `StoreMismatch` where the transaction is not on this store, or the store is another
        participant's; `StoreError` where no transaction is open, or what it commits could be lost;
        `NestedTransaction` where it would wait for a transaction that is open here.
        """
        ...

    def skip_savepoints(self) -> None:
        """Make no savepoints in the open turn, where each takes the time of a statement.

        Where there is something to undo, a `savepoint`, or the turn, raises `SavepointSkipped`: the turn is
        to be done again without this. The cause of that of a savepoint is what it would have raised.
        """
        ...

    def append(self, entries: Iterable[Entry]) -> None:
        """Append entries to the saga log."""
        ...

    def history(self, saga_id: str, saga_type: str = "") -> Sequence[Entry]:
        """Return a saga's entries, oldest first; without a type, those of all sagas with the id."""
        ...

    def histories(self, sagas: Collection[SagaKey]) -> Mapping[SagaKey, Sequence[Entry]]:
        """Return what `history` would of some sagas, as far as it is faster to read them together."""
        ...

    def last_entry(self, saga_id: str) -> int:
        """Return the number of the last entry of the sagas with an id, 0 where there is none; cheap."""
        ...

    def is_keyed_by_id(self, saga_id: str, saga_type: str) -> bool:
        """Whether the store held a saga before it was keyed by saga type and id.

        Such a saga keeps the event ids and idempotency keys that were derived from its id alone.
        """
        ...

    def rows(self, after: int, limit: int) -> Sequence[tuple[int, Entry]]:
        """Return entries of all sagas with their numbers, those after the number ``after``, oldest first."""
        ...

    def payload(self, saga_id: str, saga_type: str, event_type: str) -> bytes | None:
        """Return the stored body of a saga's first valid event of a type, None where there is none.

        An event is valid unless its ``note`` is ``void``. Raises `PayloadErased` where the body was erased.
        """
        ...

    def enqueue(self, rows: Iterable[Unpublished]) -> None:
        """Add rows to the outbox; the store assigns their ``seq``."""
        ...

    def emit(self, entry: Entry, rows: Sequence[Unpublished]) -> None:
        """Write an event: its entry of the saga log, and its rows of the outbox, one for each topic."""
        ...

    @property
    def has_requests(self) -> bool:
        """Whether another process has asked for a start, or a cancellation, as far as is known.

        It is as of the beginning of the last turn, or the last call of `changed`.
        """
        ...

    def take_up(self, limit: int) -> int:
        """Write ``limit`` requests at most as `emit` would, inside a turn, and return how many were there.

        What the saga log has already is dropped.
        """
        ...

    def unpublished(self, after: int, limit: int) -> Sequence[Unpublished]:
        """Return outbox rows whose ``seq`` is greater than ``after``, in order."""
        ...

    def acknowledge(self, seqs: Iterable[int]) -> None:
        """Remove acknowledged rows from the outbox; unknown numbers are ignored."""
        ...

    def schedule(self, rows: Iterable[Scheduled]) -> None:
        """Add rows to the schedule, or replace them."""
        ...

    def unschedule(self, saga_id: str, saga_type: str, task: str, name: str) -> None:
        """Remove a saga's rows of a task and name from the schedule."""
        ...

    def scheduled(self, saga_id: str, saga_type: str) -> Sequence[Scheduled]:
        """Return a saga's rows of the schedule, of all lanes, in the order of scheduling."""
        ...

    def due(self, now: int, limit: int, lane: Lane = "turn") -> Sequence[Scheduled]:
        """Return the rows of a lane due at ``now``, oldest first, then in the order of scheduling."""
        ...

    def postponed(self, now: int) -> Sequence[Scheduled]:
        """Return the rows, other than deadlines, that are due after ``now``."""
        ...

    def next_due(self, lane: Lane = "turn") -> int | None:
        """Return the due time of a lane's next row, None where there is none."""
        ...

    def overdue(self, now: int, limit: int) -> Sequence[Scheduled]:
        """Return the rows of the lane ``call`` whose time limit has passed at ``now``, oldest limit first."""
        ...

    def next_limit(self) -> int | None:
        """Return the earliest time limit in the lane ``call``, None where no row has one."""
        ...

    def waiting(self, lane: Lane, now: int) -> tuple[int, int]:
        """Return how many rows of a lane are due at ``now``, and since when the oldest is; 0 for none."""
        ...

    def hold(self, row: Scheduled) -> None:
        """Hold a row, so that it isn't due before `let_go`."""
        ...

    def let_go(self) -> None:
        """Put the held rows back into their lanes."""
        ...

    def partition_of(self, saga_id: str, saga_type: str) -> Partition | None:
        """Return the partition of a saga's events, None where none was folded."""
        ...

    def claim(self) -> int:
        """Claim the store, inside a turn; an earlier claimer is fenced from its next turn on.

        Return how many claims in a row, before this one, ended without `release` or `trust`.

        A process that never claims it, such as a web process that starts sagas, is never fenced.
        """
        ...

    @property
    def serves_one(self) -> bool:
        """Whether one worker at a time has all of the store, by `claim`.

        Otherwise several share it, the replicas of one participant: to one that has called `claim`, the rows
        of the outbox and of the schedule are those of the partitions that it has taken over, and those alone.
        """
        ...

    def spread(self, topics: Mapping[str, tuple[str, int]]) -> Mapping[str, int]:
        """Note, inside a turn, the topic of each saga type and its number of partitions.

        They say on which partition a saga lies, by the hash of its id. Return how many partitions each topic
        had until now, where that was another number; nothing where the store serves one.
        """
        ...

    def partitions_at_first(self) -> Mapping[str, int]:
        """Return how many partitions each topic had when the first of several workers began.

        It is empty where the store serves one, which has joined all partitions that there were.
        """
        ...

    def take_over(self, partitions: Collection[Partition]) -> int:
        """Own partitions, which are joined, once the turn is committed; with `recall` of their rows.

        An earlier owner is fenced from its next turn on, which raises `Fenced` with these partitions; then it
        owns the others. A turn that it has open is waited for. Return how many owners in a row, of any of
        them, ended without `give_up` or `trust`. Where the store serves one worker, nothing is done.
        """
        ...

    def visit(self, saga_id: str, saga_type: str) -> bool:
        """Keep the owner of a saga out until the turn ends, where that is another worker; whether it is.

        So an event may be folded that lies on another partition than its saga's. What was known of the saga
        may be old. The owner's next turn raises `StoreChanged`, as what it has in memory may be old then.
        """
        ...

    def give_up(self, partitions: Collection[Partition]) -> None:
        """End the ownership of partitions in order, inside a turn, as `release` does; `disown` them then."""
        ...

    def disown(self, partitions: Collection[Partition]) -> None:
        """Own partitions no more, outside of a turn, whatever the database says."""
        ...

    def recall(self) -> None:
        """Move what was under way into the lane of doubt, and count that its process ended meanwhile.

        Held rows are let go.
        """
        ...

    def trust(self) -> None:
        """Forget, inside a turn, how many claims have ended without `release`."""
        ...

    def release(self) -> None:
        """End a claim in order, inside a turn: what is under way goes back into its lane, uncounted."""
        ...

    def positions(self) -> Mapping[Partition, int]:
        """Return the next offset to fold of every partition that was ever assigned."""
        ...

    def joined(self) -> Mapping[Partition, tuple[int, int]]:
        """Return the end offset at joining and the offset from which to act, for every such partition."""
        ...

    def join(self, partition: Partition, position: int, end: int, acts_from: int) -> None:
        """Add a partition at its first assignment. Raises `Fenced` when another worker has just done so.

        One that was added with -1 for ``position`` and ``acts_from`` was only noted: it is added again.
        """
        ...

    def advance(self, partition: Partition, expected: int, position: int) -> None:
        """Move a position by compare-and-set. Raises `Fenced` when it isn't ``expected`` any more."""
        ...

    def topics(self) -> Mapping[str, str]:
        """Return the topics that have positions, each with its id, empty where it isn't known."""
        ...

    def identify(self, topics: Mapping[str, str]) -> None:
        """Add the ids of topics to their positions that have none, inside a turn."""
        ...

    def leave(self, topic: str, identity: str) -> None:
        """Remove the positions of the topic with an id, inside a turn: another one has its name."""
        ...

    def bind(self, cluster_id: str, participant: str) -> None:
        """Bind the store to a cluster and a participant, once. Raises `StoreMismatch` for others later.

        It may be called inside a turn or outside of one.
        """
        ...

    def add_dead_letter(self, letter: DeadLetter) -> int:
        """Add a dead letter, and return its id."""
        ...

    def dead_letters(self) -> Sequence[DeadLetter]:
        """Return the dead letters, open or closed, oldest first."""
        ...

    def open_letters(self, reason: str) -> Sequence[DeadLetter]:
        """Return the open dead letters with a reason, oldest first."""
        ...

    def letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """Return dead letters without their bodies, those after the id ``after``, oldest first.

        They have no key, value and headers, and an empty ``edited`` where there is one.
        """
        ...

    def letters_of(self, saga_id: str, saga_type: str) -> Sequence[DeadLetter]:
        """Return a saga's dead letters without their bodies, open or closed, oldest first."""
        ...

    def dead_letter(self, identity: int) -> DeadLetter | None:
        """Return one dead letter, None where there is none with that id."""
        ...

    def close_dead_letter(
        self, identity: int, state: LetterState, comment: str, at: int, by: str = ""
    ) -> bool:
        """Close a dead letter, and return whether it was still open: only one of two callers closes it."""
        ...

    def add_result(self, identity: int, event_type: str, body: bytes) -> None:
        """Add to a dead letter the event with which it is resolved, inside a turn."""
        ...

    def edit_dead_letter(self, identity: int, body: bytes) -> bool:
        """Add an edited body to an open dead letter, and return whether it was still open."""
        ...

    def edited(self, saga_id: str, saga_type: str, task: str, name: str, event_id: str) -> bytes | None:
        """Return the latest edited body for an event and a handler, None where there is none."""
        ...

    def releases(self) -> Sequence[Release]:
        """Return the declarations that the store's workers ran with, oldest first."""
        ...

    def newest_release(self) -> Release | None:
        """Return the newest of them, None where there is none; cheap."""
        ...

    def add_release(self, release: Release) -> int:
        """Add a release, inside a turn, and return its id. Its ``after`` is the number of the last entry."""
        ...

    def in_flight(
        self,
        lacks: Callable[[str, str, str, str], bool],
        steps: Collection[str] | None,
        types: Collection[str],
    ) -> InFlight:
        """Return what sagas still need of some handlers, counted, and which events they have seen.

        ``lacks`` says of a saga type, a task, a name and the result of a step, empty where that is not known,
        whether that work of the schedule and of open dead letters is asked for; ``steps`` are the own steps
        whose completion in a saga that has not ended is asked for, None for those whose compensation is
        lacking; ``types`` the types of the events. Nothing asked for is cheap.
        """
        ...

    def work(
        self, lacks: Callable[[str, str, str, str], bool], steps: Collection[str] | None
    ) -> Iterable[Work]:
        """Return each work of those that `in_flight` counts: letters first, then the schedule."""
        ...

    def trim(self) -> None:
        """Free room on the disk that is needed no more; called once a second, outside of a turn."""
        ...

    def changed(self) -> bool:
        """Whether another connection has committed since the last call, which is cheap to find out.

        Raises `Fenced`, as a turn does, where partitions are another worker's.
        """
        ...

    def check_files(self) -> None:
        """Raise `StoreGone` where the store's files were deleted, moved or replaced since it was opened.

        A turn that commits looks by itself.
        """
        ...

    def close(self) -> None:
        """Close the database."""
        ...


class Stores(Protocol):
    """What a process other than the worker has of a store: each caller uses it by a connection of its own."""

    def lend(self) -> AbstractContextManager[Store]:
        """Open a block with a store for the caller alone, which any thread may end. Raises `StoreError`."""
        ...

    def within(self, transaction: OpenTransaction, participant: str) -> AbstractContextManager[JoinedStore]:
        """Open a block inside of a transaction of the service's own; see `Store.within`."""
        ...

    def close(self) -> None:
        """Close what is idle, and the rest as soon as it is given back."""
        ...
