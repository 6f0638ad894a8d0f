"""What ``choreo demo`` needs to know of an example: who takes part, what happens, what must balance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from choreo.outcome import SagaState
from choreo.participant import Participant


class Story(NamedTuple):
    """One saga to show: ``begin`` starts it and gives its id, ``ends`` is how it must end."""

    title: str
    begin: Callable[[], str]
    ends: SagaState


class Check(NamedTuple):
    """One thing that must balance in the business tables, and what was found there."""

    what: str
    found: str
    holds: bool


class Scenario(NamedTuple):
    """The whole demo of one example, its module's ``scenario``.

    ``balance`` is given every participant's open database, by the participant's name. ``world`` holds
    what the participants call that is no participant, while the demo runs.
    """

    participants: Sequence[Participant]
    stories: Sequence[Story]
    balance: Callable[[Mapping[str, Any]], Iterable[Check]]
    world: Callable[[], AbstractContextManager[object]] = nullcontext
