"""``Topics``: whether the topics of a worker still are those that its store knows, and keep its events."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from choreo.errors import LogError, StoreMismatch
from choreo.participant import Participant
from choreo.participant.topics import topic_needs
from choreo.ports import Clock, Log, Store, TopicState
from choreo.ports.topics import Difference, differences
from choreo.records import Partition

START_DEADLINE: Final = 25.0
"""Seconds in which the cluster must describe the topics before anything is published."""

INTERVAL: Final = 10.0
"""Seconds between two looks at the topics."""

UNBEGUN: Final = -1
"""The position in a partition of an imported topic until it is assigned to somebody.

It is one of a topic that was made anew; or one that several workers found when the first of them began to
import the topic, which acts from the same number, as it is not known yet where.
"""

log = logging.getLogger("choreo.worker")


class Topics:
    """Looks at the topics of a participant: at the start, before anything is published, and from then on.

    What loses events ends the worker, at every start again, until it is mended; anything else is a warning,
    once for each change. ``read`` are the topics that are read, ``ids`` their ids. ``leaderless`` is the
    number of partitions that no broker leads: all that are known, where the cluster does not answer.
    """

    def __init__(self, participant: Participant, store: Store, records: Log, clock: Clock) -> None:
        self.ids: dict[str, str] = {}
        self.leaderless = 0
        self._known: frozenset[str] = frozenset()
        self.read = participant.topics
        self._imports = {each.topic for each in participant.external if each.is_import}
        self._needs = {each.topic: each for each in topic_needs([participant])}
        self._store = store
        self._log = records
        self._clock = clock
        self._partitions: dict[str, int] = {}
        self._at_first: Mapping[str, int] = {}
        self._said: frozenset[Difference] = frozenset()
        self._stamped: frozenset[str] = frozenset()
        self._next = 0.0

    def start(self, former: Mapping[str, int]) -> None:
        """Compare the topics with the store and with what is required.

        ``former`` are the partitions that topics had at the last start, where that was another number.
        Raises `StoreMismatch` for a topic that was made anew, `LogError` for one that loses events, or where
        the cluster doesn't describe them in time.
        """
        states = self._log.describe([*self._needs], START_DEADLINE)
        if states is None:
            raise LogError(
                "the Kafka cluster does not describe its topics", hint="is it overloaded? try again"
            )
        partitions = {each.topic: each.partitions for each in states}
        self.ids = {each.topic: each.id for each in states if each.topic in self.read and each.id}
        if not self._store.serves_one:  # what was not described, as by the embedded broker, is counted
            partitions |= self._log.partitions(sorted(self._imports.difference(partitions)))
        with self._store.turn():
            noted = self._store.topics()
            for topic, noted_id in noted.items():
                self._compare_id(topic, noted_id, self.ids.get(topic, ""), partitions.get(topic, 0))
            if not self._store.serves_one:
                self._note_imports(partitions)
            self._store.identify(self.ids)
        self._known = frozenset(noted)
        if self._store.serves_one:
            joined = [each.topic for each in self._store.positions()]
            self._partitions = {topic: joined.count(topic) for topic in noted}
        else:
            self._partitions = {**former}
        self._at_first = self._store.partitions_at_first()
        self._compare(states)
        self._count_leaderless(states)
        self._next = self._clock.monotonic() + INTERVAL

    def look(self) -> None:
        """Look at the topics again, now and then; an outage is waited out. Raises as `start` does."""
        now = self._clock.monotonic()
        if now < self._next:
            return
        try:
            states = self._log.describe([*self._needs], 0.0)
        except LogError as error:
            log.debug("%s", error)
            self.leaderless, states = sum(self._partitions.values()), ()
        else:
            if states is None:
                return
            self._count_leaderless(states)
        self._next = now + INTERVAL
        for each in states:
            if each.id and self.ids.setdefault(each.topic, each.id) != each.id and each.topic in self.read:
                raise _made_anew(each.topic, self.ids[each.topic], each.id)
        self._compare([each for each in states if each.partitions or each.topic not in self.read])

    def is_stamped_by_broker(self, topic: str) -> bool:
        """Whether the broker stamps a topic's records, as far as it says."""
        return topic in self._stamped

    def is_added(self, partition: Partition) -> bool:
        """Whether a partition that is new to the store was added to a topic in use."""
        topic, number = partition
        if not self._store.serves_one:  # the other workers may have joined theirs, or not yet
            return topic in self._imports or number >= self._at_first.get(topic, number + 1)
        return topic in self._known or number >= self._partitions.get(topic, number + 1)

    def joined(self) -> None:
        """Warn of partitions that were added, as soon as they are assigned."""
        if not self._store.serves_one:
            return
        joined = [each.topic for each in self._store.positions()]
        for topic in set(joined).intersection(self._partitions):
            self._warn(self._grown(topic, joined.count(topic)))

    def _count_leaderless(self, states: Iterable[TopicState]) -> None:
        self.leaderless = sum(each.leaderless for each in states)

    def _compare_id(self, topic: str, noted: str, found: str, partitions: int) -> None:
        if not noted or not found or noted == found:
            return
        if topic not in self._imports:
            raise _made_anew(topic, noted, found)
        log.warning("topic %s was made anew: it is imported from its beginning", topic)
        self._store.leave(topic, noted)
        for number in range(partitions):
            self._store.join(Partition(topic, number), UNBEGUN, 0, 0)

    def _note_imports(self, partitions: Mapping[str, int]) -> None:
        """Note the partitions of what is imported from now on, whichever worker gets them first."""
        known = {each.topic for each in self._store.positions()}
        for topic in sorted(self._imports - known):  # of two workers at once, neither waits for the other
            for number in range(partitions.get(topic, 0)):
                self._store.join(Partition(topic, number), UNBEGUN, 0, UNBEGUN)

    def _compare(self, states: Iterable[TopicState]) -> None:
        """Raise for a loss, and warn of every other difference that was not there at the last look."""
        found: set[Difference] = set()
        for state in states:
            if state.settings.get("message.timestamp.type") == "LogAppendTime":
                self._stamped |= {state.topic}
            else:
                self._stamped -= {state.topic}
            found.update(differences(state, self._needs[state.topic]))
            found.update(self._grown(state.topic, state.partitions))
        for loss in (each for each in found if each.is_loss and each.setting != "topic"):
            raise LogError(str(loss), hint=_hint(loss))
        said = found & self._said
        self._said = frozenset(said)
        self._warn(found - said)

    def _warn(self, found: Iterable[Difference]) -> None:
        for each in sorted(set(found) - self._said):
            if not each.is_loss:  # a missing topic is the consumer's to tell
                log.warning("%s", each)
        self._said |= {*found}

    def _grown(self, topic: str, partitions: int) -> Sequence[Difference]:
        before = self._partitions.setdefault(topic, partitions)
        if not 0 < before < partitions or self._needs[topic].use != "saga":
            return ()
        why = "events of sagas in flight may lie in two partitions now, in no order"
        return (Difference(topic, "number of partitions", str(partitions), str(before), why),)


def _hint(loss: Difference) -> str:
    return f"set {loss.setting}={loss.wanted} on the topic, then start again; see `choreo topics check`"


def _made_anew(topic: str, before: str, now: str) -> StoreMismatch:
    return StoreMismatch(
        f"topic {topic} was made anew: its id is {now}, that of the store's positions {before}",
        hint="the events of before are gone, and these sagas can't go on: begin with another --store; "
        "this one keeps what was done, and what was not published",
    )
