"""``Imports``: publishes events of other topics on their saga's topic, once."""

from __future__ import annotations

import json
import logging
from base64 import b64decode
from typing import Any

from choreo.errors import BodyError, ChoreoError, StoreError, UnknownFingerprint
from choreo.outcome import CANCEL, START
from choreo.participant import Participant
from choreo.participant.external import External
from choreo.ports import Clock, Codec, Store
from choreo.records import DeadLetter, Record
from choreo.worker.bodies import refuse_too_long
from choreo.worker.dead_letters import unreadable_record
from choreo.worker.failure import detail_of, is_interrupt, text_of
from choreo.worker.outbox import Publisher

log = logging.getLogger("choreo.worker")

IMPORT = "import"
"""The task of a dead letter whose record could not be imported."""


class Imports:
    """Imports the records of topics that aren't a saga's, in the transaction that moves the position.

    ``topics`` are the imports by topic. A record that can't be imported becomes a dead letter, which can be
    requeued.
    """

    def __init__(
        self, participant: Participant, store: Store, codec: Codec, clock: Clock, *, redact: bool = False
    ) -> None:
        self._redact = redact
        self._name = participant.name
        self._store = store
        self._codec = codec
        self._clock = clock
        self._publisher = Publisher(participant, store, codec, clock)
        self.topics: dict[str, list[External]] = {}
        for external in participant.external:
            if external.is_import:
                self.topics.setdefault(external.topic, []).append(external)

    def take(self, record: Record) -> None:
        """Import the event of a record, if it has one that belongs to a saga."""
        for external in self.topics[record.topic]:
            self._import(external, record)

    def take_again(self, letter: DeadLetter) -> None:
        """Import the record of a dead letter, with its edited body where there is one."""
        for external in self.topics.get(letter.topic, ()):
            if external.name == letter.event_type:
                self._import(external, _record_of(letter), letter.edited)

    def _import(self, external: External, record: Record, edited: bytes | None = None) -> None:
        try:
            event = (
                self._read(external, record) if edited is None else self._codec.decode(external.name, edited)
            )
            if event is not None:
                self._publish(external, event)
        except StoreError:
            raise  # the turn's transaction is lost
        except BaseException as error:  # of an unreadable body, or of the service's own functions
            if is_interrupt(error):
                raise
            self._bury(external, record, error)

    def _read(self, external: External, record: Record) -> Any:
        if external.decode is None and dict(record.headers).get("ce_type") != external.name.encode():
            return None
        if record.value is None:
            if external.decode is None:
                raise BodyError(f"{external.name}: no body")
            return None
        refuse_too_long(external.name, record.value)
        if external.decode is None:
            return self._codec.decode(external.name, record.value)
        event = external.decode(record.value)
        if event is not None and type(event) is not external.event:
            raise BodyError(f"decode= gave a {type(event).__name__}, not a {external.name}")
        return event

    def _publish(self, external: External, event: Any) -> None:
        assert external.saga_id is not None
        assert external.saga is not None
        saga_id = external.saga_id(event)
        if saga_id is None:
            return
        if not isinstance(saga_id, str):
            raise BodyError(f"saga_id= gave a {type(saga_id).__name__}, not a str")
        step = external.step(self._name)
        kind = {START: "start", CANCEL: "cancellation"}.get(step, "external")
        self._publisher.publish(external.saga, saga_id, step, kind, event)

    def _bury(self, external: External, record: Record, error: BaseException) -> None:
        reason = "unknown-fingerprint" if isinstance(error, UnknownFingerprint) else "unimportable"
        detail = text_of(error) if isinstance(error, ChoreoError) else detail_of(error, redact=self._redact)
        assert external.saga is not None
        letter = unreadable_record(record, reason, detail, self._clock.now())._replace(
            saga_type=external.saga.name,
            task=IMPORT,
            name=external.step(self._name),
            event_type=external.name,
        )
        number = self._store.add_dead_letter(letter)
        log.error(
            "dead letter %d: %s at %s[%d]@%d", number, reason, record.topic, record.partition, record.offset
        )


def _record_of(letter: DeadLetter) -> Record:
    headers = [
        (name, None if value is None else b64decode(value)) for name, value in json.loads(letter.headers)
    ]
    return Record(
        letter.topic, letter.partition, letter.offset, letter.recorded_at, letter.key, headers, letter.value
    )
