"""The releases of a store as rows: the declarations that its workers ran with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from choreo.errors import StoreError
from choreo.records import Partition, Release


def values_of(release: Release) -> tuple[object, ...]:
    """Return the values of the columns that a new release has."""
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
