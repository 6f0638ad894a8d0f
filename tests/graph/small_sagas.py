"""The protocol's small sagas as manifests: one participant a step, and the one that starts the saga."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from choreo.graph import Choreography, choreography_of
from choreo.manifest import Emission, ExternalEntry, HandlerEntry, Manifest, SagaEntry
from choreo.outcome import COMPENSATABLE, START
from choreo.protocol import Trigger
from tests.protocol.sagas import CANCELLED, COMPLETES, FAILS, ORDERS, STARTED, Saga, Step


def choreography_from(saga: Saga, *, derived: bool = False, cancellable: bool = False) -> Choreography:
    """Return the choreography of a small saga; ``derived`` leaves the compensations' triggers to rule R7."""
    return choreography_of(manifests_of(saga, derived=derived, cancellable=cancellable))


def manifests_of(saga: Saga, *, derived: bool = False, cancellable: bool = False) -> list[Manifest]:
    """Return a manifest for the participant that starts the saga, and one for each step."""
    contract = SagaEntry(saga.name, saga.name, 1, STARTED, COMPLETES, FAILS, CANCELLED if cancellable else "")
    return [
        Manifest(
            participant,
            (contract,),
            tuple(_derived(each) if derived else each for each in handlers),
            external=_imports(saga) if participant == ORDERS else (),
        )
        for participant, handlers in _handlers(saga).items()
    ]


def _imports(saga: Saga) -> tuple[ExternalEntry, ...]:
    return tuple(ExternalEntry(name, saga.name, "outside", "import") for name in saga.imports)


def _derived(handler: HandlerEntry) -> HandlerEntry:
    return replace(handler, trigger=Trigger(), derived=True) if handler.task == "compensation" else handler


def _handlers(saga: Saga) -> dict[str, list[HandlerEntry]]:
    fail = _undo(saga, f"{ORDERS}.fail", START, saga.reverse_edges(STARTED), FAILS)
    found = {ORDERS: [fail, *_deadlines(saga)]}
    for step in saga.steps:
        found[step.name.lower()] = [_action(saga, step), *_undos(saga, step)]
    return found


def _action(saga: Saga, step: Step) -> HandlerEntry:
    return HandlerEntry(
        name=f"{step.name.lower()}.do",
        task="action",
        step=step_of(step.name),
        saga=saga.name,
        place=f"{step.name.lower()}.py:1",
        trigger=step.on,
        emits=Emission(step.results, (step.failure,) if step.can_fail else ()),
        kind=step.kind,
        timeout_ms=60_000,
        partial=step.partial,
    )


def _undos(saga: Saga, step: Step) -> Iterator[HandlerEntry]:
    if step.kind != COMPENSATABLE:
        return
    for result, answer in zip(step.results, step.answers, strict=True):
        name = f"{step.name.lower()}.undo_{result.lower()}"
        undo = _undo(saga, name, step_of(step.name), saga.reverse_edges(result), answer)
        yield replace(undo, results=frozenset((result,)))


def _undo(saga: Saga, name: str, step: str, trigger: Trigger, answer: str) -> HandlerEntry:
    return HandlerEntry(
        name=name,
        task="compensation",
        step=step,
        saga=saga.name,
        place=f"{name.partition('.')[0]}.py:2",
        trigger=trigger,
        emits=Emission((answer,)),
        aborted=True,
        optional_result=True,
    )


def _deadlines(saga: Saga) -> Iterator[HandlerEntry]:
    for number, watch in enumerate(saga.watches):
        after = Trigger.of(STARTED) if watch.far else saga.step[watch.of].on
        yield HandlerEntry(
            name=f"{ORDERS}.late_{watch.of.lower()}_{number}",
            task="deadline",
            step=step_of(watch.of),
            saga=saga.name,
            place=f"{ORDERS}.py:{number + 3}",
            trigger=after,
            emits=Emission((watch.answer,)),
            within_ms=3_600_000,
        )


def step_of(name: str) -> str:
    """Return the full name of a small saga's step."""
    return START if name == START else f"{name.lower()}.do"
