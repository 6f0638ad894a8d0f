"""``Unpublishable``: events that the cluster refuses, kept as dead letters until they are requeued."""

from __future__ import annotations

import json
import logging
from base64 import b64decode
from collections.abc import Iterable
from typing import Final

from choreo.errors import LogError
from choreo.ports import Clock, Refusal, Store
from choreo.records import DeadLetter, Unpublished
from choreo.worker.dead_letters import DeadLetters, raw_headers
from choreo.worker.outbox import publications
from choreo.worker.schedule import REQUEUE

PUBLICATION: Final = "publication"
"""The task of a dead letter whose event could not be published."""

log = logging.getLogger("choreo.worker")


class Unpublishable:
    """Moves refused rows of the outbox to the dead letters, and back; ``topics`` are those of the sagas."""

    def __init__(self, store: Store, clock: Clock, letters: DeadLetters, topics: Iterable[str]) -> None:
        self._store = store
        self._clock = clock
        self._letters = letters
        self._topics = frozenset(topics)

    def bury(self, refusal: Refusal) -> None:
        """Move a row of the outbox to a dead letter, inside a turn.

        Raises `LogError` where a saga's own topic is gone: no single event is to blame for that.
        """
        row = next(iter(self._store.unpublished(refusal.seq - 1, 1)), None)
        if row is None or row.seq != refusal.seq:  # removed from the database by hand
            return
        if refusal.is_missing and row.topic in self._topics:
            raise LogError(f"could not publish to {refusal.reason}")
        number = self._store.add_dead_letter(_letter(row, refusal.reason, self._clock.now()))
        self._store.acknowledge((row.seq,))
        log.error("dead letter %d: saga_id=%s unpublishable: %s", number, row.saga_id, refusal.reason)

    def settle(self, letter: DeadLetter, task: str) -> None:
        """Publish the event of a requeued letter; discard a copy for another topic, inside a turn."""
        if task == REQUEUE:
            pairs = json.loads(letter.headers)
            headers = "\n".join(f"{name}: {b64decode(value).decode()}" for name, value in pairs)
            body = letter.value or b""
            event = (letter.event_id, letter.saga_id, letter.saga_type)
            self._store.enqueue([Unpublished(*event, letter.topic, headers, body)])
        elif letter.topic in self._topics:
            detail = "the saga waits for this event: requeue it once the topic takes it"
            self._letters.reopen(letter, "undiscardable", detail)


def _letter(row: Unpublished, reason: str, now: int) -> DeadLetter:
    publication = publications([row])[0]
    named = {name: value.decode() for name, value in publication.headers}
    return DeadLetter(
        "unpublishable",
        reason,
        now,
        row.saga_id,
        row.saga_type or named.get("ce_sagatype", ""),
        PUBLICATION,
        named.get("ce_step", ""),
        row.event_id,
        named.get("ce_type", ""),
        row.topic,
        key=publication.key,
        headers=raw_headers(publication.headers),
        value=row.body,
    )
