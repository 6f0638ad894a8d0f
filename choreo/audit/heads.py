"""``Head``: the last link of each saga, to be kept where those who can write the store can't write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

from choreo.chain import head_of
from choreo.errors import ArchiveError
from choreo.limits import HEADS_LINE
from choreo.ports import SagaLog
from choreo.records import SagaKey

_KIND = "choreo-heads"
_VERSION = 1
_HINT = "take another copy"
"""The most characters of a line."""


class Head(NamedTuple):
    """The link of a saga's last row in one store, at the time when the head was written.

    ``saga_type`` is empty for a chain that began when the store told sagas apart by their ids alone.
    """

    store_id: str
    saga_id: str
    link: bytes
    saga_type: str = ""


def heads_of(log: SagaLog, store_id: str, sagas: Iterable[SagaKey]) -> Iterator[Head]:
    """Yield the heads of sagas; each is read when its turn comes."""
    keyed_by_id = log.keyed_by_id
    for saga in sagas:
        if rows := log.chain(*saga):
            saga_type = "" if rows[0].id <= keyed_by_id else saga.saga_type
            yield Head(store_id, saga.saga_id, head_of(rows), saga_type)


def write_heads(heads: Iterable[Head], file: IO[str]) -> int:
    """Write heads as JSON lines, the last of which holds their number; return the number."""
    count = 0
    print(json.dumps({"kind": _KIND, "version": _VERSION}), file=file)
    for head in heads:
        count += 1
        values = [head.store_id, head.saga_id, head.link.hex(), head.saga_type]
        print(json.dumps(values if head.saga_type else values[:-1]), file=file)
    print(json.dumps({"end": _KIND, "heads": count}), file=file)
    return count


def read_heads(file: IO[str]) -> Iterator[Head]:
    """Read what `write_heads` wrote. Raises `ArchiveError` for any other file, or an incomplete one."""
    lines = _lines(file)
    if next(lines, (0, None))[1] != {"kind": _KIND, "version": _VERSION}:
        raise ArchiveError("this is no file of heads", hint="`choreo log heads` writes one")
    count = 0
    for number, value in lines:
        if isinstance(value, dict):
            _refuse_other_end(value, count, next(lines, None))
            return
        count += 1
        yield _head(value, number)
    raise ArchiveError(f"it ends after {count} heads, half-written", hint=_HINT)


def _refuse_other_end(value: dict[str, Any], count: int, after: object) -> None:
    if value != {"end": _KIND, "heads": count}:
        raise ArchiveError(f"there must be {value.get('heads')} heads, not {count}", hint=_HINT)
    if after is not None:
        raise ArchiveError("more comes after the end", hint=_HINT)


def _lines(file: IO[str]) -> Iterator[tuple[int, Any]]:
    number = 0
    while True:
        number += 1
        try:
            line = file.readline(HEADS_LINE)
            value = json.loads(line) if line else None
        except (ValueError, RecursionError):  # the former is that of what is no text, too
            raise ArchiveError(f"line {number} is not JSON", hint=_HINT) from None
        if not line:
            return
        yield number, value


def _head(value: Any, number: int) -> Head:
    try:
        store_id, saga_id, link, *rest = value
        (saga_type,) = rest or ("",)
        texts = (store_id, saga_id, saga_type)
        if all(isinstance(each, str) for each in texts) and len(bytes.fromhex(link)) == 32:
            return Head(store_id, saga_id, bytes.fromhex(link), saga_type)
    except (TypeError, ValueError):
        pass
    raise ArchiveError(f"line {number} is no head", hint=_HINT)
