"""The protocol's roles, made from declared handlers: one for each version of a saga that differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from choreo.errors import DeclarationError
from choreo.events import event_name
from choreo.outcome import COMPENSATABLE, START
from choreo.participant.handler import Handler
from choreo.protocol import Action, Compensation, Contract, Deadline, Observer, Role, Trigger, serves
from choreo.records import Entry, version_of
from choreo.saga import Saga, Versions, spans


def contract_of(saga: Saga) -> Contract:
    """Return the protocol's contract of a saga."""
    return Contract(
        saga=saga.name,
        starts=event_name(saga.starts),
        completes=event_name(saga.completes),
        fails=event_name(saga.fails),
        aborts=event_name(saga.aborts) if saga.aborts else "",
        version=saga.version,
    )


Edges = Mapping[str, Mapping[str, Trigger]]
"""The triggers of compensations by step and by the success event that the step emitted (R7)."""


class Roles:
    """A participant's roles, by the type and the version of a saga; a role knows the newest version.

    ``newest`` has those of the newest versions. A saga of version 0, whose start was not seen, has the newest
    role, and so has one of a version that is newer than this release of the service.
    """

    def __init__(self, roles: Mapping[str, Sequence[tuple[Versions, Role]]]) -> None:
        self.newest = {saga: of_saga[-1][1] for saga, of_saga in roles.items()}
        self._roles = roles
        self._earlier = {saga: of_saga[:-1] for saga, of_saga in roles.items() if len(of_saga) > 1}

    def of(self, saga: str, version: int) -> Role:
        """Return the role in a saga of this type and version."""
        if saga in self._earlier:
            for versions, role in self._earlier[saga]:
                if versions.includes(version):
                    return role
        return self.newest[saga]

    def each(self, saga: str) -> Sequence[tuple[Versions, Role]]:
        """Return the roles in a saga with their versions, oldest first."""
        return self._roles[saga]

    def of_rows(self, saga: str, entries: Iterable[Entry]) -> Role:
        """Return the role in a saga with these rows of the saga log, oldest first."""
        return self.of(saga, version_of(entries)) if saga in self._earlier else self.newest[saga]

    def differs(self, saga: str) -> bool:
        """Whether any version of a saga has another role than the newest."""
        return saga in self._earlier


def roles_of(
    participant: str, saga: Saga, handlers: Sequence[Handler], edges: Sequence[tuple[Versions, Edges]]
) -> list[tuple[Versions, Role]]:
    """Return the roles of a participant in a saga, oldest versions first, and versions alike together.

    ``edges`` are the triggers of the compensations that name no event, by the versions of the saga.

    Raises `DeclarationError` as `role_of` does.
    """
    own = [handler for handler in handlers if handler.saga is saga]
    bounds = [*(handler.versions for handler in own), *(versions for versions, _ in edges)]
    found: list[tuple[Versions, Role]] = []
    for span in spans(saga.version, bounds):
        of_span = next((each for versions, each in edges if versions.includes(span.since)), {})
        role = role_of(
            participant, saga, [each for each in own if each.versions.includes(span.since)], of_span
        )
        if found and found[-1][1] == role:
            found[-1] = (Versions(found[-1][0].since, span.until), role)
        else:
            found.append((span, role))
    return found


def role_of(participant: str, saga: Saga, handlers: Iterable[Handler], edges: Edges) -> Role:
    """Return the protocol's role of a participant in a saga, by the handlers of one version of it.

    ``edges`` are the triggers of the compensations that name no event.

    Raises `DeclarationError` when an action that needs a compensation has none, and for a compensation that
    nothing calls.
    """
    own = [handler for handler in handlers if handler.saga is saga]
    successes = {handler.step: tuple(handler.successes) for handler in own if handler.task == "action"}
    successes[START] = (event_name(saga.starts),)
    undos: dict[str, list[Compensation]] = {}
    for handler in own:
        if handler.task == "compensation":
            undos.setdefault(handler.step, []).extend(_undos(handler, successes[handler.step], edges))
    actions = [_action(handler, undos) for handler in own if handler.task == "action"]
    if START in undos:
        actions.append(Action(START, Trigger(), "start", compensations=tuple(undos[START])))
    return Role(
        participant,
        contract_of(saga),
        tuple(actions),
        tuple(Observer(h.identity, h.trigger) for h in own if h.task == "observer"),
        tuple(
            Deadline(h.identity, h.step, h.trigger, next(iter(h.emits))) for h in own if h.task == "deadline"
        ),
        frozenset(name for handler in own for name in handler.earlier),
        tuple(handler.names for handler in own if handler.formerly),
    )


def _undos(handler: Handler, successes: Iterable[str], edges: Edges) -> Iterable[Compensation]:
    """Return one compensation for each distinct trigger, with the success events that it undoes."""
    results = handler.results
    answer = next(iter(handler.emits))
    if not handler.derived:
        return (Compensation(handler.trigger, answer, results),)
    served: dict[Trigger, set[str]] = {}
    for success in results or successes:
        served.setdefault(_derived(handler, success, edges), set()).add(success)
    if len(served) == 1:
        return (Compensation(next(iter(served)), answer, results),)
    return (Compensation(trigger, answer, frozenset(each)) for trigger, each in served.items())


def _derived(handler: Handler, success: str, edges: Edges) -> Trigger:
    try:
        return edges[handler.step][success]
    except KeyError:
        raise DeclarationError(
            f"{handler.place}: {handler.name} names no event, and no choreography says what calls it after "
            f"{success}",
            hint="run `choreo verify --lock` and commit choreography.json, or name the events that call it",
        ) from None


def _action(handler: Handler, undos: dict[str, list[Compensation]]) -> Action:
    undo = tuple(undos.get(handler.step, ()))
    if handler.kind == COMPENSATABLE:
        _refuse_not_undone(handler, undo)
    return Action(
        handler.step,
        handler.trigger,
        handler.kind,
        event_name(handler.fails[0]) if handler.fails else "",
        undo,
        handler.partial,
    )


def _refuse_not_undone(handler: Handler, undos: tuple[Compensation, ...]) -> None:
    where = f"{handler.place}: {handler.name}"
    if not undos:
        raise DeclarationError(
            f"{where} has no compensation",
            hint="declare one with compensation(of=…), or give kind='pivot' or 'retriable'",
        )
    for name in handler.successes:
        if not any(serves(undo, name) for undo in undos):
            raise DeclarationError(
                f"{where} may emit {name}, which no compensation undoes",
                hint="declare one with a parameter of that event, or let the one there is take A | B",
            )
