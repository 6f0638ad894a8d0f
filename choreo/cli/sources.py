"""Opens the sources of the commands that show sagas: participants' stores, exports, or the sagas' topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from choreo.cli import options
from choreo.cli.stores import stores
from choreo.operations.stores import open_readers
from choreo.project.pyproject import nearest_project
from choreo.timeline.selection import Timelines

if TYPE_CHECKING:
    from choreo.graph import SagaGraph

F = TypeVar("F", bound=Callable[..., Any])

_graph = click.option(
    "--graph",
    "graphs",
    multiple=True,
    metavar="MODULE|MANIFEST|FOLDER",
    help="Where the saga's participants are declared, to show what may still happen; may be repeated. "
    "Default: the modules of [tool.choreo].",
)
_topic = click.option(
    "--topic",
    is_flag=True,
    help="Read the sagas' topics, on the cluster of --bootstrap, instead of stores; with --store, read both. "
    "No consumer's position changes.",
)


def sources(function: F) -> F:
    """Declare the options that name the sources of sagas."""
    return stores(_graph(_topic(options.cluster(function))))


def now() -> int:
    """Return the time, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@contextmanager
def open_timelines(context: click.Context) -> Iterator[Timelines]:
    """Open the sources that a command's options name; errors of opening and reading them are raised."""
    given = context.params
    graphs = _graphs_of(given["graphs"])
    if not given["topic"]:
        with open_readers(given["stores"]) as readers:
            yield Timelines(readers, graphs, now())
        return
    # Only --topic needs Kafka: without it, `choreo trace` must come at once.
    from choreo.cli.topic_source import topics_of

    topics = topics_of(options.chosen_cluster(context), graphs)
    if context.get_parameter_source("stores") in (ParameterSource.DEFAULT, None):
        yield Timelines([topics], graphs, now())
        return
    with open_readers(given["stores"]) as readers:
        yield Timelines([*readers, topics], graphs, now())


def _graphs_of(names: Sequence[str]) -> dict[str, list[SagaGraph]]:
    """Return graphs by saga type, oldest versions first, of the named modules or else of the project."""
    if not names and not nearest_project().get("modules"):
        return {}
    # Only where there is a graph are the modules loaded that graphs are made of.
    from choreo.project.choreography import choreography_known

    choreography = choreography_known(names)
    graphs: dict[str, list[SagaGraph]] = {}
    for graph in choreography.graphs if choreography else ():
        graphs.setdefault(graph.name, []).append(graph)
    return graphs
