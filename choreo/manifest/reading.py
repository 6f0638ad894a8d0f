"""Reading of manifests, which are not trusted: every value is checked."""

from __future__ import annotations

from choreo.errors import ManifestError
from choreo.manifest.fields import Fields
from choreo.manifest.manifest import (
    ROLES,
    Emission,
    ExternalEntry,
    HandlerEntry,
    Link,
    Manifest,
    ModuleEntry,
    ParameterEntry,
    Remark,
    RetryEntry,
    SagaEntry,
    SchemaEntry,
    Suppression,
)
from choreo.manifest.writing import DOCUMENT
from choreo.saga import Versions

_TASKS = ("action", "compensation", "observer", "deadline")
_KINDS = ("", "compensatable", "pivot", "retriable")
_RUNS = ("inside", "coroutine", "thread")


def read_manifest(content: bytes | str, where: str) -> Manifest:
    """Return the manifest in a text; ``where`` is its place, for error messages.

    Raises `ManifestError` when it is too large, not JSON, of a newer format, was changed by hand, is no
    manifest of choreo, or declares a handler of another participant.
    """
    fields = DOCUMENT.read(content, where)
    former = fields.count("format") < DOCUMENT.least
    manifest = Manifest(
        fields.text("participant"),
        tuple(saga_from(each) for each in fields.each("sagas")),
        tuple(_handler(each, former) for each in fields.each("handlers")),
        tuple(_external(each) for each in fields.each("external")),
        {name: _schema(each) for name, each in fields.named("schemas").items()},
        tuple(_suppression(each) for each in fields.each("suppressions")),
        fields.text("choreo"),
        fields.text("code"),
        where,
        tuple(_remark(each) for each in fields.each("remarks")),
        modules=tuple(_module(each) for each in fields.each("modules")) if fields.has("modules") else (),
        origins=fields.texts_by_name("origins") if fields.has("origins") else {},
        project=fields.text("project") if fields.has("project") else "",
        heads=fields.texts_by_name("heads") if fields.has("heads") else {},
    )
    _refuse_foreign(manifest)
    return manifest


def saga_from(given: Fields) -> SagaEntry:
    """Return the contract of a saga."""
    return SagaEntry(
        given.text("name"),
        given.text("topic"),
        given.count("version"),
        given.text("starts"),
        given.text("completes"),
        given.text("fails"),
        given.text("aborts"),
    )


def _handler(given: Fields, former: bool) -> HandlerEntry:
    emits = given.within("emits")
    return HandlerEntry(
        name=given.text("name"),
        task=given.text("task", _TASKS),
        step=given.text("step"),
        saga=given.text("saga"),
        place=given.text("place"),
        trigger=given.alternatives("trigger") if former else given.trigger("trigger"),
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
        parameters=tuple(_parameter(each) for each in given.each("parameters")),
        versions=versions_from(given),
        formerly=given.identifiers("formerly") if given.has("formerly") else (),
        of=given.text("of") if given.has("of") else "",
    )


def versions_from(given: Fields) -> Versions:
    """Return the versions of a saga that an entry is of; all, where it has no bounds."""
    since = given.count("since") if given.has("since") else 1
    return Versions(max(since, 1), given.count_or_none("until"))


def _parameter(given: Fields) -> ParameterEntry:
    return ParameterEntry(
        given.text("name"), given.text("role", ROLES), given.texts("types"), given.flag("optional")
    )


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


def _remark(given: Fields) -> Remark:
    return Remark(
        given.text("rule"),
        given.text("handler"),
        _link(given.within("where")),
        given.text("about"),
        given.text("what"),
        tuple(_link(each) for each in given.each("chain")),
    )


def _module(given: Fields) -> ModuleEntry:
    return ModuleEntry(given.text("file"), given.text("name"), given.texts_by_name("names"))


def _link(given: Fields) -> Link:
    return Link(given.text("place"), given.text("text"))


def _refuse_foreign(manifest: Manifest) -> None:
    """Refuse a handler or a step of another participant, except a compensation, which CHO210 reports."""
    names = [handler.name for handler in manifest.handlers]
    names += [handler.step for handler in manifest.handlers if handler.task == "action"]
    for name in names:
        if not name.startswith(f"{manifest.participant}."):
            raise ManifestError(
                f"{manifest.origin}: {manifest.participant} claims {name}, which is another participant's",
                hint=DOCUMENT.hint,
            )
