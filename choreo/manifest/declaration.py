"""The manifest of a declared `Participant`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from choreo.events import event_name
from choreo.manifest.manifest import (
    Emission,
    ExternalEntry,
    HandlerEntry,
    Manifest,
    ParameterEntry,
    Remark,
    RetryEntry,
    SagaEntry,
    SchemaEntry,
    Suppression,
)
from choreo.participant import External, Handler, Parameter, Participant
from choreo.saga import Saga
from choreo.version import __version__


def manifest_of(
    participant: Participant,
    schemas: Mapping[str, SchemaEntry],
    *,
    locate: Callable[[str], str] = str,
    suppressions: Iterable[Suppression] = (),
    remarks: Iterable[Remark] = (),
    code: str = "",
) -> Manifest:
    """Return the manifest of a participant.

    ``schemas`` are those of its events, by full name; ``locate`` returns the name of a source file within the
    project; ``code`` is the version of the participant's code; ``suppressions`` and ``remarks`` were found in
    its source.
    """
    actions = [each for each in participant.handlers if each.task == "action" and each.formerly]
    renamed = {each.step: each.name.partition(".")[2] for each in actions}
    return Manifest(
        participant.name,
        tuple(_saga(saga) for saga in participant.sagas),
        tuple(_handler(handler, locate, renamed) for handler in participant.handlers),
        tuple(_external(each) for each in participant.external),
        dict(sorted(schemas.items())),
        tuple(suppressions),
        __version__,
        code,
        _origin(participant, locate),
        tuple(remarks),
    )


def _origin(participant: Participant, locate: Callable[[str], str]) -> str:
    files = (f"{participant.name} of {locate(handler.place.file)}" for handler in participant.handlers)
    return next(files, participant.name)


def _saga(saga: Saga) -> SagaEntry:
    return SagaEntry(
        saga.name,
        saga.topic,
        saga.version,
        event_name(saga.starts),
        event_name(saga.completes),
        event_name(saga.fails),
        event_name(saga.aborts) if saga.aborts else "",
    )


def _external(external: External) -> ExternalEntry:
    saga = external.saga.name if external.saga else ""
    return ExternalEntry(external.name, saga, external.topic, "import" if external.is_import else "export")


def _handler(handler: Handler, locate: Callable[[str], str], renamed: Mapping[str, str]) -> HandlerEntry:
    result = handler.result_parameter
    return HandlerEntry(
        name=handler.name,
        task=handler.task,
        step=handler.step,
        saga=handler.saga.name,
        place=f"{locate(handler.place.file)}:{handler.place.line}",
        trigger=handler.trigger,
        emits=Emission(tuple(handler.successes), tuple(event_name(cls) for cls in handler.fails)),
        kind=handler.kind if handler.task == "action" else "",
        timeout_ms=_ms(handler.timeout),
        within_ms=_ms(handler.within),
        retry=_retry(handler) if handler.is_of_step else None,
        results=handler.results,
        aborted=all(each.admits_aborted or each.optional for each in handler.event_parameters),
        optional_result=result is None or result.optional,
        earlier=handler.earlier,
        runs=handler.runs,
        partial=handler.partial,
        derived=handler.derived,
        formerly=handler.formerly,
        of=renamed.get(handler.step, "") if handler.task == "compensation" else "",
        parameters=tuple(_parameter(each) for each in handler.parameters),
        versions=handler.versions,
    )


def _parameter(parameter: Parameter) -> ParameterEntry:
    if parameter.is_context:
        return ParameterEntry(parameter.name, "context")
    role = "result" if parameter.is_result else "earlier" if parameter.is_earlier else "event"
    return ParameterEntry(parameter.name, role, parameter.types, parameter.optional)


def _retry(handler: Handler) -> RetryEntry:
    retry = handler.retry
    return RetryEntry(retry.most, _ms(retry.delay) or 0, retry.factor, _ms(retry.longest) or 0)


def _ms(time: timedelta | None) -> int | None:
    return None if time is None else round(time.total_seconds() * 1000)
