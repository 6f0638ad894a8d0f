"""What ``choreo demo`` shows of an example: who takes part, what happens, what must balance."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from choreo import Participant
from choreo.outcome import SagaState


@dataclass(frozen=True)
class Case:
    """One saga to show: ``begin`` starts it and returns its id, ``ends`` is the state it must end in."""

    title: str
    begin: Callable[[], str]
    ends: SagaState


@dataclass(frozen=True)
class Check:
    """One thing that must balance in the business tables, and what was found there."""

    what: str
    found: str
    holds: bool


@dataclass(frozen=True)
class Scenario:
    """The whole demo of one example, its module's ``scenario``.

    ``balance`` takes every participant's open database, by the participant's name. ``world`` runs the
    external services that the participants call, as long as the demo lasts. ``takes_any_store`` is whether
    the participants' statements are those of both kinds of store.
    """

    participants: Sequence[Participant]
    cases: Sequence[Case]
    balance: Callable[[Mapping[str, Any]], Iterable[Check]]
    world: Callable[[], AbstractContextManager[object]] = nullcontext
    takes_any_store: bool = False
