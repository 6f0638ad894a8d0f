"""``Subject``: the participant whose saga log is replayed, with its store and the events on its topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import click

from choreo.audit.verification import saga_ids as saga_ids_in
from choreo.cli import options
from choreo.cli.topic_source import bodies_by_id
from choreo.errors import StoreMismatch
from choreo.operations.stores import open_stores
from choreo.participant import Participant
from choreo.ports import Store
from choreo.project.lock import derived
from choreo.project.modules import load_participant

F = TypeVar("F", bound=Callable[..., Any])

_PAGE = 1_000
"""Saga ids that are asked for at a time."""

target = click.argument("target", metavar="MODULE:PARTICIPANT")
saga_ids = click.argument("saga_ids", type=options.SagaId(), metavar="SAGA_ID...", nargs=-1, required=True)
as_json = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, JSON for scripts.",
)
_topic = click.option(
    "--topic", is_flag=True, help="Also read the sagas' topics, on the cluster of --bootstrap."
)


def with_topic(function: F) -> F:
    """Declare the options that let a command read the topics."""
    return _topic(options.cluster(function))


class Subject(NamedTuple):
    """A participant, and its store."""

    participant: Participant
    path: str
    store: Store

    def sagas(self) -> Iterator[str]:
        """Yield the ids of all sagas in the store."""
        return saga_ids_in(self.store.saga_log)


@contextmanager
def subject_of(target: str, store: str, *, reading: bool = False) -> Iterator[Subject]:
    """Open a participant's store, which must be there and be its own; to read it only, with ``reading``.

    Raises `ConfigurationError` where there is none, `StoreMismatch` for the store of another participant.
    """
    participant = derived(load_participant(target))
    path = store.replace("{participant}", participant.name)
    with open_stores([path], reading=reading) as (opened,):
        if opened.participant not in ("", participant.name):
            raise StoreMismatch(
                f"the store {opened.path} belongs to {opened.participant!r}, not to {participant.name!r}",
                hint="name the participant's own with --store",
            )
        yield Subject(participant, opened.path, opened.store)


def bodies_in_topic(
    context: click.Context, participant: Participant, saga_ids: Sequence[str]
) -> Mapping[str, bytes]:
    """Return the bodies of the events of some sagas on the topics, by their ids; none without ``--topic``."""
    if not context.params["topic"]:
        return {}
    names = [saga.topic for saga in participant.sagas]
    return bodies_by_id(options.chosen_cluster(context), names, saga_ids)
