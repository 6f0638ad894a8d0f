"""``Scenario``: what an example defines for its demo, and how the example is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any, Protocol

from choreo.errors import ConfigurationError
from choreo.outcome import SagaState
from choreo.participant import Participant


class Case(Protocol):
    """One saga of an example."""

    @property
    def title(self) -> str:
        """What the saga demonstrates, in one line."""
        ...

    @property
    def begin(self) -> Callable[[], str]:
        """Starts the saga and returns its id."""
        ...

    @property
    def ends(self) -> SagaState:
        """The state in which the saga must end."""
        ...


class Check(Protocol):
    """One thing that must balance in the business tables."""

    @property
    def what(self) -> str:
        """What must balance."""
        ...

    @property
    def found(self) -> str:
        """What was found in the tables."""
        ...

    @property
    def holds(self) -> bool:
        """Whether it balances."""
        ...


class Scenario(Protocol):
    """The demo of an example: the value ``scenario`` of its module in ``scenarios``."""

    @property
    def participants(self) -> Sequence[Participant]:
        """All participants of the example's sagas."""
        ...

    @property
    def cases(self) -> Sequence[Case]:
        """The sagas to run, one after another."""
        ...

    @property
    def balance(self) -> Callable[[Mapping[str, Any]], Iterable[Check]]:
        """Checks the open databases of all participants, by the participant's name."""
        ...

    @property
    def takes_any_store(self) -> bool:
        """Whether the participants' statements are those of both kinds of store."""
        ...

    @property
    def world(self) -> Callable[[], AbstractContextManager[object]]:
        """Runs the external services that the participants call, as long as the demo lasts."""
        ...


def scenario_of(name: str) -> Scenario:
    """Return an example's scenario. Raises `ConfigurationError` where there is none of that name."""
    package = _package()
    names = [found.name for found in iter_modules(import_module(package).__path__)]
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"examples: {', '.join(names) or 'none'}"
        raise ConfigurationError(f"there is no example {name!r}", hint=hint)
    scenario: Scenario = import_module(f"{package}.{name}").scenario
    return scenario


def _package() -> str:
    for package in ("choreo.examples", "examples"):
        if find_spec(package):
            return f"{package}.scenarios"
    raise ConfigurationError("the examples are not installed", hint="install choreo from its wheel")
