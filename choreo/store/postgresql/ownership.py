"""``Ownership``: the partitions that one worker's store owns, and the partition that a saga belongs to.

The sagas of a partition, and their rows, have one owner. Whoever takes a partition over raises its epoch, in
the row of its position; every turn of an owner locks the rows of its partitions by their epochs, and so finds
out, before it does anything, what was taken over. The group's own belief does not count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from confluent_kafka.cimpl import murmur2
from psycopg.sql import SQL, Literal

from choreo.records import Partition
from choreo.store.postgresql.known import Known

UNKNOWN = -1
"""The partition of a row of a saga whose topic is not known yet."""

_CACHED = 50_000


class Homes:
    """On which partition a saga lies: that of its id, by the hash of Kafka's producers.

    ``topics`` are the topic and its number of partitions by saga type, as the store has them.
    """

    def __init__(self) -> None:
        self.topics: dict[str, tuple[str, int]] = {}
        self._known: dict[tuple[str, str], int] = {}

    def begin(self, topics: Mapping[str, tuple[str, int]]) -> None:
        """Begin anew, with these topics."""
        self.topics = dict(topics)
        self._known.clear()

    def of(self, saga_type: str, saga_id: str) -> int:
        """Return the partition of a saga, `UNKNOWN` where its topic isn't known."""
        found = self._known.get((saga_type, saga_id))
        if found is None:
            found = self._home(saga_type, saga_id)
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[saga_type, saga_id] = found
        return found

    def place(self, saga_type: str, saga_id: str) -> Partition:
        """Return the topic and the partition of a saga."""
        return Partition(self.topics.get(saga_type, ("", 0))[0], self.of(saga_type, saga_id))

    def _home(self, saga_type: str, saga_id: str) -> int:
        count = self.topics.get(saga_type, ("", 0))[1]
        return int(murmur2(saga_id.encode(errors="replace"), count)) if count else UNKNOWN


class Ownership:
    """The partitions of one store's worker, each with the epoch at which it was taken over.

    A store that ``is_worker`` sees and locks what it owns, and nothing else; any other one sees everything.
    ``known`` is what of their rows need not be read.
    """

    def __init__(self, homes: Homes) -> None:
        self.is_worker = False
        self.scope: tuple[list[str], list[int]] = ([], [])
        """The saga types and numbers of the partitions that are owned, as the statements take them."""
        self.fence = ""
        """The statement that locks the rows of the partitions that are still owned, empty for none."""
        self.look = ""
        """The statement that reads which partitions are still owned, empty for none."""
        self.count = "0"
        """The number of those, in SQL."""
        self.is_asked = "false"
        """Whether there are requests for sagas of these partitions, in SQL."""
        self.known = Known()
        self._homes = homes
        self._epochs: dict[Partition, int] = {}

    def __contains__(self, partition: Partition) -> bool:
        return partition in self._epochs

    @property
    def partitions(self) -> frozenset[Partition]:
        """The partitions that are owned."""
        return frozenset(self._epochs)

    def owns(self, saga_type: str, saga_id: str) -> bool:
        """Whether a saga's rows are this store's to write."""
        if not self.is_worker:
            return True
        return self._homes.place(saga_type, saga_id) in self._epochs

    def add(self, epochs: Mapping[Partition, int]) -> None:
        """Add partitions that were taken over."""
        if epochs:
            self._epochs.update(epochs)
            self.prepare()

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Drop partitions that are another's, or nobody's, from now on."""
        for each in partitions:
            self._epochs.pop(each, None)
        self.prepare()

    def scope_of(self, partitions: Collection[Partition]) -> tuple[list[str], list[int]]:
        """Return the saga types and numbers of partitions; those of imports have no rows of sagas."""
        types = {topic: saga_type for saga_type, (topic, _) in self._homes.topics.items()}
        places = [(types[each.topic], each.number) for each in sorted(partitions) if each.topic in types]
        return [saga_type for saga_type, _ in places], [number for _, number in places]

    def prepare(self) -> None:
        """Prepare the statements, anew where the topics of sagas have changed."""
        self.known.forget()
        self.scope = self.scope_of(self._epochs)
        self.look = _LOOK.format(_rows(self._epochs)) if self._epochs else ""
        self.count = f"(SELECT count(*) FROM ({self.look}) AS owned)" if self._epochs else "0"
        self.fence = f"{self.look}{_LOCK}" if self._epochs else ""
        types, numbers = self.scope
        owned = [
            f"({_literal(each)}, {number}, {self._homes.topics[each][1]})"
            for each, number in zip(types, numbers, strict=True)
        ]
        self.is_asked = _ASKED.format(", ".join(owned)) if owned else "false"


_LOOK = "SELECT topic, partition FROM choreo.positions WHERE (topic, partition, epoch) IN (VALUES {})"
_ASKED = """
EXISTS (SELECT 1 FROM choreo.requests AS request JOIN (VALUES {}) AS own (type, number, partitions)
    ON request.saga_type = own.type AND request.key_hash % own.partitions = own.number)
"""
# In one order, as two workers that lock several rows would otherwise wait for each other.
_LOCK = " ORDER BY topic, partition FOR NO KEY UPDATE"


def _rows(epochs: Mapping[Partition, int]) -> str:
    """Return the rows as literals, as one text of several statements takes no parameters."""
    return ", ".join(
        f"({_literal(topic)}, {number}, {epoch})" for (topic, number), epoch in sorted(epochs.items())
    )


def _literal(text: str) -> Any:
    return SQL("{}").format(Literal(text)).as_string(None)
