"""The releases of a store as rows: the declarations that its workers ran with."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from choreo.errors import StoreError
from choreo.records import Partition, Release
from choreo.store.sqlite.rows import columns

_FIELDS = columns(Release._fields)

ALL = f"SELECT {_FIELDS} FROM releases ORDER BY id"
NEWEST = f"SELECT {_FIELDS} FROM releases ORDER BY id DESC LIMIT 1"
ADD = """
INSERT INTO releases (digest, manifest, since, positions, after, retired)
VALUES (?, ?, ?, ?, (SELECT ifnull(max(id), 0) FROM saga_log), ?)
"""

_COPY = """
INSERT INTO releases (digest, manifest, since, positions, retired, after) VALUES (?, ?, ?, ?, ?, ?)
"""


def copy_releases(connection: sqlite3.Connection, releases: Iterable[Release]) -> None:
    """Write the releases of another store, with the rows of its saga log after which they began."""
    for release in releases:
        connection.execute(_COPY, (*values_of(release), release.after))


def values_of(release: Release) -> tuple[object, ...]:
    """Return the values that `ADD` takes."""
    positions = [[*partition, offset] for partition, offset in sorted(release.positions.items())]
    texts = json.dumps(positions), json.dumps(release.retired)
    return release.digest, release.manifest, release.since, *texts


def release_of(row: Sequence[Any], path: str) -> Release:
    """Return the release of a row. Raises `StoreError` where it was changed by hand."""
    digest, manifest, since, positions, after, retired, identity = row
    try:
        offsets = {Partition(str(topic), int(number)): int(at) for topic, number, at in json.loads(positions)}
        steps = tuple(map(str, json.loads(retired)))
    except (ValueError, TypeError, RecursionError):
        raise StoreError(
            f"release {identity} in the database {path} can't be read", hint="restore it from a backup"
        ) from None
    return Release(digest, manifest, since, offsets, after, steps, identity)
