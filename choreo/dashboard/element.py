"""``element``: markup in which every text from outside stays text."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final, TypeAlias

from choreo.escape import escaped_json, escaped_lines, markup


class Html(str):
    """A text that is markup already; any other text becomes text."""

    __slots__ = ()


Child: TypeAlias = "str | int | Html | Iterable[Child] | None"

EMPTY: Final = Html("")

_VOID: Final = frozenset(("br", "input", "link", "meta"))
"""Elements without content."""


def element(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Html:
    """Return an element with its content; an attribute that is None or False is left out.

    A name that is Python's own ends with an underscore, which is left out; others stand for hyphens.

    >>> print(element("a", "1 < 2", href="/sagas?a=b&c", class_="late"))
    <a href="/sagas?a=b&amp;c" class="late">1 &lt; 2</a>
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*children: Child) -> Html:
    """Return parts one behind the other.

    >>> print(joined("<", element("b", 7), None, ["x", "y"]))
    &lt;<b>7</b>xy
    """
    return Html("".join(map(_written, children)))


def lines(text: str) -> Html:
    """Return a text whose line ends are meant."""
    return Html(escape(escaped_lines(text)))


def json_text(text: str) -> Html:
    """Return JSON that means the same, in which every character can be seen."""
    return Html(escape(escaped_json(text)))


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, (str, int)):
        return markup(str(child))
    return joined(*child)


def _attribute(key: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{markup(str(value))}"'
