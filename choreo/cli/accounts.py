"""What participants' stores, and the sagas' topics, say of sagas: for the commands that tell of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from choreo.cli import settings
from choreo.cli.stores import open_readers, stores
from choreo.errors import ConfigurationError
from choreo.project.pyproject import nearest_project

if TYPE_CHECKING:
    from choreo.graph import SagaGraph
    from choreo.timeline.account import Account
    from choreo.timeline.source import Source
    from choreo.timeline.timeline import Timeline

F = TypeVar("F", bound=Callable[..., Any])

_NEAR = 50
"""How many ids of each source an unknown one is compared with."""

_graph = click.option(
    "--graph",
    "graphs",
    multiple=True,
    metavar="MODULE|MANIFEST|FOLDER",
    help="What says how the saga goes on; may be repeated. Default: the modules of [tool.choreo].",
)
_topic = click.option(
    "--topic",
    is_flag=True,
    help="Read the sagas' topics, on the cluster of --bootstrap, instead of stores; or beside those that "
    "--store names. Nobody's position moves.",
)


def accounts(function: F) -> F:
    """Declare the options that say where sagas are read."""
    return stores(_graph(_topic(settings.cluster(function))))


def now() -> int:
    """Give the time, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Teller:
    """Tells sagas from several sources, and from their graphs where those can be had."""

    def __init__(self, sources: Sequence[Source], graphs: Mapping[str, SagaGraph]) -> None:
        _refuse_twice(sources)
        self.sources = sources
        self.now = now()
        self._graphs = graphs

    def timelines(self, saga_id: str) -> list[Timeline]:
        """Tell the saga of an id: one for each type that has it, which is nearly always one."""
        from choreo.timeline.timeline import timeline_of

        sides: dict[str, list[Account]] = {}
        for source in self.sources:
            for saga_type, account in source.accounts(saga_id).items():
                sides.setdefault(saga_type, []).append(account)
        return [timeline_of(each, self.now, self._graphs.get(name)) for name, each in sorted(sides.items())]

    def timeline(self, saga_id: str, saga_type: str) -> Timeline:
        """Tell the one saga that is meant. Raises `ConfigurationError` where there is none, or more."""
        found = [each for each in self.timelines(saga_id) if saga_type in ("", each.saga_type)]
        if not found:
            raise self._unknown(saga_id, saga_type)
        if len(found) > 1:
            types = ", ".join(each.saga_type for each in found)
            raise ConfigurationError(
                f"sagas of several types have the id {saga_id!r}: {types}", hint="say which with --type"
            )
        return found[0]

    def _unknown(self, saga_id: str, saga_type: str) -> ConfigurationError:
        where = ", ".join(source.path for source in self.sources)
        known = dict.fromkeys(each for source in self.sources for each in source.similar(saga_id, _NEAR))
        close = get_close_matches(saga_id, list(known), n=1, cutoff=0.6)
        hint = f"did you mean {close[0]}?" if close else "list them with `choreo sagas`, or name other stores"
        of_type = f" of the type {saga_type!r}" if saga_type else ""
        return ConfigurationError(f"no saga {saga_id!r}{of_type} is known in {where}", hint=hint)


@contextmanager
def telling(context: click.Context) -> Iterator[Teller]:
    """Open the sources that a command's options name. Raises as opening and reading them does."""
    given = context.params
    graphs = _graphs_of(given["graphs"])
    if not given["topic"]:
        with open_readers(given["stores"]) as readers:
            yield Teller(readers, graphs)
        return
    from choreo.cli.topic import topics_of

    topics = topics_of(settings.chosen_cluster(context), graphs)
    if context.get_parameter_source("stores") in (ParameterSource.DEFAULT, None):
        yield Teller([topics], graphs)
        return
    with open_readers(given["stores"]) as readers:
        yield Teller([*readers, topics], graphs)


def _graphs_of(names: Sequence[str]) -> dict[str, SagaGraph]:
    """Give the graphs by their sagas' names: those that are named, or what the project has of them."""
    if not names and not nearest_project().get("modules"):
        return {}
    from choreo.project.choreography import choreography_known

    choreography = choreography_known(names)
    return {graph.name: graph for graph in choreography.sagas} if choreography else {}


def _refuse_twice(sources: Iterable[Source]) -> None:
    """Raise `ConfigurationError` where two stores are of one participant: which would be believed?"""
    seen: dict[str, Source] = {}
    for source in sources:
        other = seen.setdefault(source.participant, source)
        if other is not source:
            raise ConfigurationError(
                f"{other.path} and {source.path} are both stores of {source.participant}",
                hint="is one a copy? Name those that count: --store PATH",
            )
