"""Selects the dead letters that a command works on: by their numbers, or by a filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from choreo.cli.stores import Opened
from choreo.errors import ConfigurationError

if TYPE_CHECKING:
    from choreo.records import DeadLetter

F = TypeVar("F", bound=Callable[..., Any])


class Found(NamedTuple):
    """A dead letter, and the store that it is in."""

    opened: Opened
    letter: DeadLetter

    @property
    def title(self) -> str:
        """The dead letter's number, with its participant's name."""
        return f"{self.opened.participant} #{self.letter.id}"


class Filter(NamedTuple):
    """Which dead letters are selected; an empty field admits all."""

    saga: str = ""
    step: str = ""
    participant: str = ""
    reason: str = ""

    def admits(self, found: Found) -> bool:
        """Whether a letter is admitted."""
        letter = found.letter
        pairs = [
            (self.saga, letter.saga_id),
            (self.step, letter.name),
            (self.participant, found.opened.participant),
            (self.reason, letter.reason),
        ]
        return all(not wanted or wanted == given for wanted, given in pairs)


def filtered(function: F) -> F:
    """Declare the options of a `Filter`."""
    options = [
        click.option("--saga", default="", metavar="ID", help="Only those of one saga."),
        click.option(
            "--step", default="", metavar="NAME", help="Only those of one step, deadline or observer."
        ),
        click.option("--participant", default="", metavar="NAME", help="Only those of one participant."),
        click.option(
            "--reason", default="", metavar="WHY", help="Only those with one reason, such as gave-up."
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


participant = click.option(
    "--participant",
    default="",
    metavar="NAME",
    help="The participant whose dead letter it is, where several have that number.",
)
"""The option that chooses between letters of the same number."""


_PAGE = 500
"""The letters that are read at once."""


def letters_in(stores: Iterable[Opened], wanted: Filter, *, closed: bool = False) -> Iterator[Found]:
    """Yield the letters that a filter admits, without bodies, the oldest first in each store."""
    for opened in stores:
        after = 0
        while page := opened.store.letters(after, _PAGE):
            after = page[-1].id
            found = (Found(opened, letter) for letter in page if closed or letter.state == "open")
            yield from (each for each in found if wanted.admits(each))


def letter_of(stores: Sequence[Opened], number: int, participant: str = "") -> Found:
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


def chosen(stores: Sequence[Opened], numbers: Sequence[int], everything: bool, wanted: Filter) -> list[Found]:
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
