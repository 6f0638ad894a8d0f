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
from choreo.records import DeadLetter, Record, Scheduled
from choreo.trace_context import context_in
from choreo.worker.bodies import refuse_too_long
from choreo.worker.dead_letters import PROCESS_ENDED, ended_detail, unreadable_record
from choreo.worker.failure import detail_of, is_interrupt, text_of
from choreo.worker.outbox import Publisher
from choreo.worker.schedule import REQUEUE
from choreo.worker.tally import REFUSED, Tally

log = logging.getLogger("choreo.worker")

IMPORT = "import"
"""The task of a dead letter whose record could not be imported."""


class Imports:
    """Imports the records of topics that aren't a saga's, in the transaction that moves the position.

    ``topics`` are the imports by topic. A record that can't be imported becomes a dead letter, which can be
    requeued.
    """

    def __init__(
        self,
        participant: Participant,
        store: Store,
        codec: Codec,
        clock: Clock,
        tally: Tally,
        *,
        redact: bool = False,
    ) -> None:
        self._redact = redact
        self._tally = tally
        self._name = participant.name
        self._store = store
        self._codec = codec
        self._clock = clock
        self._publisher = Publisher(participant, store, codec, clock)
        self.topics: dict[str, list[External]] = {}
        for external in participant.external:
            if external.is_import:
                self.topics.setdefault(external.topic, []).append(external)

    def take(self, record: Record, *, is_marked: bool = False) -> None:
        """Import the event of a record, if it has one that belongs to a saga.

        One that is marked, and in which the process has ended, is set aside until all else is done.
        """
        has_ended = is_marked and self.unmark(record) > 1
        for external in self.topics[record.topic]:
            if has_ended:
                self._set_aside(external, record)
            else:
                self._import(external, record)

    def mark(self, record: Record) -> bool:
        """Count that a record is about to be imported, which may end the process; whether it has before."""
        row = self._mark_of(record)
        self._store.schedule((row._replace(attempt=row.attempt + 1),))
        return row.attempt > 0

    def unmark(self, record: Record) -> int:
        """Remove the mark of a record, and return how often it was about to be imported."""
        row = self._mark_of(record)
        self._store.unschedule(row.saga_id, row.saga_type, row.task, row.name)
        return row.attempt

    def _mark_of(self, record: Record) -> Scheduled:
        name = f"{record.topic}[{record.partition}]@{record.offset}"
        rows = (row for row in self._store.scheduled("", "") if row.name == name)
        return next(rows, Scheduled("", "", IMPORT, name, "", due=0, lane="record"))

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
                self._publish(external, event, context_in(dict(record.headers)))
        except StoreError:
            raise  # the turn's transaction is lost
        except BaseException as error:  # of an unreadable body, or of the service's own functions
            if is_interrupt(error):
                raise
            self._tally.add(REFUSED, "record")
            self._bury(external, record, *self._told(error))

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

    def _publish(self, external: External, event: Any, context: str) -> None:
        assert external.saga_id is not None
        assert external.saga is not None
        saga_id = external.saga_id(event)
        if saga_id is None:
            return
        if not isinstance(saga_id, str):
            raise BodyError(f"saga_id= gave a {type(saga_id).__name__}, not a str")
        step = external.step(self._name)
        kind = {START: "start", CANCEL: "cancellation"}.get(step, "external")
        self._publisher.publish(external.saga, saga_id, step, kind, event, context)

    def _told(self, error: BaseException) -> tuple[str, str]:
        """Return the reason and the detail of a dead letter."""
        reason = "unknown-fingerprint" if isinstance(error, UnknownFingerprint) else "unimportable"
        detail = text_of(error) if isinstance(error, ChoreoError) else detail_of(error, redact=self._redact)
        return reason, detail

    def _set_aside(self, external: External, record: Record) -> None:
        """Import a record later, as a requeued dead letter during which the process has ended."""
        number = self._bury(external, record, PROCESS_ENDED, ended_detail(1))
        comment = "tried again once all else is done"
        self._store.close_dead_letter(number, "requeued", comment, self._clock.now())
        assert external.saga is not None
        row = Scheduled("", external.saga.name, REQUEUE, str(number), "", due=0, lane="doubt", deaths=1)
        self._store.schedule((row,))

    def _bury(self, external: External, record: Record, reason: str, detail: str) -> int:
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
        return number


def _record_of(letter: DeadLetter) -> Record:
    headers = [
        (name, None if value is None else b64decode(value)) for name, value in json.loads(letter.headers)
    ]
    return Record(
        letter.topic, letter.partition, letter.offset, letter.recorded_at, letter.key, headers, letter.value
    )
