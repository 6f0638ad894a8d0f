"""Work of a dead letter that somebody did by hand: with which events it may end, and how these are folded.

It ends as if the handler had returned the event. Whether it may is asked of the protocol, on a copy of the
saga, by the worker that does it as well as by a command that only says what would happen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from choreo.errors import ChoreoError, ConfigurationError, StoreError
from choreo.events import event_name
from choreo.manifest import HandlerEntry, Manifest
from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, Outcome
from choreo.ports import Codec, Store
from choreo.protocol import (
    Answer,
    Buried,
    Decision,
    Discarded,
    Due,
    Ended,
    Expire,
    Input,
    Instance,
    Role,
    fold,
    serves,
)
from choreo.protocol.recorded_inputs import rebuild
from choreo.protocol.renaming import name_in, role_for
from choreo.records import DeadLetter, by_hand, version_of
from choreo.release import readable
from choreo.release.in_force import role_in
from choreo.worker.attempt import Attempt
from choreo.worker.bodies import encode
from choreo.worker.dead_letters import UNKNOWN_HANDLER, UNWORKABLE, DeadLetters
from choreo.worker.decisions import NO_EVENT, Decisions, FollowUp
from choreo.worker.failure import detail_of, is_interrupt
from choreo.worker.handlers import Handlers
from choreo.worker.item import Item
from choreo.worker.pending import pending_of


class Way(NamedTuple):
    """One way in which work may end: the inputs to fold, one after the other, and what the last decides."""

    inputs: Sequence[Input]
    decisions: Sequence[Decision] = ()

    @property
    def fails(self) -> bool:
        """Whether the work has failed."""
        last = self.inputs[-1]
        return isinstance(last, Ended) and last.outcome == FAILED


Ways = Mapping[str, Way]
"""The ways by the type of the event, which is empty where the work has none, as that of an observer."""


class Emits(NamedTuple):
    """The events that the handler of some work declares."""

    successes: Sequence[str]
    failures: Sequence[str] = ()


Declared = Callable[[str, str, str], Emits | None]
"""Returns what the handler emits of a task and a name that undoes a result, None where there is none."""


class Unresolvable(ConfigurationError):
    """Raised where the work of a dead letter can't be ended by hand."""


class ByHand:
    """Ends the work of dead letters with the event that somebody gave, inside the turn."""

    def __init__(
        self,
        codec: Codec,
        handlers: Handlers,
        decisions: Decisions,
        letters: DeadLetters,
        redact: bool = False,
    ) -> None:
        self._codec = codec
        self._handlers = handlers
        self._decisions = decisions
        self._letters = letters
        self._redact = redact

    def resolve(self, item: Item, letter: DeadLetter) -> list[FollowUp]:
        """End the work of a letter, and return the follow-ups; open it again where that can't be done.

        What was good when it was asked for may be so no more: the saga has gone on, or a release was started.
        """
        saga = self._decisions.instances.get(item.role, item.saga_id)
        try:
            inputs = chosen(ways(item.role, saga, letter, self._declared(item, saga)), letter)
            result = Attempt("returned", letter.result_type, self._body(letter))
        except StoreError:
            raise
        except BaseException as error:  # of the event's own __init__, too
            if is_interrupt(error):
                raise
            why = str(error) if isinstance(error, ChoreoError) else detail_of(error, redact=self._redact)
            self._letters.reopen(letter, letter.reason, f"not resolved: {why}")
            return []
        followups: list[FollowUp] = []
        for input in inputs[:-1]:
            followups += self._decisions.apply(item, input, NO_EVENT)
        given = result._replace(by_hand=by_hand(letter.comment))
        return followups + self._decisions.apply(item, inputs[-1], given)

    def _declared(self, item: Item, saga: Instance) -> Declared:
        def declared(task: str, name: str, result: str) -> Emits | None:
            try:
                handler = self._handlers.of_step(item.saga_type, task, name, saga)
            except (KeyError, StopIteration):
                return None
            return Emits([*handler.successes], [event_name(each) for each in handler.fails])

        return declared

    def _body(self, letter: DeadLetter) -> bytes:
        """Return the body as the handler's own event would have it."""
        if not letter.result_type:
            return b""
        return encode(self._codec, self._codec.decode(letter.result_type, letter.result))


def chosen(known: Ways, letter: DeadLetter) -> Sequence[Input]:
    """Return the inputs for the event with which a letter is resolved. Raises `Unresolvable`."""
    if letter.result_type in known:
        return known[letter.result_type].inputs
    if letter.result_type:
        names = ", ".join(each or "no event" for each in known)
        raise Unresolvable(
            f"{letter.name} does not end with {letter.result_type} now", hint=f"it ends with {names}"
        )
    raise Unresolvable(
        f"the event is missing with which {letter.name} ends", hint=f"one of {', '.join(known)}"
    )


def ways(role: Role, saga: Instance, letter: DeadLetter, declared: Declared) -> Ways:
    """Return how the work of a letter may end, what its handler most likely would have returned first.

    Raises `Unresolvable` where it can't be ended, or has ended otherwise.
    """
    _refuse_other_than_work(letter)
    name, note = name_in(role, saga, letter.name), by_hand(letter.comment)
    if letter.task == "observer":
        return {"": Way((Discarded(name, note),))}
    if saga.version > role.contract.version:
        raise Unresolvable(f"version {saga.version} of the saga is not known to this release")
    if not saga.started or saga.pruned:
        raise Unresolvable("the start of its saga was never seen here", hint="it can only be discarded")
    if letter.task == "deadline":
        return _of_deadline(role, saga, name)
    if saga.unowned:
        raise Unresolvable("its saga is in quarantine", hint="first settle its dead letter foreign-outcome")
    return _of_step(role, saga, name, letter, declared, note)


_OF_HANDLERS = ("action", "compensation", "answer", "observer", "deadline")
_HELD = {
    "outcome": "an outcome that this participant never published",
    "event": "an event under the id of another one",
    "saga": "what events of an unknown version call for",
    "publication": "an event that waits to be published",
    "import": "a record to be imported",
}


def ways_in(store: Store, letter: DeadLetter) -> Ways:
    """Return how the work of a letter may end, by the release that its store's worker runs.

    Raises `Unresolvable`, as `ways` does.
    """
    _refuse_other_than_work(letter)
    release = store.newest_release()
    manifest = readable(release) if release else None
    if manifest is None:
        raise Unresolvable(
            "it is not known what the service declares", hint="start its worker once with this choreo"
        )
    entries = store.history(letter.saga_id, letter.saga_type)
    role = role_in(manifest, letter.saga_type, version_of(entries))
    if role is None:
        raise Unresolvable(f"the service takes no part in {letter.saga_type} any more")
    saga = rebuild(role, entries, pending_of(store, role, entries)) if entries else Instance()
    return ways(role, saga, letter, _declared_in(manifest, letter.saga_type, saga))


def _declared_in(manifest: Manifest, saga_type: str, saga: Instance) -> Declared:
    def declared(task: str, name: str, result: str) -> Emits | None:
        found = [
            each
            for each in manifest.handlers
            if (each.saga, each.task) == (saga_type, task)
            and each.versions.includes(max(saga.version, 1))
            and name in _names_of_step(manifest, each)
        ]
        if task == "compensation" and result:
            found = [each for each in found if serves(each, result)]
        return Emits(found[0].emits.successes, found[0].emits.failures) if found else None

    return declared


def _names_of_step(manifest: Manifest, entry: HandlerEntry) -> set[str]:
    """Return the names under which sagas may know the step of a handler."""
    same = (each for each in manifest.handlers if (each.saga, each.step) == (entry.saga, entry.step))
    return {entry.step}.union(*(each.names for each in same if each.task == "action"))


def usual(known: Ways) -> str | None:
    """Return the event with which work ends that was done; None where it may be one of several."""
    done = [name for name, way in known.items() if not way.fails]
    return done[0] if len(done) == 1 else None


def _refuse_other_than_work(letter: DeadLetter) -> None:
    if letter.task not in _OF_HANDLERS:
        held = _HELD.get(letter.task, "a record that belongs to no saga")
        raise Unresolvable(
            f"it holds {held}, not the work of a handler", hint="it can only be requeued or discarded"
        )


def _of_deadline(role: Role, saga: Instance, name: str) -> Ways:
    known, decisions = role_for(role, saga).deadline.get(name), fold(role, saga, Due(name))[1]
    if known is None or Expire(name) not in decisions:
        raise Unresolvable(f"the deadline {name} is over", hint="discard its dead letter")
    return {known.answer: Way((Due(name),), decisions)}


def _of_step(
    role: Role, saga: Instance, name: str, letter: DeadLetter, declared: Declared, note: str
) -> Ways:
    if name not in role_for(role, saga).action:
        raise Unresolvable(f"the service has no step {name} any more", hint="it can only be discarded")
    progress = saga.step(name)
    before: Sequence[Input] = ()
    if progress.activity != "dead":
        if letter.reason not in _WITHOUT_HANDLER or progress.activity == "running":
            raise Unresolvable(f"{name} has gone on without it", hint="discard its dead letter")
        buried = Buried(name, letter.reason)
        before, saga = (buried,), fold(role, saga, buried)[0]
    if progress.state in ("pending", "executing", "compensating"):
        found = _results(role, saga, name, declared, note)
    else:
        found = _answers(role, saga, name, note)
    return {event: Way((*before, input), fold(role, saga, input)[1]) for event, input in found.items()}


_WITHOUT_HANDLER = (UNKNOWN_HANDLER, UNWORKABLE)
"""The reasons of letters of which the protocol does not know that their work has stopped."""


def _results(role: Role, saga: Instance, name: str, declared: Declared, note: str) -> dict[str, Input]:
    """Return the ends of a step whose handler has returned nothing yet."""
    progress = saga.step(name)
    emits, action = declared(progress.task, name, progress.result), role_for(role, saga).action[name]
    if emits is None:
        raise Unresolvable(
            f"the service has no {progress.task} {name} any more", hint="it can only be discarded"
        )
    if saga.is_at_rest and progress.task == "action" and action.can_fail:
        raise Unresolvable(
            f"the saga has ended ({saga.state}), and nobody waits for {name}",
            hint="undo by hand what was done, and discard it",
        )
    succeeds: Outcome = COMPENSATED if progress.task == "compensation" else SUCCEEDED
    outcomes: dict[str, Outcome] = {
        **dict.fromkeys(emits.successes, succeeds),
        **dict.fromkeys(emits.failures, FAILED),
    }
    return {event: Ended(name, outcome, event, "returned", note) for event, outcome in outcomes.items()}


def _answers(role: Role, saga: Instance, name: str, note: str) -> dict[str, Input]:
    """Return the end of a step of which only the answer is missing, as it could not be built."""
    settled = Discarded(name, note)
    for decision in fold(role, saga, settled)[1]:
        if isinstance(decision, Answer):
            return {decision.type: settled}
    raise Unresolvable(f"nobody waits for {name}", hint="discard its dead letter")
