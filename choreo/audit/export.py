"""The records of an export of a saga log, in any format: a head, releases, the rows, and an end.

The rows of a saga follow each other. The end holds the number of sagas and rows, and a digest over all of
them, so an incomplete export, or a mixture of two, is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import chain
from typing import Any, NamedTuple

from choreo.chain import ZEROS, Row, expected_link
from choreo.errors import ArchiveError, ManifestError
from choreo.ports import SagaLog
from choreo.records import Entry, Release
from choreo.release import release_data, release_from

VERSION = 3
HINT = "take another copy, or export it again"

_NUMBERS = ("id", "saga_version", "recorded_at", "partition", "offset", "event_time")
BYTES = ("payload", "salt", "digest", "link")
"""The fields that hold bytes, or None."""
COLUMNS: Mapping[str, type] = {
    name: int if name in _NUMBERS else bytes if name in BYTES else str
    for name in ("id", *Entry._fields, "salt", "digest", "link")
}
"""The fields of a row, and their types."""

Record = tuple[str, Mapping[str, Any]]
"""One part of an export: ``head``, ``release``, ``row`` or ``end``, and its fields."""


class Origin(NamedTuple):
    """The store that the rows are from; ``unchained`` and ``keyed_by_id`` are as in `choreo.ports.SagaLog`.

    ``keyed_by_id`` is None for all rows, always in exports of version 1. ``releases`` are those of the store,
    oldest first, in exports of version 3.
    """

    participant: str
    store_id: str
    unchained: int
    keyed_by_id: int | None = None
    releases: tuple[Release, ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of an export's head, without one that is None."""
        return {name: value for name, value in zip(_HEAD, self, strict=False) if value is not None}

    @property
    def version(self) -> int:
        """The version of the export's format: the oldest that can hold it."""
        return VERSION if self.releases else 1 if self.keyed_by_id is None else 2


_HEAD = ("participant", "store_id", "unchained", "keyed_by_id")


def records_of(origin: Origin, log: SagaLog, saga_ids: Iterable[str]) -> Iterator[Record]:
    """Yield the records of an export; each saga is read when its turn comes."""
    sagas, rows, digest = 0, 0, _digest_from(origin)
    yield "head", {"format": "choreo-saga-log", "version": origin.version, **origin.fields}
    for release in origin.releases:
        yield "release", {"text": json.dumps(release_data(release), sort_keys=True)}
    for saga_id in saga_ids:
        sagas += 1
        for row in log.rows(saga_id):
            rows += 1
            digest.update(_digested(row))
            yield "row", _fields_of(row)
    yield "end", {"sagas": sagas, "rows": rows, "digest": digest.digest()}


def rows_in(records: Iterator[Record]) -> tuple[Origin, Iterator[Row]]:
    """Return the origin of an export, and its rows.

    Raises `ArchiveError` if it isn't an export, and after the last row if it is incomplete.
    """
    kind, head = next(records, ("", {}))
    if kind != "head" or head.get("format") != "choreo-saga-log":
        raise ArchiveError("this is no export of a saga log", hint="`choreo log export` writes one")
    if head.get("version") not in (1, 2, VERSION):
        raise ArchiveError(f"the export is of version {head.get('version')!r}", hint="upgrade choreo here")
    values: list[Any] = [head.get(name) for name in _HEAD]
    keyed = {1: (type(None),), 2: (int,)}.get(head["version"], (int, type(None)))
    if [type(each) for each in values[:3]] != [str, str, int] or type(values[3]) not in keyed:
        raise ArchiveError("its head can't be read", hint=HINT)
    releases, rest = _releases(records) if head["version"] == VERSION else ((), records)
    origin = Origin(*values)._replace(releases=releases)
    return origin, _rows(rest, _digest_from(origin))


def _releases(records: Iterator[Record]) -> tuple[tuple[Release, ...], Iterator[Record]]:
    """Return the releases that come after the head, and the records after them."""
    releases: list[Release] = []
    for kind, fields in records:
        if kind != "release":
            return tuple(releases), chain(((kind, fields),), records)
        try:
            releases.append(release_from(json.loads(fields["text"]), "the export"))
        except (ManifestError, ValueError, KeyError, TypeError, RecursionError):
            raise ArchiveError(f"release {len(releases) + 1} can't be read", hint=HINT) from None
    return tuple(releases), iter(())


def _rows(records: Iterator[Record], digest: Any) -> Iterator[Row]:
    count, sagas, last = 0, 0, None
    for kind, fields in records:
        if kind == "end":
            if fields != {"sagas": sagas, "rows": count, "digest": digest.digest()}:
                raise ArchiveError("its rows are not those that it says it has", hint=HINT)
            if next(records, None) is not None:
                raise ArchiveError("more comes after its end", hint=HINT)
            return
        count += 1
        row = _row_of(kind, fields, count)
        sagas += row.entry.saga_id != last
        last = row.entry.saga_id
        digest.update(_digested(row))
        yield row
    raise ArchiveError(f"it ends after {count} rows, half-written", hint=HINT)


def _digest_from(origin: Origin) -> Any:
    texts = map(str, origin.fields.values())
    releases = (json.dumps(release_data(each), sort_keys=True) for each in origin.releases)
    return sha256("\x1f".join((*texts, *releases)).encode())


def _digested(row: Row) -> bytes:
    """Return the bytes that a row adds to the export's digest: all of its fields."""
    try:
        return b"%d %b %b" % (row.id, expected_link(ZEROS, row), row.link or b"")
    except UnicodeError:
        raise ArchiveError(
            f"saga {row.entry.saga_id}, row {row.id} holds what is no text", hint="see `choreo log verify`"
        ) from None


def _fields_of(row: Row) -> dict[str, Any]:
    return {"id": row.id, **row.entry._asdict(), "salt": row.salt, "digest": row.digest, "link": row.link}


def _row_of(kind: str, fields: Mapping[str, Any], number: int) -> Row:
    is_row = kind == "row" and fields.keys() == COLUMNS.keys()
    if not is_row or not all(_fits(fields[name], wanted) for name, wanted in COLUMNS.items()):
        raise ArchiveError(f"row {number} can't be read", hint=HINT)
    entry = Entry(**{name: fields[name] for name in Entry._fields})
    return Row(fields["id"], entry, fields["salt"], fields["digest"], fields["link"])


def _fits(value: object, wanted: type) -> bool:
    if wanted is int:
        return type(value) is int and -(2**63) <= value < 2**63
    return type(value) is wanted or (wanted is bytes and value is None)
