"""The hash chain of a saga's rows in the saga log, which reveals a changed, inserted or removed row. Pure.

A row's *link* is ``SHA-256(previous link ‖ digest ‖ numbers ‖ texts)``; the previous link of a saga's first
row is 32 zero bytes. The *numbers* are the row's five, 64 bits each, big-endian; the *texts* are its texts in
UTF-8, the note last, separated by the control character US (0x1F); both in the order of `Entry`. The
*digest* is ``SHA-256(salt ‖ payload)``, or 32 zero bytes where there is no payload. So a payload can be
erased together with its salt: the chain still holds, and the payload can't be guessed from the digest.

Sagas of several types that have the same id have a chain each. Only their rows up to the id ``keyed_by_id``,
which were written when choreo told sagas apart by their ids alone, form one chain, from which each goes on.

The chain reveals a change of some rows. A rewrite of all rows from one on to the last is revealed only by
links that were kept elsewhere. Source: S. Haber, W. S. Stornetta, "How to time-stamp a digital document"
(1991).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from operator import itemgetter
from struct import Struct
from typing import NamedTuple

from choreo.records import Entry

ZEROS = bytes(32)
"""The digest of no payload, and the link before a saga's first row."""

SALT_BYTES = 16
"""The length of the salt of a payload's digest."""

PRUNED = "pruned"
"""The input of the row that replaces a saga's pruned rows; its digest is their last link."""

_SINCE = ", since "
_BETWEEN = "\x1f"
_NUMBERS = Struct(">5q").pack
_NAMES = itemgetter(0, 1, 3, *range(5, 16), Entry._fields.index("traceparent"))
"""Returns all texts except the note, the only text that may contain the separator."""


class Row(NamedTuple):
    """A row of ``saga_log`` with its place in the chain.

    ``digest`` is that of a payload that was erased, else None; ``link`` is None in rows that choreo wrote
    before it linked rows.
    """

    id: int
    entry: Entry
    salt: bytes | None
    digest: bytes | None
    link: bytes | None


class BrokenLink(NamedTuple):
    """The first row at which a saga's chain is broken, and the reason."""

    row: Row
    why: str


def pruned_note(rows: int, began: int) -> str:
    """Return the note of the row that stands for ``rows`` rows of a saga that ``began`` at that time (ms)."""
    return (
        f"{rows} rows{_SINCE}{datetime.fromtimestamp(began / 1000, UTC).isoformat(timespec='milliseconds')}"
    )


def began_of(pruned: Entry) -> int | None:
    """Return when the saga of a pruned row began (ms), None where an older choreo has not noted it."""
    _, _, since = pruned.note.partition(_SINCE)
    try:
        return round(datetime.fromisoformat(since).timestamp() * 1000)
    except ValueError:
        return None


def digest_of(payload: bytes | None, salt: bytes | None) -> bytes:
    """Return the digest of a payload.

    >>> digest_of(b"card 4711", salt=b"sixteen bytes, so").hex()[:8]
    'c4084738'
    >>> digest_of(None, None) == ZEROS
    True
    """
    if payload is None:
        return ZEROS
    return sha256(salt + payload if salt else payload).digest()


def link_of(before: bytes, entry: Entry, digest: bytes) -> bytes:
    """Return a row's link, from the link of the saga's previous row and the digest of the payload."""
    # Unpacked field by field for speed, as every row that is written is linked here.
    a, b, n1, c, n2, d, e, f, g, h, i, j, k, l, m, o, n3, n4, n5, _, note, t = entry  # noqa: E741
    texts = _BETWEEN.join((a, b, c, d, e, f, g, h, i, j, k, l, m, o, t, note))
    return sha256(before + digest + _NUMBERS(n1, n2, n3, n4, n5) + texts.encode()).digest()


def expected_link(before: bytes, row: Row) -> bytes:
    """Return the link that a row should have."""
    if row.entry.input == PRUNED and row.digest is not None:
        return link_of(row.digest, row.entry, ZEROS)
    digest = digest_of(row.entry.payload, row.salt) if row.digest is None else row.digest
    return link_of(before, row.entry, digest)


def links_of(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the links of a saga's rows, in order; for rows without one, the link that they should have."""
    link = ZEROS
    for row in rows:
        link = expected_link(link, row) if row.link is None else row.link
        yield link


def chain_of(rows: Sequence[Row], saga_type: str, keyed_by_id: int) -> list[Row]:
    """Return the rows of one saga's chain, of all rows that have its id."""
    is_shared = any(row.entry.saga_type == saga_type and row.id <= keyed_by_id for row in rows)
    return [row for row in rows if row.entry.saga_type == saga_type or (is_shared and row.id <= keyed_by_id)]


def head_of(rows: Iterable[Row]) -> bytes:
    """Return the last link of a saga, which its next row follows."""
    head = ZEROS
    for link in links_of(rows):
        head = link
    return head


def first_broken_link(rows: Iterable[Row], unchained: int = 0) -> BrokenLink | None:
    """Return the first broken link of a saga's chain, None where it holds.

    ``rows`` are all of the saga's chain, in order; those up to the id ``unchained`` need not have a link.

    >>> entry = Entry("s1", "shop", 1, "started", 7, "event", "start", "pending", "completed")
    >>> row = Row(1, entry, None, None, link_of(ZEROS, entry, ZEROS))
    >>> first_broken_link([row]) is None
    True
    >>> first_broken_link([row._replace(entry=entry._replace(recorded_at=8))]).row.id
    1
    """
    rows = list(rows)
    before = ZEROS
    for number, row in enumerate(rows):
        why = _fault(before, row, unchained)
        if why:
            return BrokenLink(row, why)
        link = expected_link(before, row)
        if row.link is not None and row.link != link:
            return BrokenLink(row, _likely(before, rows[number:]))
        before = link
    return None


def _fault(before: bytes, row: Row, unchained: int) -> str:
    """Return what is wrong with a row apart from its link; empty where nothing is."""
    entry = row.entry
    if row.link is None and row.id > unchained:
        return "it has no link: something else than this choreo wrote it"
    if row.digest is not None and entry.payload is not None:
        return "its payload was erased, and is there"
    if not _is_text(row):
        return "it holds what is no text"
    if entry.input == PRUNED and row.digest is not None and before not in (ZEROS, row.digest):
        return "it stands for rows that were pruned, and others are there"
    return ""


def _is_text(row: Row) -> bool:
    """Whether a row can be linked: its texts are Unicode, and hold nothing that stands between them."""
    names = _NAMES(row.entry)
    texts = _BETWEEN.join(names)
    if texts.count(_BETWEEN) != len(names) - 1:
        return False
    try:
        (texts + row.entry.note).encode()
    except UnicodeEncodeError:
        return False
    return True


def _likely(before: bytes, rest: list[Row]) -> str:
    """Return the likely cause why the first of these rows doesn't follow the link ``before``."""
    row, later = rest[0], [each for each in rest[1:] if _is_text(each)]
    if any(each.link is not None and expected_link(each.link, row) == row.link for each in later):
        return "it is out of its order"
    if any(expected_link(before, each) == each.link for each in later):
        return "it was inserted"
    return "it was changed, or rows before it were removed"
