"""``Worker``: the loop of a participant, which takes, transacts and publishes; a crash undoes one turn."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Sequence

from choreo.errors import Fenced, StoreChanged, StoreUnavailable
from choreo.participant import Participant
from choreo.ports import Assignment, Clock, Codec, Log, Store
from choreo.records import Partition
from choreo.worker.calls import Calls, Runner
from choreo.worker.careful_turns import CarefulTurns
from choreo.worker.claim import Claim
from choreo.worker.clocks import Clocks
from choreo.worker.due_rows import DueRows
from choreo.worker.failure import is_of_an_item
from choreo.worker.handover import Handover
from choreo.worker.lifespan import Lifespan
from choreo.worker.options import Options
from choreo.worker.partitions import Partitions
from choreo.worker.patience import Patience
from choreo.worker.processor import Processor
from choreo.worker.progress import Progress
from choreo.worker.publishing import Publishing
from choreo.worker.releases import Releases
from choreo.worker.room import Room
from choreo.worker.threads import Threads
from choreo.worker.topics import UNBEGUN, Topics
from choreo.worker.turns import Turns
from choreo.worker.uncommitted import Uncommitted

log = logging.getLogger("choreo.worker")

_CALL_SECONDS = 0.005
"""The longest wait for the log while calls are under way, which delays the commit of their results."""

_STALLED = 5.0
"""Seconds without a turn after which the age of a record says nothing about the clocks."""

_OTHERS_SECONDS = 5.0
"""How long after another's write there are thought to be other writers."""

_MOMENT_SECONDS = 0.002
"""The moment that other writers get after a full turn."""

_YOUNG_OBJECTS = 20_000
"""So many new objects let Python look for cyclic garbage, about once in some turns.

It looks at all that a turn has taken and at the sagas in memory, and finds none: at its own 700 that was a
tenth to a sixth of a participant's time.
"""


class Worker:
    """Runs one participant on its store and its log, in the calling thread.

    `run` loops until `stop` is called, from another thread or a signal handler; `turn` is one iteration, for
    a caller with a loop of its own. After any error the caller must create a new worker (crash-only).
    ``runner`` runs the handlers outside of the transaction, by default in threads.
    """

    def __init__(
        self,
        participant: Participant,
        store: Store,
        records: Log,
        codec: Codec,
        clock: Clock,
        options: Options = Options(),  # noqa: B008 (frozen)
        runner: Runner | None = None,
    ) -> None:
        self._participant = participant
        self._store = store
        self._log = records
        self._clock = clock
        self._options = options
        self._stopping = threading.Event()
        self._topics = Topics(participant, store, records, clock)
        self._partitions = Partitions(store, records, options.start, self._topics)
        self._clocks = Clocks(participant.name, clock, self._topics.is_stamped_by_broker)
        self._processor = Processor(
            participant,
            store,
            codec,
            clock,
            self._partitions,
            self._clocks,
            sagas_in_memory=options.sagas_in_memory,
            schema_retry=options.schema_retry,
            redact=options.redact,
        )
        self._calls = Calls(options.calls, runner or Threads())
        self._lifespan = Lifespan(participant, redact=options.redact) if participant.opens else None
        self._room = Room(participant.name, self._calls, store, clock)
        self._due = DueRows(participant, store, self._partitions, self._calls, clock)
        parts = (store, clock, self._processor, self._partitions, self._calls, self._due)
        self._uncommitted = Uncommitted(*parts, options.turn_items)
        self._turn_seconds = options.seconds_of_turn(locks_all=store.serves_one)
        self._careful = CarefulTurns(*parts, self._uncommitted, options.turn_items, self._turn_seconds)
        self._turns = Turns(*parts, self._uncommitted, self._careful, options)
        releases = Releases(participant, store, codec, clock, options.retire)
        self._claim = Claim(participant, store, self._processor, releases, clock, options.trust_seconds)
        self.progress = Progress(self._processor.tally)
        self._patience = Patience(participant.name, clock, self._stopping, self.progress)
        self._publishing = Publishing(participant.name, store, records, options)
        self._handover = Handover(
            *(participant.name, store, records, self._publishing, clock, self._processor, self._partitions),
            *(self._calls, self._due, self._uncommitted, self._claim, self._patience),
        )
        self._looked = 0.0
        self._others_wrote = -_OTHERS_SECONDS
        self._is_stale = False
        self._was_set_back = False

    @property
    def is_live(self) -> bool:
        """Whether all that the log held at the assignment has been folded."""
        return self._partitions.live

    @property
    def wakes_at(self) -> int | None:
        """The time (ms) of the next work that does not come from the log, or None.

        Work that another process has put into the store is included only after the next turn.
        """
        if not self._partitions.live:
            return None
        held = self._uncommitted
        if held.backlog or held.finished or self._calls.have_finished or self._calls.extended():
            return self._clock.now()
        if self._due.quiet.is_awaited:
            return self._clock.now() + (0 if self._is_idle else round(self._options.idle_seconds * 1000) + 1)
        return self._due.next

    @property
    def calls(self) -> Calls:
        """The handlers that run outside of the transaction."""
        return self._calls

    def start(self) -> bool:
        """Enter the lifespan, check that store and cluster belong together, and begin to consume.

        Return whether it began: not where `stop` was called while the lifespan was entered. Raises
        `LifespanError` where that fails, `StoreMismatch` when store and cluster don't belong together,
        `ReleaseRefused` when sagas in flight need what is not declared any more, `LogError` when the cluster
        can't be reached.
        """
        cluster = self._log.cluster_id()
        if not self._enter():
            return False
        topics = {} if self._store.serves_one else self._spread()
        self._patience.until_done(lambda: self._claim.take(cluster, topics))
        self._due.begin()
        # Before anything is published, which a topic made anew would take.
        self._patience.until_done(lambda: self._topics.start(self._claim.former))
        self._be_careful(self._claim.deaths)
        self._claim.begin()
        has_worked = any(at != UNBEGUN for at in self._store.positions().values())
        self._log.claim(self._store.store_id, not has_worked)
        self._claim.check()  # else, of two that start at once, both would end
        self._log.subscribe(self._participant.topics, self._assigned, self._revoked)
        self._due.look_ahead()
        self._store.changed()
        self._publishing.publish(is_behind=bool(self._uncommitted.backlog))
        return True

    def _spread(self) -> dict[str, tuple[str, int]]:
        """Return the topic of each saga type, and its number of partitions."""
        sagas = self._participant.sagas
        counts = self._log.partitions([saga.topic for saga in sagas])
        return {saga.name: (saga.topic, counts[saga.topic]) for saga in sagas}

    def _be_careful(self, deaths: int) -> None:
        """Be careful after ends of the process, each time for longer, until the item at fault is found."""
        if deaths:
            self._careful.begin(self._options.turn_items * 2 ** min(deaths - 1, 10))

    def _enter(self) -> bool:
        """Enter the lifespan, if there is one, before anything is claimed; whether that was not cut short."""
        if self._lifespan is None:
            return True
        if not self._calls.enter(self._lifespan, self._stopping):
            return False
        self._processor.shared = self._lifespan.entered.result()
        return True

    def run(self) -> None:
        """Loop until `stop`; then finish the turn, wait for acknowledgements, and leave the group.

        Python's garbage collector of this process looks less often from then on, unless the application has
        turned it off, or down, itself. Raises what `start` raises.
        """
        collect_less_often()
        try:
            if self.start():
                while not self._stopping.is_set():
                    self.turn()
                self._drain()
                self._finish()
        except Exception as error:
            if not is_of_an_item(error):
                self._claim.let_go()
            raise
        finally:
            self._calls.stop(self._options.flush_seconds)
            self._log.close()

    def stop(self) -> None:
        """End the loop after the current turn."""
        self._stopping.set()

    def turn(self) -> int:
        """Run one turn: take, transact, publish. Return the number of processed items.

        While the store is locked, full or failing, nothing is processed, and what was taken is kept.
        """
        try:
            done = self._go_round()
        except StoreUnavailable as error:
            self._calls.start_begun()
            self._due.at_once()
            if isinstance(error, StoreChanged):
                self._processor.instances.clear()
            self._patience.wait(error)
            self.progress.turn(0, 0.0, self._clock.monotonic())
            return 0
        except Fenced as error:
            self._handover.lose(error)
            return 0
        self._patience.end()
        return done

    def _go_round(self) -> int:
        began = self._clock.monotonic()
        self._take()
        taken = self._clock.monotonic()
        self._uncommitted.settle()
        if self._uncommitted.alone is not None:
            self._careful.do_alone(self._uncommitted.alone)
        self._catch_up()
        done = self._careful.transact() if self._careful.items else self._turns.transact()
        if self._calls.begun:
            self._calls.start_begun()
            self._due.look_ahead()  # the started calls have time limits
        self._publishing.publish(is_behind=bool(self._uncommitted.backlog))
        if not done:
            self._store.check_files()
        self._look_around()
        if self._due.quiet.is_awaited:
            self._listen(done)
        ended = self._clock.monotonic()
        self.progress.turn(done, ended - taken, ended)
        if ended - began > self._turn_seconds:
            self._give_way()
        return done

    def _catch_up(self) -> None:
        """Move positions to the ends that are reached, and let partitions go live."""
        if self._partitions.have_ended:
            self._uncommitted.move_to_ends()
        has_gone_live = not self._partitions.live and self._partitions.go_live(self._participant.name)
        if has_gone_live or self._due.lets_go:
            self._due.let_go()

    def _listen(self, done: int) -> None:
        """Note whether this turn was idle, as rows wait for quiet."""
        self._due.quiet.note(is_live=self._partitions.any_live, is_idle=self._is_idle and not done)
        self._due.look_ahead()

    @property
    def _is_idle(self) -> bool:
        """Whether all partitions are read, and nothing is under way."""
        return self._partitions.complete and not (
            self._uncommitted.backlog or self._publishing.in_flight or self._calls.out
        )

    def _give_way(self) -> None:
        """After a full turn, let other writers come in, who have no queue, for as long as a turn at most."""
        if self._clock.monotonic() - self._others_wrote > _OTHERS_SECONDS:
            return
        until = self._clock.monotonic() + self._turn_seconds
        while self._clock.monotonic() < until:
            self._stopping.wait(_MOMENT_SECONDS)
            if not self._has_changed():
                break

    def _has_changed(self) -> bool:
        """Whether another process, or thread, has written to the store since the last look."""
        if not self._store.changed():
            return False
        if not self._store.serves_one:
            self._processor.instances.clear()
        self._others_wrote = self._clock.monotonic()
        self._is_stale = True
        return True

    # Take

    def _take(self) -> None:
        """Take the delivered records and the acknowledgements from the log."""
        is_behind = bool(self._uncommitted.backlog)
        # Where several workers share a store, the turn that comes at once finds out by itself.
        if not (is_behind and not self._store.serves_one) and (self._has_changed() or self._is_stale):
            self._due.look_ahead()
            self._is_stale = False
        if is_behind:
            wait, limit = 0.0, 1
        else:
            wait, limit = self._wait(), self._options.turn_items
        taken = self._log.take(limit, wait)
        self._uncommitted.add(taken)
        self._publishing.note(taken)
        if taken.ended:
            self._partitions.end_at(taken.ended)
        if taken.records and self._partitions.live and self._clock.monotonic() - self._looked < _STALLED:
            self._clocks.look(taken.records)

    def _wait(self) -> float:
        """Return how many seconds to wait for the log."""
        longest = self._options.idle_seconds
        if self._store.has_requests:
            return 0.0
        if not self._partitions.complete:  # work that is due may have to wait for the log
            return longest
        if self._due.has_calls:
            if self._uncommitted.finished or self._calls.have_finished:
                return 0.0
            if self._calls.out:
                longest = min(longest, _CALL_SECONDS)
        if self._due.next is None:
            return longest
        return min(max((self._due.next - self._clock.now()) / 1000, 0.0), longest)

    # Look

    def _look_around(self) -> None:
        """Once a second, commit positions for lag monitors; look at the topics, and at the room of calls."""
        now = self._clock.monotonic()
        if self._clocks.was_set_back(now) or self._was_set_back:
            self._was_set_back = True  # until the store is there
            with self._store.turn():
                self._processor.pull_in()
            self._was_set_back = False
            self._due.look_ahead()
        if now - self._looked < 1:
            return
        self._looked = now
        if self._lifespan is not None:
            self._lifespan.check()
        self._log.commit(self._partitions.positions)
        self._look_at_ends()
        self._topics.look()
        self._store.trim()
        if self._due.has_calls:
            if self._calls.release(self._clock.now()):
                self._due.look_ahead()  # others may begin now
            self._room.look()
        self._claim.look()
        self._publishing.say()

    def _look_at_ends(self) -> None:
        """Note how far each partition is from its end."""
        positions = dict(self._partitions.positions)
        ends = self._log.ends(list(positions))
        self.progress.lag = {each: max(end - positions[each], 0) for each, end in ends.items()}
        self.progress.catching_up = self._partitions.catching_up + self._log.arriving()
        self.progress.leaderless = self._topics.leaderless
        self.progress.is_spare = self._log.is_spare()

    def _drain(self) -> None:
        """Let the calls under way end, for a while, at a graceful stop; none begins meanwhile."""
        self._calls.is_open = False
        until = self._clock.monotonic() + self._options.drain_seconds
        while self._calls.out and self._clock.monotonic() < until:
            self.turn()

    def _finish(self) -> None:
        """Wait for acknowledgements, at a graceful stop."""
        acknowledged = self._uncommitted.acknowledged
        acknowledged.extend(self._log.flush(self._options.flush_seconds))
        try:
            release = lambda: self._handover.unless_lost(lambda: self._claim.release(acknowledged))  # noqa: E731
            self._patience.until_done(release, self._options.flush_seconds)
        except StoreUnavailable as error:
            log.warning("stopped without the store: what was acknowledged is published again: %s", error)
        self._log.commit(self._partitions.positions)

    # Rebalances

    def _assigned(self, assignments: Sequence[Assignment]) -> list[int]:
        positions = self._handover.take_over(assignments)
        self._be_careful(self._partitions.deaths)
        self._topics.joined()
        self._publishing.begin_anew()
        return positions

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        self._handover.give_up(partitions)


def collect_less_often() -> None:
    """Let Python look for cyclic garbage after more new objects, if it looks at all."""
    young, *older = gc.get_threshold()
    if 0 < young < _YOUNG_OBJECTS:
        gc.set_threshold(_YOUNG_OBJECTS, *older)
