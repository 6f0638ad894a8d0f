"""Dead letters settled and edited: what is refused, and how it is asked of the worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from choreo.errors import ConfigurationError
from choreo.operations.letters import Found
from choreo.operations.stores import Opened
from choreo.worker.dead_letters import How, Result, settle_in_turn, times_requeued
from choreo.worker.unpublishable import PUBLICATION

Objection = Callable[[Found[Any]], str]
"""Returns why a letter can't be settled; empty where it can."""

LONGEST_COMMENT: Final = 500
"""Characters of a comment at most."""

LONGEST_NAME: Final = 100
"""Characters at most of the name of who settles a letter."""

REQUEUES: Final = 5
"""How many times the same work may be requeued, if nothing else is said."""


def refuse_comment(text: str) -> None:
    """Raise `ConfigurationError` for a comment that can't be kept, or published."""
    if not text.strip() or len(text) > LONGEST_COMMENT or not text.isprintable():
        raise ConfigurationError(
            f"the reason has 1 to {LONGEST_COMMENT} printable characters",
            hint='--because "refunded by hand"',
        )


def refuse_name(by: str) -> None:
    """Raise `ConfigurationError` for a name of somebody that can't be kept."""
    if len(by) > LONGEST_NAME or not by.isprintable():
        raise ConfigurationError(
            f"a name has {LONGEST_NAME} printable characters at most", hint="say who it is with --by"
        )


def no_objection(found: Found[Any]) -> str:
    """Return nothing: any open letter can be discarded."""
    del found
    return ""


def objection_to_requeue(limit: int) -> Objection:
    """Return the objection to a requeue, where the same work may be requeued so many times."""

    def objection(found: Found[Any]) -> str:
        letter = found.letter
        if not letter.saga_type:
            return "it belongs to no saga, so there is nothing to try again"
        times = times_requeued(found.opened.store.letters_of(letter.saga_id, letter.saga_type), letter)
        return f"requeued {times} times already; edit it, or raise --limit" if times >= limit else ""

    return objection


def refuse_without_event(found: Found[Any]) -> None:
    """Raise `ConfigurationError` where no handler would get another event."""
    if found.letter.task == PUBLICATION:
        raise ConfigurationError(
            f"{found.title}: its event was decided already, and only waits to be published",
            hint="let its topic take it, then requeue it",
        )
    if not found.letter.saga_type or not found.letter.event_type:
        raise ConfigurationError(
            f"{found.title}: no handler would get another event", hint="it can only be discarded"
        )


_AT_ONCE: Final = 100
"""How many letters are settled in one transaction: the worker waits for that."""


def settle_all(
    letters: Sequence[Found[Opened]],
    how: How,
    comment: str,
    now: int,
    objection: Objection,
    *,
    by: str = "",
    result: Result | None = None,
) -> Iterator[list[tuple[Found[Opened], str]]]:
    """Ask for the settling of a store's letters; yield those of each transaction once it is committed.

    With each letter comes why it was left alone, empty where it was not. The worker carries it out in its
    next turn, or when it starts. ``by`` is who asks; ``result`` the event with which a letter is resolved.
    """

    def closed(found: Found[Opened]) -> str:
        store = found.opened.store
        done = settle_in_turn(store, found.letter, how, comment, now, by=by, result=result)
        return "" if done else "it was settled meanwhile"

    for at in range(0, len(letters), _AT_ONCE):
        some = letters[at : at + _AT_ONCE]
        with some[0].opened.store.turn():
            settled = [(each, objection(each) or closed(each)) for each in some]
        yield settled


def settle(
    found: Found[Opened], how: How, comment: str, now: int, *, by: str = "", result: Result | None = None
) -> str:
    """Ask for the settling of one letter, as `settle_all` does."""
    (((_, why_not),),) = settle_all([found], how, comment, now, no_objection, by=by, result=result)
    return why_not


class EditedMeanwhile(ConfigurationError):
    """Raised where somebody else has edited a letter after it was read."""


def edit(found: Found[Opened], body: bytes) -> None:
    """Keep another event for the handler of a letter.

    Raises `ConfigurationError` where it isn't open, `EditedMeanwhile`.
    """
    store = found.opened.store
    with store.turn():
        is_edited = (kept := store.dead_letter(found.letter.id)) and kept.edited != found.letter.edited
        is_open = not is_edited and store.edit_dead_letter(found.letter.id, body)
    if is_edited:
        raise EditedMeanwhile(f"{found.title} was edited meanwhile", hint="look at it again")
    if not is_open:
        raise ConfigurationError(f"{found.title} was settled meanwhile", hint="see `choreo dlq list --all`")
