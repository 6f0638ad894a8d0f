"""Writing of manifests as text, and the digest of a manifest's part in the event graph."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from choreo.manifest.document import Document, hash_of
from choreo.manifest.manifest import HandlerEntry, Manifest, Remark, SchemaEntry
from choreo.protocol import Trigger
from choreo.saga import ALL_VERSIONS, Versions

DOCUMENT = Document("a manifest of choreo's", 3, "write it anew: choreo manifest MODULE:PARTICIPANT", least=2)
"""Only the newest format has versions of a saga."""

_MOST_ALTERNATIVES = 100_000
"""The former format had at most so many alternatives in a trigger."""

_EDGES = ("name", "task", "step", "saga", "kind", "trigger", "emits", "results", "formerly")
"""What the digest covers of a handler; the former names say whose the rows of a store are."""

_LINE = re.compile(r":\d+$")


def write_manifest(manifest: Manifest, *, compact: bool = False) -> str:
    """Return a manifest as JSON text with a hash; the text is the same for the same manifest."""
    return DOCUMENT.write(
        {
            "choreo": manifest.choreo,
            "code": manifest.code,
            "participant": manifest.participant,
            "sagas": [dict(vars(saga)) for saga in manifest.sagas],
            "handlers": [_handler(handler) for handler in manifest.handlers],
            "external": [dict(vars(each)) for each in manifest.external],
            "schemas": {name: _schema(entry) for name, entry in manifest.schemas.items()},
            "suppressions": [dict(vars(each)) for each in manifest.suppressions],
            "remarks": [_remark(each) for each in manifest.remarks],
            "modules": [{**vars(each), "names": dict(each.names)} for each in manifest.modules],
            "origins": dict(manifest.origins),
            "project": manifest.project,
            "heads": dict(manifest.heads),
        },
        is_newest=any(handler.versions != ALL_VERSIONS for handler in manifest.handlers),
        compact=compact,
    )


def is_current(written: bytes, text: str) -> bool:
    """Whether a written manifest says what another text does, the numbers of lines of code aside."""
    if written == text.encode():
        return True
    try:
        return bool(_without_lines(json.loads(written)) == _without_lines(json.loads(text)))
    except (ValueError, RecursionError):
        return False


def _without_lines(value: Any) -> Any:
    """Return a JSON value without the hash of a document, and with places that are files."""
    if isinstance(value, list):
        return [_without_lines(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _LINE.sub("", each) if name == "place" and isinstance(each, str) else _without_lines(each)
        for name, each in value.items()
        if name != "hash"
    }


def digest_of(manifest: Manifest, *, former: bool = False) -> str:
    """Return the digest of a manifest's event graph: the triggers and the emissions of its handlers.

    It is independent of lines of code, times, schemas and versions. ``former``: as a lock of the former
    format has it.
    """
    trigger = _alternatives if former else _slots
    content = {
        "participant": manifest.participant,
        "sagas": [dict(vars(saga)) for saga in manifest.sagas],
        "handlers": sorted(
            (_edges(handler, trigger) for handler in manifest.handlers), key=lambda each: each["name"]
        ),
        "external": sorted([each.direction, each.event, each.saga] for each in manifest.external),
    }
    return hash_of(content)


def _edges(handler: HandlerEntry, trigger: Callable[[Trigger], Any]) -> dict[str, Any]:
    whole = {**_handler(handler), "trigger": trigger(handler.trigger)}
    return {**{name: whole[name] for name in _EDGES if name in whole}, **bounds_of(handler.versions)}


def bounds_of(versions: Versions) -> dict[str, int]:
    """Return the bounds of versions as fields of an entry: none where it is of all versions."""
    since = {"since": versions.since} if versions.since > 1 else {}
    return since if versions.until is None else {**since, "until": versions.until}


def _schema(entry: SchemaEntry) -> dict[str, Any]:
    return {"schema": entry.schema, "fingerprint": entry.fingerprint, "earlier": list(entry.earlier)}


def _handler(handler: HandlerEntry) -> dict[str, Any]:
    # What was never renamed, and is of all versions, reads as in an earlier choreo's manifest.
    optional = ("versions", "formerly", "of")
    return {
        **{name: value for name, value in vars(handler).items() if name not in optional},
        **bounds_of(handler.versions),
        **({"formerly": list(handler.formerly)} if handler.formerly else {}),
        **({"of": handler.of} if handler.of else {}),
        "trigger": _slots(handler.trigger),
        "emits": {name: list(value) for name, value in vars(handler.emits).items()},
        "retry": dict(vars(handler.retry)) if handler.retry else None,
        "results": sorted(handler.results),
        "earlier": sorted(handler.earlier),
        "parameters": [{**vars(each), "types": list(each.types)} for each in handler.parameters],
    }


def _slots(trigger: Trigger) -> list[list[Any]]:
    return [[*sorted(types), *map(_slots, joins)] for types, joins in trigger.slots]


def _alternatives(trigger: Trigger) -> list[list[str]] | None:
    """Return a trigger multiplied out, None for one that the former format could not hold."""
    options = trigger.alternatives(_MOST_ALTERNATIVES)
    return None if options is None else [sorted(option) for option in options]


def _remark(remark: Remark) -> dict[str, Any]:
    where, chain = remark.where._asdict(), [link._asdict() for link in remark.chain]
    return {**remark._asdict(), "where": where, "chain": chain}
