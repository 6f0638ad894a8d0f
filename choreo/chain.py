"""The chain of a saga's rows: each is linked to all before it, so that no change of one goes unseen.

A row's *link* is ``SHA-256(link before ‖ digest ‖ numbers ‖ texts)``; before a saga's first row stand 32
zero bytes. The *numbers* are the row's five, 64 bits each, big-endian; the *texts* are its texts in
UTF-8, the note last, with the control character US (0x1F) between; both in the order of `Entry`. The
*digest* is ``SHA-256(salt ‖ payload)``, or 32 zero bytes where there is no payload: so a payload can be
erased, with its salt, and the chain still holds; and nobody can find out by guessing what it was.

A chain is evidence against whoever changes some rows. Against whoever rewrites a saga to its end, only
links that were kept elsewhere are. Source: S. Haber, W. S. Stornetta, "How to time-stamp a digital
document" (1991).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from operator import itemgetter
from struct import Struct
from typing import NamedTuple

from choreo.records import Entry

NOTHING = bytes(32)
"""The digest of no payload, and the link before a saga's first row."""

SALT_BYTES = 16

PRUNED = "pruned"
"""The input of the row that stands for a saga's rows that were pruned; its digest is their last link."""

_BETWEEN = "\x1f"
_NUMBERS = Struct(">5q").pack
_NAMES = itemgetter(0, 1, 3, *range(5, 16), Entry._fields.index("traceparent"))
"""Gives all texts but the note, in which anything may stand."""


class Row(NamedTuple):
    """A row of ``saga_log`` as it stands in its saga's chain.

    ``digest`` is that of a payload that was erased, else None; ``link`` is None in rows that choreo wrote
    before it knew chains.
    """

    id: int
    entry: Entry
    salt: bytes | None
    digest: bytes | None
    link: bytes | None


class Misfit(NamedTuple):
    """The first row of a saga that doesn't fit, and what is wrong with it."""

    row: Row
    why: str


def digest_of(payload: bytes | None, salt: bytes | None) -> bytes:
    """Give the digest of a payload.

    >>> digest_of(b"card 4711", salt=b"sixteen bytes, so").hex()[:8]
    'c4084738'
    >>> digest_of(None, None) == NOTHING
    True
    """
    if payload is None:
        return NOTHING
    return sha256(salt + payload if salt else payload).digest()


def link_of(before: bytes, entry: Entry, digest: bytes) -> bytes:
    """Give a row's link, by the link of the row before it in its saga and the digest of its payload."""
    # By hand, as every row that is written comes through here.
    a, b, n1, c, n2, d, e, f, g, h, i, j, k, l, m, o, n3, n4, n5, _, note, t = entry  # noqa: E741
    texts = _BETWEEN.join((a, b, c, d, e, f, g, h, i, j, k, l, m, o, t, note))
    return sha256(before + digest + _NUMBERS(n1, n2, n3, n4, n5) + texts.encode()).digest()


def relink(before: bytes, row: Row) -> bytes:
    """Give the link that a row should have."""
    if row.entry.input == PRUNED and row.digest is not None:
        return link_of(row.digest, row.entry, NOTHING)
    digest = digest_of(row.entry.payload, row.salt) if row.digest is None else row.digest
    return link_of(before, row.entry, digest)


def links_of(rows: Iterable[Row]) -> Iterator[bytes]:
    """Give the links of a saga's rows, in order; those without one are linked as if they had it."""
    link = NOTHING
    for row in rows:
        link = relink(link, row) if row.link is None else row.link
        yield link


def head_of(rows: Iterable[Row]) -> bytes:
    """Give the link that a saga's next row follows."""
    head = NOTHING
    for link in links_of(rows):
        head = link
    return head


def first_misfit(rows: Iterable[Row], unchained: int = 0) -> Misfit | None:
    """Check all rows of a saga, in order; rows up to the id ``unchained`` need not have a link.

    >>> entry = Entry("s1", "shop", 1, "started", 7, "event", "start", "pending", "completed")
    >>> row = Row(1, entry, None, None, link_of(NOTHING, entry, NOTHING))
    >>> first_misfit([row]) is None
    True
    >>> first_misfit([row._replace(entry=entry._replace(recorded_at=8))]).row.id
    1
    """
    rows = list(rows)
    before = NOTHING
    for number, row in enumerate(rows):
        why = _refusal(before, row, unchained)
        if why:
            return Misfit(row, why)
        link = relink(before, row)
        if row.link is not None and row.link != link:
            return Misfit(row, _likely(before, rows[number:]))
        before = link
    return None


def _refusal(before: bytes, row: Row, unchained: int) -> str:
    """Say what is wrong with a row whatever its link is."""
    entry = row.entry
    if row.link is None and row.id > unchained:
        return "it has no link: something else than this choreo wrote it"
    if row.digest is not None and entry.payload is not None:
        return "its payload was erased, and is there"
    texts = _BETWEEN.join(_NAMES(entry))
    if texts.count(_BETWEEN) != len(_NAMES(entry)) - 1 or not _is_unicode(texts + entry.note):
        return "it holds what is no text"
    if entry.input == PRUNED and row.digest is not None and before not in (NOTHING, row.digest):
        return "it stands for rows that were pruned, and others are there"
    return ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _likely(before: bytes, rest: list[Row]) -> str:
    """Say what most likely happened to the first of these rows, which doesn't follow ``before``."""
    row, later = rest[0], rest[1:]
    if any(each.link is not None and relink(each.link, row) == row.link for each in later):
        return "it is out of its order"
    if any(relink(before, each) == each.link for each in later):
        return "it was inserted"
    return "it was changed, or rows before it were removed"
