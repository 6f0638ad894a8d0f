"""Releases as data that travels: in the list of a store's releases, and in an export of its saga log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from choreo.errors import ManifestError
from choreo.records import Partition, Release


def release_data(release: Release) -> dict[str, Any]:
    """Return a release as plain data, from which `release_from` makes it."""
    return {
        "digest": release.digest,
        "since_ms": release.since,
        "positions": [[*place, offset] for place, offset in sorted(release.positions.items())],
        "after": release.after,
        "retired": list(release.retired),
        "manifest": json.loads(release.manifest),
    }


def release_from(data: Mapping[str, Any], where: str) -> Release:
    """Return the release in plain data. Raises `ManifestError` where it is none."""
    try:
        positions = {Partition(str(topic), int(number)): int(at) for topic, number, at in data["positions"]}
        manifest = json.dumps(data["manifest"], sort_keys=True, separators=(",", ":"))
        since, after = int(data["since_ms"]), int(data["after"])
        retired = tuple(map(str, data["retired"]))
        return Release(str(data["digest"]), manifest, since, positions, after, retired)
    except (KeyError, TypeError, ValueError):
        raise ManifestError(
            f"{where} has a release that can't be read", hint="see `choreo releases list --format json`"
        ) from None
