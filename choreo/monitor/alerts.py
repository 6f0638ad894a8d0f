"""``alerts``: rules for Prometheus about a choreography, with thresholds from its own timeouts and deadlines.

Those are the declared ones. A deadline that was extended by hand is known to the store of its participant
alone, and another one's store tells of the saga; so it is stuck all the same, as in every other view.

The expressions take ``max by (participant)``, since replicas of one participant tell the same of their store,
and ``sum by (participant)`` of what each tells of itself, such as its calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from choreo.graph import Choreography
from choreo.timeline.transitions import WRONG_MS

MARGIN_SECONDS: Final = 600
"""The time for which nothing may happen in a saga beyond its longest timeout or deadline."""

LEAST_SHARE: Final = 0.95
"""The share of sagas that must complete, of those that end."""


class Alert(NamedTuple):
    """One rule: ``lasts`` is how long the expression must hold, as Prometheus writes times.

    ``summary`` may name labels as Prometheus' templates do; ``runbook`` says what to do, in one line. By its
    ``labels`` a rule differs from others of its name, as ``promtool check rules`` wants.
    """

    name: str
    expression: str
    lasts: str
    severity: str
    summary: str
    runbook: str
    labels: Mapping[str, str] = MappingProxyType({})


def alerts(choreography: Choreography) -> list[Alert]:
    """Return the rules about a choreography, those of each saga first, then those of each participant."""
    return [*_of_sagas(choreography), *_of_participants(choreography)]


def _of_sagas(choreography: Choreography) -> Iterator[Alert]:
    for saga in choreography.sagas:
        quiet = quiet_seconds(choreography, saga.name)
        of_it = f'saga_type="{saga.name}"'
        about = {"saga_type": saga.name}
        yield Alert(
            "SagaStuckCompensating",
            _still(f'{of_it},state="compensating"', "saga_type", quiet),
            "1m",
            "critical",
            f"A rollback of {saga.name} stands still: money or stock is left in between.",
            f"choreo sagas --state compensating --type {saga.name}; then choreo trace SAGA_ID",
            about,
        )
        yield Alert(
            "SagaStuck",
            _still(f'{of_it},state!="compensating"', "saga_type, state", quiet),
            "1m",
            "warning",
            f"Nothing has happened in a saga of {saga.name} for longer than it may wait.",
            f"choreo sagas --stuck --threshold {quiet}s --type {saga.name}; then choreo trace SAGA_ID: "
            "has somebody extended a deadline by hand, until when, and why?",
            about,
        )
        completed, failed = _rate("saga_completed_total", of_it), _rate("saga_failed_total", of_it)
        yield Alert(
            "SagasFail",
            f"{completed} / ({completed} + {failed}) < {LEAST_SHARE}",
            "5m",
            "warning",
            f"Of the sagas of {saga.name} that end, fewer than {LEAST_SHARE:.0%} complete.",
            f"choreo sagas --state failed --type {saga.name}; then choreo trace SAGA_ID for the first cause",
            about,
        )


def _still(of_it: str, by: str, quiet: int) -> str:
    """Return when a saga stands still: for long, or nobody knows for how long, as a wrong clock dated it."""
    age = f"saga_oldest_age_seconds{{{of_it}}}"
    return f"max by ({by}) ({age}) > {quiet} or min by ({by}) ({age}) < -{WRONG_MS // 1000}"


def _rate(counter: str, of_it: str) -> str:
    return f"sum by (saga_type) (max by (participant, saga_type) (rate({counter}{{{of_it}}}[5m])))"


def quiet_seconds(choreography: Choreography, saga: str) -> int:
    """Return for how long nothing may happen in a saga: its longest timeout or deadline, and a margin."""
    handlers = (each for manifest in choreography.manifests for each in manifest.handlers)
    waits = (max(each.timeout_ms or 0, each.within_ms or 0) for each in handlers if each.saga == saga)
    return MARGIN_SECONDS + max(waits, default=0) // 1000


def _of_participants(choreography: Choreography) -> Iterator[Alert]:
    for manifest in choreography.manifests:
        name = manifest.participant
        yield Alert(
            "ParticipantSilent",
            f'absent(choreo_store_up{{participant="{name}"}})',
            "1m",
            "critical",
            f"No worker of {name} tells anything: what the others ask of it waits.",
            f"does `choreo run` of {name} run, with --admin, and does Prometheus reach it?",
            {"participant": name},
        )
    yield from _ANY_PARTICIPANT


_ANY_PARTICIPANT: Final = (
    Alert(
        "DeadLettersWait",
        "max by (participant, reason) (choreo_dead_letters) > 0",
        "0s",
        "warning",
        "{{ $value }} dead letters of {{ $labels.participant }} wait for a person: {{ $labels.reason }}.",
        "choreo dlq list; choreo dlq show ID; then requeue, resolve or discard it",
    ),
    Alert(
        "StoreAway",
        "max by (participant) (choreo_store_up) == 0"
        " or max by (participant) (rate(choreo_store_wait_seconds_total[5m])) > 0.9",
        "1m",
        "critical",
        "The store of {{ $labels.participant }} can't be read, or written.",
        "is the database there, the disk full, or is it locked? The worker's log tells; nothing is lost",
    ),
    Alert(
        "OutboxWaits",
        "max by (participant) (choreo_outbox_age_seconds) > 60",
        "1m",
        "critical",
        "Events of {{ $labels.participant }} are not published: the oldest waits for {{ $value }} s.",
        "does the cluster answer, and may the participant write? See its log; nothing is lost meanwhile",
    ),
    Alert(
        "PartitionWithoutLeader",
        "max by (participant) (choreo_partitions_without_leader) > 0",
        "1m",
        "critical",
        "No broker leads {{ $value }} partitions of {{ $labels.participant }}: their sagas stand still.",
        "which broker is away? kafka-topics.sh --describe --unavailable-partitions; other sagas go on",
    ),
    Alert(
        "WorkIsLate",
        "max by (participant, lane) (choreo_schedule_lateness_seconds) > 60",
        "1m",
        "warning",
        "Retries, deadlines or calls of {{ $labels.participant }} are {{ $value }} s late.",
        "is there room for calls (choreo_calls_waiting)? Can all its topics be read?",
    ),
    Alert(
        "CallsWaitForRoom",
        "sum by (participant) (choreo_calls_waiting) > 0",
        "5m",
        "warning",
        "{{ $value }} calls of {{ $labels.participant }} wait for room.",
        "why do calls take long? Give their clients a timeout, or choreo run --calls N",
    ),
    Alert(
        "CallsHang",
        "sum by (participant) (choreo_calls_hanging) > 0",
        "5m",
        "warning",
        "{{ $value }} calls of {{ $labels.participant }} go on after their timeout.",
        "give their clients a timeout; the log names the first of them",
    ),
    Alert(
        "ParticipantBehind",
        "sum by (participant) (choreo_partitions_catching_up) > 0",
        "10m",
        "warning",
        "{{ $labels.participant }} has not read what its topics held when it started.",
        "choreo_consumer_lag: does it fall? Are all partitions led by a broker that answers?",
    ),
)


def rules_file(given: Sequence[Alert]) -> str:
    """Return a file of rules as Prometheus reads it (YAML).

    >>> print(rules_file([Alert("A", "up == 0", "1m", "critical", "It is down.", "start it")]).strip())
    groups:
      - name: choreo
        rules:
          - alert: A
            expr: "up == 0"
            for: 1m
            labels: {severity: critical}
            annotations:
              summary: "It is down."
              runbook: "start it"
    """
    return "\n".join(["groups:", "  - name: choreo", "    rules:", *_lines(given), ""])


def _lines(given: Iterable[Alert]) -> Iterator[str]:
    for each in given:
        yield f"      - alert: {each.name}"
        yield f"        expr: {_quoted(each.expression)}"
        yield f"        for: {each.lasts}"
        labels = [f"severity: {each.severity}", *(f"{k}: {_quoted(v)}" for k, v in each.labels.items())]
        yield f"        labels: {{{', '.join(labels)}}}"
        yield "        annotations:"
        yield f"          summary: {_quoted(each.summary)}"
        yield f"          runbook: {_quoted(each.runbook)}"


def _quoted(text: str) -> str:
    """Return a text as YAML takes it: a text of JSON is one of YAML."""
    return json.dumps(text, ensure_ascii=False)
