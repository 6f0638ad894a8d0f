"""``KafkaConsumer``: the consumer of the log, whose positions always come from the store."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from threading import Thread
from typing import Any, Final

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from choreo.errors import LogError, StoreMismatch
from choreo.kafka.claim import UNCLAIMED_DEADLINE, GroupClaim, Guest, is_incremental, partitions_of
from choreo.kafka.errors import cause, is_fencing, is_final, is_unreleased, refused
from choreo.kafka.outage import Outage
from choreo.kafka.watermarks import Watermarks
from choreo.ports import Assignment
from choreo.records import Partition, Record

QUERY_DEADLINE: Final = 5.0
"""Seconds to wait for the answer to one request."""

NEW_TOPIC_DEADLINE: Final = 2.0
"""Seconds in which every broker must know a topic that was just created."""

CLOSE_DEADLINE: Final = 2.0
"""Seconds in which a client must have left the cluster."""

_UNRELEASED: Final = 75.0
"""Seconds after the start in which the group must forget the member of a killed worker."""

_REJOIN_PAUSE: Final = 1.0

_LEAVING: Final = 1.0
"""Seconds in which the request to leave a group must be sent."""

_ANSWERING: Final = 0.2
"""Seconds in which a client that is closed answers what it was asked before."""

_LATE: Final = 10.0
_WARNING_PAUSE: Final = 60.0
"""Seconds after which a partition that can't be read is named, and then from one warning to the next."""

_log = logging.getLogger("choreo.kafka")

OnAssign = Callable[[Sequence[Assignment]], Sequence[int]]
OnRevoke = Callable[[Sequence[Partition]], None]


class KafkaConsumer:
    """Takes records in order; not thread-safe.

    librdkafka's callback only registers a rebalance. The partitions begin afterwards, inside `take` but
    outside of the callback: so exceptions of ``on_assign`` are raised by `take`, an outage at that moment is
    waited out, and records of a new assignment are never mixed with those of an old one. Each begins as soon
    as its own leader has told its watermarks.
    """

    def __init__(
        self, settings: Mapping[str, Any], outage: Outage | None = None, *, leaves: bool = False
    ) -> None:
        """Create the consumer. Raises `KafkaException` for a setting that librdkafka doesn't know.

        One that ``leaves`` has others beside it in the group, and leaves it also as a static member.
        """
        self._leaves = leaves
        self._settings = settings
        self._outage = outage or Outage()
        self._is_incremental = is_incremental(settings)
        self._patience = _patience(settings)
        self._topics: list[str] = []
        self._on_assign: OnAssign = _nowhere
        self._on_revoke: OnRevoke = _ignored
        self._claim: GroupClaim | None = None
        self._claimed = True
        self._guest: Guest | None = None
        self._is_new = False
        self._store_id = ""
        self._arriving: dict[Partition, float] = {}
        self._begun: dict[Partition, int] = {}
        self._gone: set[Partition] = set()
        self._ends: dict[Partition, int] = {}
        self._failure: Exception | None = None
        self._polled = time.monotonic()
        self._was_away = False
        self._is_fenced = False
        self._was_fenced = False
        self._is_unreleased = False
        self._started = time.monotonic()
        self._rejoins_at = 0.0
        self._unclaimed_since = 0.0
        self._is_confirmed = False
        self.is_spare = False
        self._warned = -inf
        self._late: set[Partition] = set()
        self._open()

    def _open(self) -> None:
        self._is_shut_out = False
        self._consumer = Consumer(
            {**self._settings, "error_cb": self._take_error, "on_commit": self._committed}
        )
        self._asking = Watermarks(self._leaders, lambda partition: self._watermarks(partition))

    def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        """Return the number of partitions of each topic. Raises `LogError` for one that doesn't exist."""
        for topic in topics:
            self._look_up(topic)
        try:
            found = [each.topic for each in partitions_of(self._consumer, topics)]
        except KafkaException as error:
            raise refused("could not ask for the partitions", cause(error)) from error
        return {topic: found.count(topic) for topic in topics}

    def claim(self, store_id: str, is_new: bool) -> None:
        """Claim the group for a store before `subscribe`; see `choreo.ports.Log.claim`."""
        self._store_id, self._is_new = store_id, is_new

    @property
    def may_publish(self) -> bool:
        """Whether the group is known to be the store's, or no store claims it."""
        return self._claimed

    def subscribe(self, topics: Sequence[str], on_assign: OnAssign, on_revoke: OnRevoke) -> None:
        """Join the group. Raises `LogError` for a topic that doesn't exist or can't be read.

        Raises `StoreMismatch` where another store has the group, before it is joined.
        """
        for topic in topics:
            self._look_up(topic)
        self._topics, self._on_assign, self._on_revoke = list(topics), on_assign, on_revoke
        if self._store_id:
            self._ask_for_claim()
        if self._claimed or not self._is_new or "group.instance.id" not in self._settings:
            self._join()
        else:
            assert self._claim is not None
            self._guest = Guest(self._settings, self._topics, self._claim)

    def rejoin(self) -> None:
        """Join the group again as a new client, in the next `take`: what it then gives is this worker's."""
        self._is_fenced = self._was_away = True

    def take(self, limit: int, wait: float) -> tuple[list[Record], dict[Partition, int]]:
        """Return records, and the partitions without further ones; see `choreo.ports.Log.take`."""
        if self._guest is not None:
            self._visit(self._guest, wait)
            return [], {}
        self._gone.clear()
        messages = self._messages(limit, wait)
        if self._failure is not None:
            raise self._failure
        records, ended = self._sorted(messages)
        if self._is_unreleased:
            self._wait_for_release(wait)
            return [], {}
        if self._is_fenced:
            self._rejoin()
            return [], {}
        if self._ends:
            self._reached(records, ended)
        if self._arriving:
            ended |= self._begin(wait)
        return records, ended

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Commit positions for lag monitors; a failure has no consequence."""
        metadata = self._claim.metadata if self._claim is not None else ""
        offsets = [
            TopicPartition(topic, number, offset, metadata) for (topic, number), offset in positions.items()
        ]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            _log.debug("commit: %s", error)

    def ends(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Return the ends that came with the last fetch, of the partitions that are fetched."""
        found = {}
        for each in partitions:
            if each in self._begun:
                known = self._consumer.get_watermark_offsets(TopicPartition(*each), cached=True)
                if known is not None and known[1] >= 0:
                    found[each] = known[1]
        return found

    @property
    def arriving(self) -> int:
        """How many partitions are assigned of which the leaders have not told the watermarks."""
        return len(self._arriving)

    def offsets_at(self, partitions: Sequence[Partition], timestamp: int) -> list[int]:
        """Return each partition's first offset at or after a time (ms). Raises `LogError`.

        The embedded broker keeps no times: there, every partition's offset is its end.
        """
        asked = [TopicPartition(topic, number, timestamp) for topic, number in partitions]
        try:
            found = {
                Partition(each.topic, each.partition): each.offset
                for each in self._consumer.offsets_for_times(asked, timeout=QUERY_DEADLINE)
            }
            return [
                self._watermarks(each)[1] if found[each] == OFFSET_END else found[each] for each in partitions
            ]
        except KafkaException as error:
            raise refused("could not look up offsets by time", cause(error)) from error

    def close(self) -> None:
        """Leave the group; a static member may stay in it until its session times out."""
        self._on_revoke = _ignored
        if self._guest is not None:
            self._guest.leave()
        elif self._leaves and self._topics and "group.instance.id" in self._settings:
            self._leave()
        self._close_client()

    def _close_client(self) -> None:
        """Close the client, which may wait for a cluster that is away: then it is left behind."""
        client = (self._consumer, self._asking)
        closing = Thread(target=self._end_client, args=client, name="choreo-close", daemon=True)
        closing.start()
        closing.join(CLOSE_DEADLINE)

    def _end_client(self, consumer: Consumer, asking: Watermarks) -> None:
        """Answer what librdkafka asks for already, and close it, unless its group has fenced it.

        Where it asks for an assignment of before while it closes, it waits for ever, and with it the whole
        process, as it keeps Python's lock (https://github.com/confluentinc/librdkafka/issues/4884). A fenced
        one has nothing to leave.
        """
        until = time.monotonic() + _ANSWERING
        asking.stop()
        try:
            while time.monotonic() < until and consumer.poll(0) is not None:
                pass
        except (KafkaException, RuntimeError) as error:  # the latter of a client that was closed before
            _log.debug("closing: %s", error)
        if not self._is_shut_out:
            consumer.close()

    # The claim on the group

    def _ask_for_claim(self) -> None:
        """Ask whose the group is, before joining it; it is asked again at every assignment."""
        try:
            partitions = partitions_of(self._consumer, self._topics)
            self._claim = GroupClaim(self._settings["group.id"], self._store_id, partitions)
            self._claimed = False
            self._claimed = self._claim.is_ours(self._consumer)
        except KafkaException as error:
            if self._claim is None or is_final(cause(error)):
                raise refused("could not ask whose the group is", cause(error)) from error
            _log.debug("the claim: %s", error)

    def _visit(self, guest: Guest, wait: float) -> None:
        """Let the guest claim the group; once that is done, join it as the worker's own member."""
        if guest.has_claimed(wait):
            guest.leave()
            self._guest, self._claimed = None, True
            self._join()

    def _join(self) -> None:
        self._polled = time.monotonic()
        self._consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked)

    def _has_claimed(self) -> bool:
        """Whether the group is ours, so that new partitions may begin; claim it where nobody has."""
        claim = self._claim
        # While we were in the group all the time, nobody else could have claimed it.
        if claim is None or self._is_confirmed or (self._claimed and self._begun):
            return True
        try:
            if not claim.is_ours(self._consumer):
                self._claimed = False
                if claim.lowest not in self._arriving and claim.lowest not in self._begun:
                    self._wait_for_claim(claim)
                    return False
                claim.take(self._consumer)
        except KafkaException as error:
            self._take_error(cause(error))
            return False
        except StoreMismatch:
            self._leave()
            raise
        self._claimed = self._is_confirmed = True
        self._unclaimed_since = 0.0
        return True

    def _wait_for_claim(self, claim: GroupClaim) -> None:
        self._unclaimed_since = self._unclaimed_since or time.monotonic()
        if time.monotonic() - self._unclaimed_since > UNCLAIMED_DEADLINE:
            self._leave()
            claim.refuse_unclaimed()

    def _leave(self) -> None:
        """Leave the group also as a static member, so that the others need not wait for its session's end."""
        self._on_revoke = _ignored
        self._consumer.unsubscribe()
        until = time.monotonic() + _LEAVING
        while time.monotonic() < until:
            self._consumer.poll(0.05)

    def _wait_for_release(self, wait: float) -> None:
        """Join again after a pause, as the member of a killed worker still has our name in the group."""
        now = time.monotonic()
        if not self._rejoins_at:
            _log.warning("the group takes the last worker of this store for alive, until its session is over")
        if now < self._rejoins_at:
            time.sleep(wait)
            return
        self._rejoins_at = now + _REJOIN_PAUSE
        self._is_unreleased = False
        self._renew()

    def _renew(self) -> None:
        """Join the group as a new client."""
        self._close_client()
        self._open()
        self._join()

    def _rejoin(self) -> None:
        """Join the group again as a new client, after a pause in which it has given up on this one.

        The group can't tell a worker that came back late, or one that was started beside another, from one
        that was replaced: the store can, as the worker's ``on_revoke`` finds out.
        """
        why = (
            "the worker was away for too long for its group" if self._was_away else "another has joined as it"
        )
        _log.warning("%s: it joins again, if the store is still its own", why)
        lost = list(self._begun)
        self.is_spare = False
        self._arriving.clear()
        self._begun.clear()
        self._ends.clear()
        self._on_revoke(lost)
        self._is_fenced = self._was_away = False
        self._renew()

    def _messages(self, limit: int, wait: float) -> list[Message]:
        """Wait for a first message, then take the available ones.

        They are taken singly, since librdkafka's batch call loses messages when the assignment changes.
        """
        messages: list[Message] = []
        poll = self._consumer.poll
        now = time.monotonic()
        if now - self._polled > self._patience:
            self._was_away = True
        self._polled = now
        try:
            message = poll(wait)
            while message is not None:
                messages.append(message)
                message = poll(0) if len(messages) < limit else None
        except KafkaException as error:
            raise refused("could not read", cause(error)) from error
        return messages

    def _sorted(self, messages: list[Message]) -> tuple[list[Record], dict[Partition, int]]:
        """Return the records and, from the end-of-partition messages, the ends that were reached."""
        records: list[Record] = []
        ended: dict[Partition, int] = {}
        for message in messages:
            error = message.error()
            if error is None:
                records.append(record_of(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                ended[Partition(message.topic() or "", message.partition() or 0)] = message.offset() or 0
            else:
                self._take_error(error)
        if self._failure is not None:
            raise self._failure
        if self._gone:
            records = [each for each in records if Partition(each.topic, each.partition) not in self._gone]
            ended = {each: end for each, end in ended.items() if each not in self._gone}
        return records, ended

    def _reached(self, records: Iterable[Record], ended: dict[Partition, int]) -> None:
        """Add the partitions that are read up to their end as of the assignment.

        The broker's own end-of-partition message comes only with an empty fetch, 0.5 s later.
        """
        for record in records:
            partition = Partition(record.topic, record.partition)
            end = self._ends.get(partition)
            if end is not None and record.offset + 1 >= end:
                del self._ends[partition]
                ended.setdefault(partition, record.offset + 1)

    def _begin(self, wait: float) -> dict[Partition, int]:
        """Begin the assigned partitions whose watermarks are known; the others begin later.

        Return those at whose end it begins.
        """
        if not self._has_claimed():
            return {}
        self._asking.want(list(self._arriving))
        found = []
        for answer in self._asking.answers(0.0 if self._begun else wait):
            if answer.error is not None:
                self._take_error(answer.error)
            elif answer.asked >= self._arriving.get(answer.partition, inf):
                found.append(Assignment(answer.partition, answer.low, answer.high))
                del self._arriving[answer.partition]
        if told := sorted(each.partition for each in found if each.partition in self._late):
            self._late.difference_update(told)
            _log.warning("%s can be read again", _listed(told))
        if not found:
            self._warn_of_waiting()
            return {}
        offsets = self._on_assign(found)
        begun = {each.partition: at for each, at in zip(found, offsets, strict=True)}
        self._fetch(begun)
        self._ends.update((each.partition, each.high) for each in found if begun[each.partition] < each.high)
        return {each.partition: each.high for each in found if begun[each.partition] == each.high}

    def _fetch(self, begun: Mapping[Partition, int]) -> None:
        """Fetch partitions from these offsets on, besides those that are fetched already."""
        new = [TopicPartition(*each, at) for each, at in begun.items()]
        if self._is_incremental:
            self._consumer.incremental_assign(new)
        else:  # the whole assignment is given anew: what was delivered is not to come again
            delivered = self._consumer.position([TopicPartition(*each) for each in self._begun])
            self._consumer.assign(new + [self._from(each) for each in delivered])
        self._begun.update(begun)

    def _from(self, delivered: TopicPartition) -> TopicPartition:
        partition = Partition(delivered.topic, delivered.partition)
        offset = delivered.offset if delivered.offset >= 0 else self._begun[partition]
        return TopicPartition(*partition, offset)

    def _warn_of_waiting(self) -> None:
        """Log once a minute which partitions can't be read."""
        now = time.monotonic()
        late = sorted(each for each, since in self._arriving.items() if now - since > _LATE)
        if late and now - self._warned > _WARNING_PAUSE:
            self._warned = now
            self._late.update(late)
            _log.warning(
                "%s can't be read, as the broker that leads it does not answer: its sagas wait", _listed(late)
            )

    def _leaders(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        found = {}
        for topic in {each.topic for each in partitions}:
            about = self._consumer.list_topics(topic, timeout=QUERY_DEADLINE).topics[topic]
            if about.error is not None:
                raise KafkaException(about.error)
            found.update({Partition(topic, each.id): each.leader for each in about.partitions.values()})
        return {each: found[each] for each in partitions if found.get(each, -1) >= 0}

    def _watermarks(self, partition: Partition) -> tuple[int, int]:
        return self._consumer.get_watermark_offsets(TopicPartition(*partition), timeout=QUERY_DEADLINE)

    def _look_up(self, topic: str) -> None:
        """Check that a topic exists; on the embedded broker the request creates it.

        A broker may know a new topic only a moment after its creation was confirmed.
        """
        deadline = time.monotonic() + NEW_TOPIC_DEADLINE
        while (error := self._topic_error(topic)) is not None:
            if error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline:
                raise refused(f"could not subscribe to {topic}", error)
            time.sleep(0.05)

    def _topic_error(self, topic: str) -> KafkaError | None:
        try:
            found: KafkaError | None = (
                self._consumer.list_topics(topic, timeout=QUERY_DEADLINE).topics[topic].error
            )
        except KafkaException as exception:
            return cause(exception)
        return found

    def _assigned(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        now = time.monotonic()
        self._arriving.update((Partition(each.topic, each.partition), now) for each in partitions)
        self._is_confirmed = False
        self.is_spare = not (self._arriving or self._begun)
        self._asking.hurry()
        consumer.incremental_assign([]) if self._is_incremental else consumer.assign([])

    def _revoked(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self.is_spare = False
        gone = [Partition(each.topic, each.partition) for each in partitions]
        lost = [each for each in gone if each in self._begun]
        self._gone.update(gone)
        for each in gone:
            self._begun.pop(each, None)
            self._arriving.pop(each, None)
            self._ends.pop(each, None)
            self._late.discard(each)
        # librdkafka knows those that have begun only, and must not be asked for others.
        if self._is_incremental:
            consumer.incremental_unassign([TopicPartition(*each) for each in lost])
        else:
            consumer.unassign()
        try:
            self._on_revoke(lost)
        except Exception as error:
            self._failure = self._failure or error

    def _committed(self, error: KafkaError | None, _partitions: object) -> None:
        if error is None:
            self._outage.answer()
        else:
            _log.debug("commit: %s", error)

    @property
    def _is_starting(self) -> bool:
        """Whether a worker of the same store that was started at the same time may have joined after us.

        Each of the two would otherwise end: this one is fenced in the group, the other one in the store.
        """
        return not self._was_fenced and time.monotonic() < self._started + _UNRELEASED

    def _take_error(self, error: KafkaError) -> None:
        """Store the first final error; log the others."""
        self._is_shut_out = self._is_shut_out or is_fencing(error)
        if is_fencing(error) and (self._was_away or self._is_starting):
            self._is_fenced = self._was_fenced = True
        elif is_unreleased(error) and not self._begun and time.monotonic() < self._started + _UNRELEASED:
            self._is_unreleased = True
        elif is_final(error):
            self._failure = self._failure or refused("could not read", error)
        elif error.code() == KafkaError._MAX_POLL_EXCEEDED:
            _log.info("reading: %s", error.str())
        else:
            self._outage.error(error)


def _patience(settings: Mapping[str, Any]) -> float:
    """Return the seconds for which a member may be silent before its group gives up on it."""
    session = float(settings.get("session.timeout.ms", 45_000))
    return min(session, float(settings.get("max.poll.interval.ms", 300_000))) / 1000


def record_of(message: Message) -> Record:
    """Return a message as a record, without headers where they can't be parsed."""
    try:
        headers = message.headers()
    except (UnicodeError, SystemError):  # a name that isn't UTF-8
        headers = None
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        headers or (),  # type: ignore[arg-type]
        message.value(),
    )


def _nowhere(_assignments: Sequence[Assignment]) -> Sequence[int]:
    raise LogError("nothing is subscribed")


def _ignored(_partitions: Sequence[Partition]) -> None:
    """Do nothing, in place of a callback."""


def _listed(partitions: Sequence[Partition]) -> str:
    return ", ".join(f"{topic}[{number}]" for topic, number in partitions)
