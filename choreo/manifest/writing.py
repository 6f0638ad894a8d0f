"""Manifests as text: deterministic JSON, with a hash over all that it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from choreo.manifest.manifest import HandlerEntry, Manifest, SchemaEntry

FORMAT = 1
"""The format that this choreo writes, and the newest that it reads."""


def write_manifest(manifest: Manifest) -> str:
    """Give a manifest as JSON text: the same declarations always give the same text."""
    content = plain(manifest)
    signed = {**content, "hash": hash_of(content)}
    return json.dumps(signed, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def hash_of(content: Mapping[str, Any]) -> str:
    """Give the SHA-256 of a JSON object, however it was spaced and ordered."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def plain(manifest: Manifest) -> dict[str, Any]:
    """Give a manifest as JSON's own types."""
    return {
        "format": FORMAT,
        "choreo": manifest.choreo,
        "code": manifest.code,
        "participant": manifest.participant,
        "sagas": [dict(vars(saga)) for saga in manifest.sagas],
        "handlers": [_handler(handler) for handler in manifest.handlers],
        "external": [dict(vars(each)) for each in manifest.external],
        "schemas": {name: _schema(entry) for name, entry in manifest.schemas.items()},
        "suppressions": [dict(vars(each)) for each in manifest.suppressions],
    }


def _schema(entry: SchemaEntry) -> dict[str, Any]:
    return {"schema": entry.schema, "fingerprint": entry.fingerprint, "earlier": list(entry.earlier)}


def _handler(handler: HandlerEntry) -> dict[str, Any]:
    return {
        **vars(handler),
        "trigger": sorted(sorted(each) for each in handler.trigger),
        "emits": {name: list(value) for name, value in vars(handler.emits).items()},
        "retry": dict(vars(handler.retry)) if handler.retry else None,
        "results": sorted(handler.results),
        "earlier": sorted(handler.earlier),
    }
