"""The protocol's roles, made from a saga's graph; they equal those of the workers."""

from __future__ import annotations

from choreo.graph.saga_graph import SagaGraph, Step
from choreo.manifest import SagaEntry
from choreo.outcome import START
from choreo.protocol import Action, Compensation, Contract, Deadline, Observer, Role


def role_of(graph: SagaGraph, participant: str) -> Role:
    """Return the role of one participant."""
    own = [step for step in graph.steps.values() if step.participant == participant]
    observers = [handler for handler in graph.observers if handler.participant == participant]
    deadlines = [handler for handler in graph.deadlines if handler.participant == participant]
    return Role(
        participant,
        _contract(graph.contract),
        tuple(_action(step) for step in own if step.handler or (step.name == START and step.compensations)),
        tuple(Observer(each.known_as, each.trigger) for each in observers),
        tuple(
            Deadline(each.known_as, each.step, each.trigger, next(iter(each.emits.successes), ""))
            for each in deadlines
        ),
        names=tuple(
            each.names for each in graph.handlers if each.participant == participant and each.formerly
        ),
    )


def roles_of(graph: SagaGraph) -> tuple[Role, ...]:
    """Return the role of every participant."""
    return tuple(role_of(graph, participant) for participant in graph.participants)


def role_of_all(graph: SagaGraph) -> Role:
    """Return one role that combines all participants, since all read the same topic in the same order."""
    roles = roles_of(graph)
    return Role(
        "*",
        _contract(graph.contract),
        tuple(action for role in roles for action in role.actions),
        tuple(observer for role in roles for observer in role.observers),
        tuple(deadline for role in roles for deadline in role.deadlines),
        names=tuple(names for role in roles for names in role.names),
    )


def _contract(saga: SagaEntry) -> Contract:
    return Contract(saga.name, saga.starts, saga.completes, saga.fails, saga.aborts, saga.version)


def _action(step: Step) -> Action:
    undos = tuple(
        Compensation(undo.trigger, next(iter(undo.emits.successes), ""), undo.results)
        for undo in step.compensations
    )
    return Action(
        step.name,
        step.trigger,
        step.kind,
        next(iter(step.failures), ""),
        undos,
        bool(step.handler and step.handler.partial),
    )
