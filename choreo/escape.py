"""Makes text from outside safe to show: in one line, without characters that are obeyed and not seen.

Reasons, names and bodies quote what customers and other services sent. Where they are shown, control
characters could move a terminal's cursor, line ends could forge a line, and marks of direction could turn
the order of what follows.
"""

from __future__ import annotations

from html import escape


def escaped(text: str) -> str:
    r"""Return a text in one line, in which every character can be seen.

    >>> print(escaped("paid\x1b[2J\n \u202eok"))
    paid\x1b[2J\n \u202eok
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _code(each) for each in text)


def escaped_lines(text: str) -> str:
    """Return a text whose line feeds are meant, with each line as `escaped` returns it."""
    return text if text.isprintable() else "\n".join(map(escaped, text.split("\n")))


def markup(text: str) -> str:
    """Return a text for HTML and SVG: as `escaped` returns it, and without anything that is markup."""
    return escape(escaped(text))


def escaped_json(text: str) -> str:
    r"""Return JSON that means the same, in which every character can be seen.

    >>> print(escaped_json('{"reason": "\x9b2J \u202eok"}'))
    {"reason": "\u009b2J \u202eok"}
    """
    return "".join(each if each.isprintable() or each == "\n" else _json_code(each) for each in text)


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _json_code(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
