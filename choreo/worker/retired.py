"""``Retired``: settles dead letters of steps that this release of the service does not have any more."""

from __future__ import annotations

from choreo.envelope import Envelope, event_id
from choreo.errors import BodyError
from choreo.manifest import Manifest
from choreo.outcome import START
from choreo.ports import Clock, Codec, Store
from choreo.protocol import Answer, Buried, Discarded, Input, Instance, Moved, Role, fold_into
from choreo.protocol.recorded_inputs import rebuild
from choreo.protocol.steps import is_undone
from choreo.records import DeadLetter, Entry, Work
from choreo.release import readable
from choreo.release.in_force import role_in
from choreo.release.needs import Handlers
from choreo.worker.instances import remembered_item
from choreo.worker.item import Item
from choreo.worker.outbox import outbox_rows
from choreo.worker.pending import pending_of
from choreo.worker.rows import Rows
from choreo.worker.tracing import sending


class Refused(Exception):
    """Raised where a letter can't be settled, with the reason for it."""


class Retired:
    """Discards work by the declarations of the release that had a handler for it last.

    What is published is decided by the protocol with the role of that release, and built by its schemas.
    """

    def __init__(self, store: Store, codec: Codec, clock: Clock) -> None:
        self._store = store
        self._codec = codec
        self._clock = clock

    def discard(self, letter: DeadLetter) -> None:
        """Count the work of a dead letter as done by hand. Raises `Refused` where that can't be done."""
        manifests = [found for each in self._store.releases() if (found := readable(each))]
        for manifest in reversed(manifests):
            item = self._item(letter, manifest)
            if item is not None:
                self._apply(item, letter, manifest, manifests)
                return
        raise Refused(f"no release of this store is known that had {letter.name}")

    def _item(self, letter: DeadLetter, manifest: Manifest) -> Item | None:
        """Return the item of a letter, by the declarations of a release; None where it has no handler."""
        entries = self._store.history(letter.saga_id, letter.saga_type)
        version = next((each.saga_version for each in entries if each.step == START), 0)
        role = role_in(manifest, letter.saga_type, version)
        if role is None:
            return None
        result = self._saga(role, letter).step(letter.name).result
        who = letter.saga_id, letter.saga_type, version, "", 0
        if not Handlers(manifest).serve(Work(*who, "letter", letter.task, letter.name, result=result)):
            return None
        topic = next(each.topic for each in manifest.sagas if each.name == letter.saga_type)
        try:
            return remembered_item(self._store, role, topic, letter)
        except LookupError as error:
            raise Refused(str(error)) from None

    def _saga(self, role: Role, letter: DeadLetter) -> Instance:
        entries = self._store.history(letter.saga_id, letter.saga_type)
        saga = rebuild(role, entries, pending_of(self._store, role, entries)) if entries else Instance()
        keyed_by_id = self._store.is_keyed_by_id(letter.saga_id, letter.saga_type)
        saga.keyed_by_id = saga.keyed_by_id or keyed_by_id
        return saga

    def _apply(self, item: Item, letter: DeadLetter, manifest: Manifest, manifests: list[Manifest]) -> None:
        saga, action = self._saga(item.role, letter), item.role.action[letter.name]
        progress = saga.step(letter.name)
        if progress.state == "completed" and not saga.end and not is_undone(saga, action):
            raise Refused("the saga goes on: nothing calls for its compensation yet")
        inputs: list[Input] = [Discarded(letter.name, letter.comment)]
        if progress.activity != "dead":
            inputs.insert(0, Buried(letter.name, letter.reason))
        entries: list[Entry] = []
        for input in inputs:
            rows = Rows(item, saga.state_of(letter.name), saga, input, self._clock.now())
            for decision in fold_into(item.role, saga, input):
                if isinstance(decision, Moved):
                    rows.moves.append(decision)
                elif isinstance(decision, Answer):
                    body = self._body(item, saga, decision, manifest, manifests)
                    self._publish(item, rows, decision, body, manifest)
            entries += rows.entries()
        if not action.can_fail and saga.step(letter.name).activity == "dead":
            raise Refused("a retriable step has no failure to answer with")
        self._store.append(entries)

    def _body(
        self, item: Item, saga: Instance, answer: Answer, manifest: Manifest, manifests: list[Manifest]
    ) -> bytes:
        """Return the body of an answer, from the events that called the step and from its success."""
        schema = manifest.schemas.get(answer.type)
        if schema is None:
            raise Refused(f"the schema of {answer.type} was not kept")
        action = item.role.action[answer.step]
        types = action.trigger.types if answer.step != START else frozenset((item.role.contract.starts,))
        names = [*sorted(types & saga.types), saga.step(answer.step).result]
        known = [each.schemas[name] for each in manifests for name in names if name in each.schemas]
        try:
            found = (self._store.payload(*item.saga_key, name) for name in names)
            return self._codec.answer(schema, [body for body in found if body], known, answer.reason)
        except BodyError as error:
            raise Refused(str(error)) from None

    def _publish(self, item: Item, rows: Rows, answer: Answer, body: bytes, manifest: Manifest) -> None:
        cause, saga_type = item.trigger.envelope, item.saga_type
        envelope = Envelope(
            event_id(item.saga_id, rows.after.id_type(saga_type), answer.step, answer.outcome, answer.type),
            manifest.participant,
            answer.type,
            self._clock.now(),
            item.saga_id,
            saga_type,
            cause.saga_version,
            answer.step,
            answer.outcome,
            item.role.action[answer.step].kind,
            cause.id,
            cause.traceparent,
        )
        envelope = envelope._replace(traceparent=sending(item.topic, envelope, cause.traceparent))
        rows.published.append((envelope, body))
        exports = [each for each in manifest.external if each.direction == "export"]
        topics = [each.topic for each in exports if each.event == answer.type]
        self._store.enqueue(outbox_rows(envelope, (item.topic, *topics), body))
