"""``Choreography``: the manifests of all participants, and the event graph of each of their sagas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from choreo.events import short_name
from choreo.graph.reverse_edges import resolved
from choreo.graph.saga_graph import SagaGraph, Step
from choreo.manifest import ExternalEntry, HandlerEntry, Manifest, SagaEntry
from choreo.outcome import CANCEL, START


@dataclass(frozen=True)
class Choreography:
    """All manifests, sorted by participant, and the graphs of their sagas, sorted by name."""

    manifests: tuple[Manifest, ...]
    sagas: tuple[SagaGraph, ...] = ()


def choreography_of(manifests: Iterable[Manifest]) -> Choreography:
    """Return the choreography of these manifests."""
    ordered = tuple(sorted(manifests, key=lambda manifest: manifest.participant))
    names = sorted({saga.name for manifest in ordered for saga in manifest.sagas})
    return Choreography(ordered, tuple(_graph(name, ordered) for name in names))


def _graph(name: str, manifests: Sequence[Manifest]) -> SagaGraph:
    taking_part = [each for each in manifests if any(saga.name == name for saga in each.sagas)]
    contract = next(saga for each in taking_part for saga in each.sagas if saga.name == name)
    handlers = tuple(h for each in taking_part for h in each.handlers if h.saga == name)
    external = [(each.participant, e) for each in taking_part for e in each.external if e.saga == name]
    steps = (*_steps(contract, handlers), *_imported(contract, external))
    return resolved(
        SagaGraph(
            contract,
            tuple(each.participant for each in taking_part),
            {step.name: step for step in steps},
            tuple(handler for handler in handlers if handler.task == "deadline"),
            tuple(handler for handler in handlers if handler.task == "observer"),
            frozenset(entry.event for _, entry in external if entry.direction == "import"),
            frozenset(entry.event for _, entry in external if entry.direction == "export"),
            handlers,
        )
    )


def _steps(contract: SagaEntry, handlers: Sequence[HandlerEntry]) -> Iterable[Step]:
    undos: dict[str, list[HandlerEntry]] = {}
    for handler in handlers:
        if handler.task == "compensation":
            undos.setdefault(handler.step, []).append(handler)
    starters = undos.get(START, [])
    owner = starters[0].participant if starters else ""
    yield Step(START, owner, "start", (contract.starts,), compensations=tuple(starters))
    if contract.aborts:
        yield Step(CANCEL, owner, "cancellation", (contract.aborts,))
    for handler in handlers:
        if handler.task == "action":
            yield _action(handler, tuple(undos.get(handler.step, ())))


def _action(handler: HandlerEntry, undos: tuple[HandlerEntry, ...]) -> Step:
    return Step(
        handler.step,
        handler.participant,
        handler.kind,  # type: ignore[arg-type]
        handler.emits.successes,
        handler.emits.failures,
        handler.trigger,
        handler,
        undos,
    )


def _imported(contract: SagaEntry, external: Iterable[tuple[str, ExternalEntry]]) -> Iterable[Step]:
    for participant, entry in external:
        if entry.direction == "import" and entry.event not in (contract.starts, contract.aborts):
            yield Step(f"{participant}.{short_name(entry.event)}", participant, "external", (entry.event,))
