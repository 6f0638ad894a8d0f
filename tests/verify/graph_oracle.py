"""The properties of the graph alone, checked a second time in the simplest way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from choreo.manifest import HandlerEntry, Manifest, SagaEntry
from choreo.outcome import START
from tests.verify.naive_participant import written_out


def broken_properties(manifests: Sequence[Manifest], saga: SagaEntry) -> set[str]:
    """Return the properties that the graph of a saga breaks."""
    handlers = [h for manifest in written_out(manifests) for h in manifest.handlers if h.saga == saga.name]
    external = [each for m in manifests for each in m.external if each.saga == saga.name]
    imported = {each.event for each in external if each.direction == "import"}
    return {
        *_contract(manifests, saga),
        *_events(handlers, saga, imported),
        *_undone(handlers),
        *_outcomes(handlers),
        *_schemas(manifests),
    }


def _contract(manifests: Sequence[Manifest], saga: SagaEntry) -> Iterator[str]:
    if {each for manifest in manifests for each in manifest.sagas if each.name == saga.name} != {saga}:
        yield "one-contract"


def _events(handlers: list[HandlerEntry], saga: SagaEntry, imported: set[str]) -> Iterator[str]:
    given = {saga.starts, saga.aborts, *imported}
    emitted = given.union(*(_all(handler) for handler in handlers))
    if any(not handler.trigger.types <= emitted for handler in handlers):
        yield "emitted-triggers"
    steps = {handler.step for handler in handlers if handler.task == "action"} | {START}
    watched = {h.step: h for h in handlers if h.task == "deadline"}
    actions = {handler.step: handler for handler in handlers if handler.task == "action"}
    outside = {name.rpartition(".")[2] for name in imported}
    for step in watched:
        known = step in steps and step in actions
        if step.rpartition(".")[2] not in outside and not (known and actions[step].kind == "compensatable"):
            yield "watched-compensatable"
    come = _come(handlers, given, actions)
    if any(not _is_called(handler, come) for handler in handlers if handler.trigger):
        yield "reachable-handlers"
    if saga.completes not in come:
        yield "reachable-end"
    for action in actions.values():
        later = _come(handlers, set(action.emits.successes), actions, alone=True)
        if later & action.trigger.types:
            yield "acyclic"


def _come(
    handlers: list[HandlerEntry], given: set[str], actions: dict[str, HandlerEntry], alone: bool = False
) -> set[str]:
    """Return every event that some may lead to; ``alone``: half a join is enough, nothing is undone."""
    come = set(given)
    while True:
        new = set()
        for handler in handlers:
            if alone:
                called = handler.task == "action" and handler.trigger.touched(come)
            else:
                undoes = handler.task == "compensation" and _is_done(handler, come, actions)
                called = undoes or (bool(handler.trigger) and _is_called(handler, come))
            if called:
                new |= set(handler.emits.successes) if alone else _all(handler)
        if new <= come:
            return come
        come |= new


def _is_done(undo: HandlerEntry, come: set[str], actions: dict[str, HandlerEntry]) -> bool:
    return undo.step == START or (undo.step in actions and _is_called(actions[undo.step], come))


def _is_called(handler: HandlerEntry, come: set[str]) -> bool:
    return handler.trigger.satisfied(come)


def _undone(handlers: list[HandlerEntry]) -> Iterator[str]:
    undos = [handler for handler in handlers if handler.task == "compensation"]
    if any(undo.emits.failures or not undo.emits.successes for undo in undos):
        yield "infallible-compensation"
    if sum(undo.step == START for undo in undos) != 1:
        yield "one-compensation"
    for action in (h for h in handlers if h.task == "action" and h.kind == "compensatable"):
        of_it = [undo for undo in undos if undo.step == action.step]
        if any(undo.participant != action.participant for undo in of_it):
            yield "one-compensation"
        for success in action.emits.successes:
            if sum(not undo.results or success in undo.results for undo in of_it) != 1:
                yield "one-compensation"


def _outcomes(handlers: list[HandlerEntry]) -> Iterator[str]:
    owner: dict[str, str] = {}
    for handler in handlers:
        for name in _all(handler):
            if owner.setdefault(name, handler.step) != handler.step:
                yield "one-owner"


def _schemas(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Return the property where fields differ: that is all in which the generator's schemas can differ."""
    fields: dict[str, set[tuple[str, ...]]] = {}
    for name, entry in chain.from_iterable(manifest.schemas.items() for manifest in manifests):
        fields.setdefault(name, set()).add(tuple(field["name"] for field in entry.schema["fields"]))
    if any(len(versions) > 1 for versions in fields.values()):
        yield "readable-events"


def _all(handler: HandlerEntry) -> set[str]:
    return {*handler.emits.successes, *handler.emits.failures}
