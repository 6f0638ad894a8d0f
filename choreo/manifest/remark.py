"""``Remark``: what was found in the body of a handler; it travels in the manifest, as the body does not."""

from __future__ import annotations

from typing import NamedTuple


class Link(NamedTuple):
    """A line of source: ``place`` is ``file:line``, ``text`` what stands there."""

    place: str
    text: str


class Remark(NamedTuple):
    """One thing that a rule has to say of a body.

    ``where`` is the line that it is about, ``about`` the name of what is called or returned there, ``what``
    says more of it, ``chain`` leads from there to the end through the functions that are called.
    """

    rule: str
    handler: str
    where: Link
    about: str = ""
    what: str = ""
    chain: tuple[Link, ...] = ()
