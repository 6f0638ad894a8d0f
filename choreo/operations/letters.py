"""Dead letters of several stores: chosen by their numbers or by a filter, and grouped by their cause."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from choreo.errors import ConfigurationError
from choreo.records import DeadLetter
from choreo.render.wording import iso_time


class Letters(Protocol):
    """What has dead letters: a participant's store, or what reads it."""

    def letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """Return dead letters without their bodies, those after the id ``after``, oldest first."""
        ...

    def letters_of(self, saga_id: str, saga_type: str) -> Sequence[DeadLetter]:
        """Return a saga's dead letters without their bodies, open or closed, oldest first."""
        ...

    def dead_letter(self, identity: int) -> DeadLetter | None:
        """Return one dead letter, None where there is none with that id."""
        ...


class Holder(Protocol):
    """Where the dead letters of one participant are: a store, or a reader, that is open."""

    @property
    def participant(self) -> str:
        """The participant's name."""
        ...

    @property
    def path(self) -> str:
        """How the store is called in messages."""
        ...

    @property
    def store(self) -> Letters:
        """The store, or what reads it."""
        ...


H = TypeVar("H", bound=Holder)


class Found(NamedTuple, Generic[H]):
    """A dead letter, and the store that it is in."""

    opened: H
    letter: DeadLetter

    @property
    def title(self) -> str:
        """The dead letter's number, with its participant's name."""
        return f"{self.opened.participant} #{self.letter.id}"

    @property
    def what(self) -> str:
        """What could not be done, and for which saga; for a letter of no saga, where its record lies."""
        letter = self.letter
        if not letter.saga_id:
            return f"the record at {letter.topic}[{letter.partition}]@{letter.offset}"
        return f"{letter.task} {letter.name} of saga {letter.saga_id}"


NONE = "none"
"""What stands in a filter for the task, and the step, of letters that have none: those of records."""


class Filter(NamedTuple):
    """Which dead letters are selected; an empty field admits all. The two ages are in milliseconds."""

    saga: str = ""
    step: str = ""
    participant: str = ""
    reason: str = ""
    task: str = ""
    saga_type: str = ""
    event: str = ""
    older_than: int | None = None
    newer_than: int | None = None

    def admits(self, found: Found[Any], now: int) -> bool:
        """Whether a letter is admitted."""
        letter = found.letter
        pairs = [
            (self.saga, letter.saga_id),
            (self.step, letter.name or NONE),
            (self.participant, found.opened.participant),
            (self.reason, letter.reason),
            (self.task, letter.task or NONE),
            (self.saga_type, letter.saga_type),
        ]
        is_wanted = all(not wanted or wanted == given for wanted, given in pairs)
        if not is_wanted or (self.event and not is_called(letter.event_type, self.event)):
            return False
        age = now - letter.recorded_at
        return (self.older_than is None or age >= self.older_than) and (
            self.newer_than is None or age < self.newer_than
        )


def is_called(event_type: str, name: str) -> bool:
    """Whether an event type is meant by a name, which may lack the namespace.

    >>> is_called("shop.OrderCreated", "OrderCreated"), is_called("shop.OrderCreated", "Created")
    (True, False)
    """
    return name in (event_type, event_type.rpartition(".")[2])


_PAGE = 500
"""The letters that are read at once."""


def letters_in(stores: Iterable[H], wanted: Filter, *, closed: bool = False) -> Iterator[Found[H]]:
    """Yield the letters that a filter admits, without bodies, the oldest first in each store."""
    now = time.time_ns() // 1_000_000
    for opened in stores:
        after = 0
        while page := opened.store.letters(after, _PAGE):
            after = page[-1].id
            found = (Found(opened, letter) for letter in page if closed or letter.state == "open")
            yield from (each for each in found if wanted.admits(each, now))


def letter_of(stores: Sequence[H], number: int, participant: str = "") -> Found[H]:
    """Return the one letter of that number. Raises `ConfigurationError` where there is none, or more."""
    found = [
        Found(opened, letter)
        for opened in stores
        if participant in ("", opened.participant)
        and (letter := opened.store.dead_letter(number)) is not None
    ]
    if not found:
        where = ", ".join(opened.path for opened in stores)
        raise ConfigurationError(
            f"there is no dead letter {number} in {where}", hint="see `choreo dlq list --all`"
        )
    if len(found) > 1:
        owners = ", ".join(each.opened.participant for each in found)
        raise ConfigurationError(
            f"{owners} have a dead letter {number} each", hint="say which with --participant or --store"
        )
    return found[0]


def chosen(stores: Sequence[H], numbers: Sequence[int], everything: bool, wanted: Filter) -> list[Found[H]]:
    """Return the open letters that a command names by numbers, or by ``--all`` and a filter."""
    if bool(numbers) == everything:
        raise ConfigurationError(
            "which dead letters?", hint="name them by number, or give --all, which filters can narrow"
        )
    if everything:
        return list(letters_in(stores, wanted))
    found = [letter_of(stores, number, wanted.participant) for number in dict.fromkeys(numbers)]
    for each in found:
        if each.letter.state != "open":
            raise ConfigurationError(
                f"{each.title} was {each.letter.state} already",
                hint="what fails again is a new dead letter: see `choreo dlq list`",
            )
    return found


_NAMED = 5
"""How many letters of a group are named one by one."""


class Group(Generic[H]):
    """The letters of one cause: their number, the time of the oldest, and the first ones."""

    def __init__(self) -> None:
        self.count = 0
        self.oldest = 0
        self.first: list[Found[H]] = []

    def add(self, found: Found[H]) -> None:
        """Count a letter."""
        recorded_at = found.letter.recorded_at
        self.oldest = min(self.oldest, recorded_at) if self.count else recorded_at
        self.count += 1
        if len(self.first) < _NAMED:
            self.first.append(found)

    @property
    def more(self) -> int:
        """How many of them are not named."""
        return self.count - len(self.first)


def by_cause(letters: Iterable[Found[H]]) -> list[Group[H]]:
    """Return letters in groups of one cause each, the largest first."""
    groups: dict[tuple[str, ...], Group[H]] = {}
    for found in letters:
        letter = found.letter
        cause = (letter.state, found.opened.participant, letter.reason, letter.task, letter.name)
        groups.setdefault(cause, Group()).add(found)
    return sorted(groups.values(), key=lambda each: each.count, reverse=True)


def as_json(found: Found[Any]) -> dict[str, Any]:
    """Return a letter as JSON data, without its body."""
    letter = found.letter
    return {
        "number": letter.id,
        "participant": found.opened.participant,
        "store": found.opened.path,
        "state": letter.state,
        "reason": letter.reason,
        "detail": letter.detail,
        "task": letter.task,
        "step": letter.name,
        "saga_id": letter.saga_id,
        "saga_type": letter.saga_type,
        "event_id": letter.event_id,
        "event_type": letter.event_type,
        "attempts": letter.attempt,
        "recorded_at": iso_time(letter.recorded_at),
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "edited": letter.edited is not None,
        "because": letter.comment,
        **({"by": letter.closed_by} if letter.closed_by else {}),
        "closed_at": iso_time(letter.closed_at) if letter.closed_at else None,
    }
