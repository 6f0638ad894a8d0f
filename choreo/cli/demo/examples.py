"""The examples that can be shown: of an installed choreo (``choreo.examples``), or of a checkout."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from choreo.cli.scenario import Scenario
from choreo.errors import ConfigurationError


def scenario_of(name: str) -> Scenario:
    """Give an example's scenario. Raises `ConfigurationError` where there is none of that name."""
    package = _package()
    names = list(_names(package))
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"examples: {', '.join(names) or 'none'}"
        raise ConfigurationError(f"there is no example {name!r}", hint=hint)
    scenario: Scenario = import_module(f"{package}.{name}.scenario").scenario
    return scenario


def _package() -> str:
    for package in ("choreo.examples", "examples"):
        if find_spec(package):
            return package
    raise ConfigurationError("the examples are not installed", hint="install choreo from its wheel")


def _names(package: str) -> Iterator[str]:
    for found in iter_modules(import_module(package).__path__, f"{package}."):
        if found.ispkg and find_spec(f"{found.name}.scenario"):
            yield found.name.rpartition(".")[2]
