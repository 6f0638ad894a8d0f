"""``Choreography``: the manifests of all participants, and the event graph of each of their sagas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from choreo.events import short_name
from choreo.graph.reverse_edges import resolved
from choreo.graph.saga_graph import SagaGraph, Step
from choreo.manifest import ExternalEntry, HandlerEntry, Manifest, SagaEntry
from choreo.outcome import CANCEL, START
from choreo.saga import Versions, spans


@dataclass(frozen=True)
class Choreography:
    """All manifests, sorted by participant, and the graphs of their sagas, sorted by name.

    ``sagas`` are the graphs of the newest versions, ``earlier`` those of the versions before which differ,
    oldest first.
    """

    manifests: tuple[Manifest, ...]
    sagas: tuple[SagaGraph, ...] = ()
    earlier: tuple[SagaGraph, ...] = ()

    @property
    def graphs(self) -> tuple[SagaGraph, ...]:
        """The graphs of all versions, by name and version."""
        return tuple(
            sorted((*self.earlier, *self.sagas), key=lambda graph: (graph.name, graph.versions.since))
        )


def choreography_of(manifests: Iterable[Manifest]) -> Choreography:
    """Return the choreography of these manifests."""
    ordered = tuple(sorted(manifests, key=lambda manifest: manifest.participant))
    names = sorted({saga.name for manifest in ordered for saga in manifest.sagas})
    graphs = [_graphs(name, ordered) for name in names]
    newest = tuple(of_saga[-1] for of_saga in graphs)
    return Choreography(ordered, newest, tuple(graph for of_saga in graphs for graph in of_saga[:-1]))


def _graphs(name: str, manifests: Sequence[Manifest]) -> list[SagaGraph]:
    """Return the graphs of a saga, one for all versions that the same handlers are of, oldest first."""
    newest = max(saga.version for each in manifests for saga in each.sagas if saga.name == name)
    bounds = [handler.versions for each in manifests for handler in each.handlers if handler.saga == name]
    return [_graph(name, versions, manifests) for versions in spans(newest, bounds)]


def _graph(name: str, versions: Versions, manifests: Sequence[Manifest]) -> SagaGraph:
    taking_part = [each for each in manifests if any(saga.name == name for saga in each.sagas)]
    contract = next(saga for each in taking_part for saga in each.sagas if saga.name == name)
    handlers = tuple(
        handler
        for each in taking_part
        for handler in each.handlers
        if handler.saga == name and handler.versions.includes(versions.since)
    )
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
            versions,
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
