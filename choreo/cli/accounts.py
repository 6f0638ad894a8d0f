"""What participants' stores say of sagas, for the commands that tell of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

import click

from choreo.cli.project import nearest_project
from choreo.errors import ConfigurationError

if TYPE_CHECKING:
    from choreo.choreography import SagaGraph
    from choreo.store.reading import StoreReader
    from choreo.story import Account, Story

F = TypeVar("F", bound=Callable[..., Any])

_NEAR = 50
"""How many ids of each store an unknown one is compared with."""

graphs = click.option(
    "--graph",
    "graphs",
    multiple=True,
    metavar="MODULE|MANIFEST|FOLDER",
    help="What says how the saga goes on; may be repeated. Default: the modules of [tool.choreo].",
)
"""The option that says where the saga's graph comes from."""


def now() -> int:
    """Give the time, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Teller:
    """Tells sagas from stores, and from their graphs where those can be had."""

    def __init__(self, readers: Sequence[StoreReader], graphs: Sequence[str]) -> None:
        refuse_twice(readers)
        self.readers = readers
        self.now = now()
        self._graphs = _graphs_of(graphs)

    def stories(self, saga_id: str) -> list[Story]:
        """Tell the saga of an id: one for each type that has it, which is nearly always one."""
        from choreo.story import tell

        sides: dict[str, list[Account]] = {}
        for reader in self.readers:
            for saga_type, account in reader.accounts(saga_id).items():
                sides.setdefault(saga_type, []).append(account)
        return [tell(each, self.now, self._graphs.get(name)) for name, each in sorted(sides.items())]

    def story(self, saga_id: str, saga_type: str) -> Story:
        """Tell the one saga that is meant. Raises `ConfigurationError` where there is none, or more."""
        found = [each for each in self.stories(saga_id) if saga_type in ("", each.saga_type)]
        if not found:
            raise self._unknown(saga_id, saga_type)
        if len(found) > 1:
            types = ", ".join(each.saga_type for each in found)
            raise ConfigurationError(
                f"sagas of several types have the id {saga_id!r}: {types}", hint="say which with --type"
            )
        return found[0]

    def _unknown(self, saga_id: str, saga_type: str) -> ConfigurationError:
        where = ", ".join(reader.path for reader in self.readers)
        known = dict.fromkeys(each for reader in self.readers for each in reader.near(saga_id, _NEAR))
        close = get_close_matches(saga_id, list(known), n=1, cutoff=0.6)
        hint = (
            f"did you mean {close[0]}?" if close else "see `choreo sagas`, or name other stores: --store PATH"
        )
        of_type = f" of the type {saga_type!r}" if saga_type else ""
        return ConfigurationError(f"no saga {saga_id!r}{of_type} is known in {where}", hint=hint)


def _graphs_of(names: Sequence[str]) -> dict[str, SagaGraph]:
    """Give the graphs by their sagas' names: those that are named, or what the project has of them."""
    if not names and not nearest_project().get("modules"):
        return {}
    from choreo.cli.choreographies import choreography_known

    choreography = choreography_known(names)
    return {graph.name: graph for graph in choreography.sagas} if choreography else {}


def refuse_twice(readers: Iterable[StoreReader]) -> None:
    """Raise `ConfigurationError` where two stores are of one participant: which would be believed?"""
    seen: dict[str, StoreReader] = {}
    for reader in readers:
        other = seen.setdefault(reader.participant, reader)
        if other is not reader:
            raise ConfigurationError(
                f"{other.path} and {reader.path} are both stores of {reader.participant}",
                hint="is one a copy? Name those that count: --store PATH",
            )
