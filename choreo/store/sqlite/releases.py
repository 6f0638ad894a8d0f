"""The releases of a store as rows: the declarations that its workers ran with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from choreo.records import Release
from choreo.store.releases import values_of

_COPY = """
INSERT INTO releases (digest, manifest, since, positions, retired, after) VALUES (?, ?, ?, ?, ?, ?)
"""


def copy_releases(connection: sqlite3.Connection, releases: Iterable[Release]) -> None:
    """Write the releases of another store, with the rows of its saga log after which they began."""
    for release in releases:
        connection.execute(_COPY, (*values_of(release), release.after))
