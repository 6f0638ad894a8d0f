"""A choreography in a few lines of text, to be read in a test and to be pasted from a fuzzer's report.

A line is a handler, or an import::

    a.pay            < Started > Paid / NotPaid          an action: success events / failure events
    a.refund  of a.pay  < ShipFailed | Sent & Lost > Refunded
    a.pack           < (Paid | Owed) & Sent > Packed
    b.late  late a.pay  < Started > PayLate              a deadline
    b.look           < Completed | Failed >              an observer: it returns nothing
    b imports Delivered

Between name and ``<`` may stand ``pivot``, ``retriable``, ``async``, ``partial``; of a compensation
``result=Paid,Owed`` (what it undoes), ``derived`` and ``no-aborted``; ``since=2`` and ``until=1``, for the
versions of the saga, and ``formerly=charge,pay``. A line ``version 2`` is the saga's. Events live in
namespace ``g``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from choreo.manifest import (
    Emission,
    ExternalEntry,
    HandlerEntry,
    Manifest,
    SagaEntry,
    SchemaEntry,
)
from choreo.participant.handler import names_of
from choreo.protocol import Trigger
from choreo.saga import Versions

SAGA = "grown"
STARTED, COMPLETED, FAILED, CANCELLED = "g.Started", "g.Completed", "g.Failed", "g.Cancelled"
MINUTE_MS = 60_000


def read_choreography(text: str) -> list[Manifest]:
    """Return the manifests of a text; the saga can be cancelled where a line says ``Cancelled``."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    aborts = CANCELLED if "Cancelled" in lines else ""
    imports = [(line.split()[0], _full(line.split()[2])) for line in lines if " imports " in line]
    handlers = [_handler(number, line) for number, line in enumerate(lines, 1) if "<" in line]
    version = next((int(line.split()[1]) for line in lines if line.startswith("version ")), 1)
    return manifests(handlers, imports, aborts, version)


def write_choreography(manifests: Sequence[Manifest]) -> str:
    """Return a text from which `read_choreography` returns the same manifests."""
    lines = ["Cancelled"] if manifests[0].sagas[0].aborts else []
    lines += [f"version {manifests[0].sagas[0].version}"] if manifests[0].sagas[0].version > 1 else []
    for manifest in manifests:
        lines += [f"{manifest.participant} imports {_short(each.event)}" for each in manifest.external]
        lines += [_line(handler) for handler in manifest.handlers]
    return "\n".join(lines)


def manifests(
    handlers: Iterable[HandlerEntry],
    imports: Sequence[tuple[str, str]] = (),
    aborts: str = "",
    version: int = 1,
) -> list[Manifest]:
    """Return a manifest for each participant, from all their handlers."""
    handlers = list(handlers)
    saga = SagaEntry(SAGA, SAGA, version, STARTED, COMPLETED, FAILED, aborts)
    names = dict.fromkeys([*(handler.participant for handler in handlers), *(owner for owner, _ in imports)])
    return [
        _with_schemas(
            Manifest(
                name,
                (saga,),
                tuple(handler for handler in handlers if handler.participant == name),
                tuple(ExternalEntry(e, SAGA, "outside", "import") for owner, e in imports if owner == name),
                origin=name,
            )
        )
        for name in names
    ]


def _with_schemas(manifest: Manifest) -> Manifest:
    saga = manifest.sagas[0]
    types = {saga.starts, saga.completes, saga.fails, saga.aborts, *(e.event for e in manifest.external)}
    for handler in manifest.handlers:
        types.update(handler.trigger.types, handler.emits.successes, handler.emits.failures)
    return replace(manifest, schemas={name: schema(name) for name in sorted(types - {""})})


def schema(event: str) -> SchemaEntry:
    """Return the same two fields for every event: what answers are built from."""
    fields = [{"name": "key", "type": "string"}, {"name": "reason", "type": "string", "default": ""}]
    namespace, _, name = event.rpartition(".")
    return SchemaEntry({"type": "record", "name": name, "namespace": namespace, "fields": fields}, "")


def _handler(number: int, line: str) -> HandlerEntry:
    head, _, rest = line.partition("<")
    trigger, _, emits = rest.partition(">")
    name, *words = head.split()
    options = dict.fromkeys(words)
    successes, _, failures = emits.partition("/")
    task = "compensation" if "of" in options else "deadline" if "late" in options else "action"
    if task == "action" and not emits.strip():
        task = "observer"
    results = next((word.removeprefix("result=") for word in words if word.startswith("result=")), "")
    since, until = (_number(words, option) for option in ("since", "until"))
    formerly = next((word.removeprefix("formerly=") for word in words if word.startswith("formerly=")), "")
    former = tuple(filter(None, formerly.split(",")))
    kind = next((word for word in words if word in ("pivot", "retriable")), "compensatable")
    return HandlerEntry(
        name=name,
        task=task,
        step=words[1] if task in ("compensation", "deadline") else names_of(name, former)[-1],
        saga=SAGA,
        place=f"grown.py:{number}",
        trigger=_trigger(trigger),
        emits=Emission(_names(successes), _names(failures)),
        kind=kind if task == "action" else "",
        timeout_ms=MINUTE_MS if task == "action" and kind != "retriable" else None,
        within_ms=100 * MINUTE_MS if task == "deadline" else None,
        results=frozenset(map(_full, filter(None, results.split(",")))),
        aborted=task == "compensation" and "no-aborted" not in options,
        optional_result=task == "compensation",
        runs="coroutine" if "async" in options else "inside",
        partial="partial" in options,
        derived="derived" in options,
        versions=Versions(since or 1, until),
        formerly=former,
    )


def _number(words: Iterable[str], option: str) -> int | None:
    found = (word.removeprefix(f"{option}=") for word in words if word.startswith(f"{option}="))
    return next(map(int, found), None)


def _trigger(text: str) -> Trigger:
    """Return the trigger of a text; ``&`` binds closer than ``|``."""
    words = re.findall(r"[()&|]|[^\s()&|]+", text)

    def several(mark: str, part: Callable[[], Trigger]) -> list[Trigger]:
        parts = [part()]
        while words and words[0] == mark:
            words.pop(0)
            parts.append(part())
        return parts

    def union() -> Trigger:
        return Trigger.any_of(*several("|", join))

    def join() -> Trigger:
        return Trigger.all_of(*several("&", one))

    def one() -> Trigger:
        word = words.pop(0)
        if word != "(":
            return Trigger.of(_full(word))
        inner = union()
        words.pop(0)
        return inner

    return union() if words else Trigger()


def _names(text: str) -> tuple[str, ...]:
    return tuple(map(_full, text.split()))


def _full(name: str) -> str:
    return f"g.{name}"


def _short(name: str) -> str:
    return name.removeprefix("g.")


def _line(handler: HandlerEntry) -> str:
    words = [handler.name]
    words += {"compensation": ["of", handler.step], "deadline": ["late", handler.step]}.get(handler.task, [])
    words += [handler.kind] if handler.kind in ("pivot", "retriable") else []
    words += ["async"] if handler.runs != "inside" else []
    words += ["partial"] if handler.partial else []
    words += [f"result={','.join(sorted(map(_short, handler.results)))}"] if handler.results else []
    words += ["derived"] if handler.derived else []
    words += [f"since={handler.versions.since}"] if handler.versions.since > 1 else []
    words += [f"until={handler.versions.until}"] if handler.versions.until is not None else []
    words += [f"formerly={','.join(handler.formerly)}"] if handler.formerly else []
    words += ["no-aborted"] if handler.task == "compensation" and not handler.aborted else []
    trigger = handler.trigger.written(_short)
    emits = [" ".join(map(_short, names)) for names in (handler.emits.successes, handler.emits.failures)]
    return f"{' '.join(words)} < {trigger} > {' / '.join(filter(None, emits))}".rstrip()
