"""The releases of a lost store, from the files that ``--releases`` names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from choreo.audit.formats import read_export
from choreo.errors import ArchiveError, ConfigurationError
from choreo.manifest import Manifest, read_manifest
from choreo.project.documents import read_document
from choreo.records import Release
from choreo.release import release_from, release_of

_TIMES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


def releases_in(participant: str, given: Iterable[str]) -> list[Release]:
    """Return a participant's releases in the files that are given, oldest first.

    Raises `ConfigurationError` for a file that holds none, or where it is not known when a release began.
    """
    found: list[Release] = []
    for value in given:
        path, since = _file_and_time(value)
        some = _listed(path, participant)
        if some is None:
            if found and since is None:
                hint = f"{path}@2026-01-31T10:00, the time of its deploy"
                raise ConfigurationError(f"since when was {path} in force?", hint=hint)
            some = [_of_manifest(path, participant, since)]
        found += some
    return found


def _file_and_time(value: str) -> tuple[Path, datetime | None]:
    path, mark, text = value.rpartition("@")
    if not mark or Path(value).exists():
        return Path(value), None
    for form in _TIMES:
        try:
            return Path(path), datetime.strptime(text, form)
        except ValueError:
            continue
    raise ConfigurationError(f"{text!r} is no time", hint="FILE@2026-01-31T10:00, in local time")


def _listed(path: Path, participant: str) -> list[Release] | None:
    """Return the releases in an export, or in the JSON of `choreo releases list`; None for another file."""
    try:
        with path.open("rb") as file:
            return list(read_export(file)[0].releases)
    except OSError as error:
        hint = "see `choreo releases list --format json`"
        raise ConfigurationError(f"{path} can't be read: {error.strerror}", hint=hint) from None
    except ArchiveError:
        pass
    try:
        listed = json.loads(read_document(path))
    except ValueError:
        raise ConfigurationError(
            f"{path} is neither an export, nor JSON", hint="see `choreo releases list --format json`"
        ) from None
    if not isinstance(listed, list):
        return None
    own = [each for each in listed if isinstance(each, dict) and each.get("participant") == participant]
    if not own:
        raise ConfigurationError(f"{path} has no release of {participant}", hint="name its own list")
    return [release_from(each, str(path)) for each in own]


def _of_manifest(path: Path, participant: str, since: datetime | None) -> Release:
    manifest = read_manifest(read_document(path), str(path))
    if manifest.participant != participant:
        raise ConfigurationError(f"{path} is the manifest of {manifest.participant}", hint="name its own")
    _refuse_derived(path, manifest)
    if since is None:
        return release_of(manifest, 0, {})
    return release_of(manifest, round(since.timestamp() * 1000), {})._replace(after=-1)


def _refuse_derived(path: Path, manifest: Manifest) -> None:
    """Refuse a manifest that does not say by itself what calls a compensation."""
    unknown = next((each.name for each in manifest.handlers if each.derived and not each.trigger), "")
    if unknown:
        raise ConfigurationError(
            f"{path} does not say what calls {unknown}: that followed from the choreography of that day",
            hint="give the list of the store's releases, or an export of its log",
        )
