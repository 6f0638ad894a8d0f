"""``Finding``: one defect of a choreography: where it is, why it is one, and how to fix it."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Literal, NamedTuple

from choreo.manifest import HandlerEntry
from choreo.manifest.manifest import Link
from choreo.outcome import START
from choreo.verify.engine.run import RunLine
from choreo.verify.engine.run_file import RunFile

Level = Literal["error", "warning"]

_MOST_WORDS = 8
"""Of more words than this a sentence says how many there are."""

NOWHERE = Link("", "")
"""The place of what is in no source file."""


class Finding(NamedTuple):
    """One finding. ``where`` is the line that it is about, ``related`` are other lines that contribute to it.

    ``help`` says in one sentence how to fix it, ``paste`` in code, for which the module needs ``imports``.
    ``steps`` are the names of the steps that it is about, by which it is recognized when lines have moved.
    ``run`` are the lines of a run that show it,
    under the title ``scenario``; ``run_file`` is that run in full, to be run again.
    """

    rule: str
    name: str
    level: Level
    saga: str
    message: str
    where: Link = NOWHERE
    why: str = ""
    help: str = ""
    paste: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    related: tuple[Link, ...] = ()
    scenario: str = ""
    run: tuple[RunLine, ...] = ()
    run_file: RunFile | None = None

    @property
    def place(self) -> str:
        """``file:line``, or empty."""
        return self.where.place

    @property
    def fingerprint(self) -> str:
        """A digest of rule, saga and steps, which stays the same when lines move."""
        return "/".join((self.rule, self.saga, *self.steps))


def listed(names: Iterable[str]) -> str:
    """Return names as a list in a sentence.

    >>> listed(["a", "b", "c"])
    '`a`, `b` and `c`'
    """
    return enumerated(f"`{name}`" for name in names)


def enumerated(words: Iterable[str]) -> str:
    """Return words as a list in a sentence; of very many, how many others there are."""
    *first, last = [*words] or [""]
    if len(first) >= _MOST_WORDS:
        first, last = first[: _MOST_WORDS - 1], f"{len(first) + 2 - _MOST_WORDS} others"
    return f"{', '.join(first)} and {last}" if first else last


def plural(things: Sized, one: str, several: str) -> str:
    """Return the word for one thing or that for several."""
    return one if len(things) == 1 else several


def at(handler: HandlerEntry | None) -> Link:
    """Return the line where a handler is declared, with its decorator as it reads there."""
    if handler is None:
        return NOWHERE
    participant, _, function = handler.name.partition(".")
    match handler.task:
        case "compensation":
            of = handler.of or (START if handler.step == START else handler.step.partition(".")[2])
            text = f"@{participant}.compensation(of={of})"
        case "deadline":
            text = f'@{participant}.deadline(of="{handler.step}")'
        case task:
            text = f"@{participant}.{task}  def {function}"
    return Link(handler.place, text)
