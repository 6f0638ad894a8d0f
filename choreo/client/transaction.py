"""``LocalTransaction``: starts and cancels sagas inside the caller's own local transaction."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Literal

from choreo.errors import ConfigurationError, DeclarationError, StoreError, wrong_argument
from choreo.events import event_name, is_event
from choreo.outcome import CANCEL, START, Kind
from choreo.participant import Participant
from choreo.ports import Clock, Codec, JoinedStore
from choreo.protocol import Role
from choreo.saga import Saga
from choreo.worker.outbox import Publisher, refuse_bad_id


class LocalTransaction:
    """An open transaction of a participant's store; see `choreo.participant.Transaction`.

    ``new_id`` returns the id of a saga that is started without one, by default `new_saga_id`.
    """

    def __init__(
        self,
        participant: Participant,
        roles: Mapping[str, Role],
        store: JoinedStore,
        codec: Codec,
        clock: Clock,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self.participant = participant
        self.store = store
        self.is_open = True
        self.is_joined = False
        self._roles = roles
        self._publisher = Publisher(participant, store, codec, clock)
        self._new_id = new_id or new_saga_id

    @property
    def db(self) -> Any:
        """The database with the transaction open, which refuses commit and rollback; or what was joined."""
        self._refuse_ended()
        return self.store.db

    def end(self) -> None:
        """Refuse every use from now on: the connection may serve another caller's transaction next."""
        self.is_open = False

    def start(self, event: object, saga_id: str | None = None, saga: Saga | str | None = None) -> str:
        """Start a saga, unless the participant has started one with that id before; return its id."""
        self._refuse_ended()
        saga = self._saga_of(event, "starts", saga)
        if not self._roles[saga.name].owns_start:
            raise DeclarationError(
                f"{self.participant.name} starts {saga.name!r} but does not say how to end it when it fails",
                hint=f"declare @{self.participant.name}.compensation(of=….start) that returns "
                f"{event_name(saga.fails)}",
            )
        chosen = self._new_id() if saga_id is None else saga_id
        self._publish(saga, chosen, START, "start", event)
        return chosen

    def cancel(self, saga_id: str, event: object, saga: Saga | str | None = None) -> None:
        """Publish the cancellation of a saga, which changes nothing after the pivot or the end."""
        self._refuse_ended()
        refuse_bad_id(saga_id)
        saga = self._saga_of(event, "aborts", saga)
        self._publish(saga, saga_id, CANCEL, "cancellation", event)

    def _publish(self, saga: Saga, saga_id: str, step: str, kind: Kind, event: object) -> None:
        with self.store.savepoint():  # for a caller who catches an error: no half of it stays
            self._publisher.publish(saga, saga_id, step, kind, event)

    def _refuse_ended(self) -> None:
        if not self.is_open:
            raise StoreError(
                "the transaction has ended", hint="start and cancel inside of its with block, or open another"
            )

    def _saga_of(self, event: object, part: Literal["starts", "aborts"], chosen: Saga | str | None) -> Saga:
        if not is_event(type(event)):
            hint = f"give an object of the event that {part} the saga"
            raise wrong_argument("event", event, "an event", hint=hint)
        sagas = self.participant.sagas if chosen is None else (self.participant.saga(chosen),)
        found = [saga for saga in sagas if getattr(saga, part) is type(event)]
        if not found:
            names = [event_name(cls) for cls in (getattr(saga, part) for saga in sagas) if cls]
            which = self.participant.name if chosen is None else repr(sagas[0].name)
            raise DeclarationError(
                f"{type(event).__name__} {part} {'no saga of ' if chosen is None else 'not '}{which}",
                hint=f"events that do: {', '.join(names) or 'none'}",
            )
        if len(found) > 1:
            names = [repr(saga.name) for saga in found]
            raise ConfigurationError(
                f"{type(event).__name__} {part} several sagas of {self.participant.name}: {', '.join(names)}",
                hint=f"say which one: saga={names[0]}",
            )
        return found[0]


def new_saga_id() -> str:
    """Return a new saga id, a UUID of version 7 (RFC 9562): sorted by time, it keeps the index compact."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | (uuid.uuid4().int & ((1 << 80) - 1))
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))
