"""Manifests read without trust: they are data from outside."""

from __future__ import annotations

import json
from typing import Any

from choreo.errors import ManifestError
from choreo.manifest.fields import ANEW, Fields
from choreo.manifest.manifest import (
    Alternatives,
    Emission,
    ExternalEntry,
    HandlerEntry,
    Manifest,
    RetryEntry,
    SagaEntry,
    SchemaEntry,
    Suppression,
)
from choreo.manifest.writing import FORMAT, hash_of

MAX_BYTES = 8 * 1024 * 1024
"""The size beyond which a manifest is refused."""

_TASKS = ("action", "compensation", "observer", "deadline")
_KINDS = ("", "compensatable", "pivot", "retriable")
_RUNS = ("inside", "coroutine", "thread")


def read_manifest(content: bytes | str, where: str) -> Manifest:
    """Read a manifest's text; ``where`` it was found stands in every message.

    Raises `ManifestError` when it is too large, not JSON, of a newer format, was changed by hand, is no
    manifest of this choreo's, or speaks for another participant.
    """
    given = _opened(content, where)
    fields = Fields(given, where)
    manifest = Manifest(
        fields.text("participant"),
        tuple(_saga(each) for each in fields.each("sagas")),
        tuple(_handler(each) for each in fields.each("handlers")),
        tuple(_external(each) for each in fields.each("external")),
        {name: _schema(each) for name, each in fields.named("schemas").items()},
        tuple(_suppression(each) for each in fields.each("suppressions")),
        fields.text("choreo"),
        fields.text("code"),
        where,
    )
    _refuse_foreign(manifest)
    return manifest


def _opened(content: bytes | str, where: str) -> dict[str, Any]:
    if len(content) > MAX_BYTES:
        raise ManifestError(f"{where}: larger than {MAX_BYTES} bytes", hint="is it a manifest?")
    try:
        given = json.loads(content)
    except (ValueError, RecursionError):
        raise ManifestError(f"{where}: not JSON, or cut off", hint=ANEW) from None
    if not isinstance(given, dict) or type(given.get("format")) is not int:
        raise ManifestError(f"{where}: not a manifest of choreo's", hint=ANEW)
    if given["format"] > FORMAT:
        raise ManifestError(
            f"{where}: of format {given['format']}; this choreo reads up to {FORMAT}",
            hint="upgrade choreo here",
        )
    claimed = given.pop("hash", None)
    if claimed != _hash(given, where):
        raise ManifestError(f"{where}: the hash doesn't fit: it was changed by hand, or merged", hint=ANEW)
    return given


def _hash(given: dict[str, Any], where: str) -> str:
    try:
        return hash_of(given)
    except RecursionError:
        raise ManifestError(f"{where}: nested too deeply", hint=ANEW) from None


def _saga(given: Fields) -> SagaEntry:
    return SagaEntry(
        given.text("name"),
        given.text("topic"),
        given.count("version"),
        given.text("starts"),
        given.text("completes"),
        given.text("fails"),
        given.text("aborts"),
    )


def _handler(given: Fields) -> HandlerEntry:
    emits = given.within("emits")
    return HandlerEntry(
        name=given.text("name"),
        task=given.text("task", _TASKS),
        step=given.text("step"),
        saga=given.text("saga"),
        place=given.text("place"),
        trigger=_trigger(given),
        emits=Emission(emits.texts("successes"), emits.texts("failures")),
        kind=given.text("kind", _KINDS),
        timeout_ms=given.count_or_none("timeout_ms"),
        within_ms=given.count_or_none("within_ms"),
        retry=_retry(given.within("retry")) if given.has("retry") else None,
        results=frozenset(given.texts("results")),
        aborted=given.flag("aborted"),
        optional_result=given.flag("optional_result"),
        earlier=frozenset(given.texts("earlier")),
        runs=given.text("runs", _RUNS),
        partial=given.flag("partial"),
        derived=given.flag("derived"),
    )


def _trigger(given: Fields) -> Alternatives:
    options = given.items("trigger")
    return tuple(frozenset(Fields({"trigger": each}, "trigger").texts("trigger")) for each in options)


def _retry(given: Fields) -> RetryEntry:
    return RetryEntry(
        given.count("attempts"), given.count("delay_ms"), given.number("factor"), given.count("longest_ms")
    )


def _external(given: Fields) -> ExternalEntry:
    return ExternalEntry(
        given.text("event"),
        given.text("saga"),
        given.text("topic"),
        given.text("direction", ("import", "export")),
    )


def _schema(given: Fields) -> SchemaEntry:
    return SchemaEntry(given.anything("schema"), given.text("fingerprint"), tuple(given.items("earlier")))


def _suppression(given: Fields) -> Suppression:
    return Suppression(given.text("rule"), given.text("place"), given.text("reason"))


def _refuse_foreign(manifest: Manifest) -> None:
    """Refuse what claims another participant's handler or step."""
    names = [handler.name for handler in manifest.handlers]
    names += [h.step for h in manifest.handlers if h.task in ("action", "compensation") and h.step != "start"]
    for name in names:
        if not name.startswith(f"{manifest.participant}."):
            raise ManifestError(
                f"{manifest.origin}: {manifest.participant} claims {name}, which is another participant's",
                hint=ANEW,
            )
