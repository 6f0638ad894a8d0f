"""``examine``: asks a participant's store and cluster, and tells what is wrong with each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from choreo.avro import AvroCodec
from choreo.doctor.cluster import cluster_findings
from choreo.errors import ChoreoError, LogError
from choreo.kafka.facts import cluster_facts
from choreo.operations.stores import open_reader
from choreo.participant import Participant
from choreo.participant.topics import topic_needs
from choreo.ports.findings import Finding
from choreo.records import Recorded
from choreo.release import compare, declared
from choreo.store.opening import condition, is_address, is_store, shown
from choreo.worker.releases import to_retire


class Patient(NamedTuple):
    """One participant of a deployment: its store, its schemas, and its cluster, empty for none."""

    participant: Participant
    store: str
    schemas: Path
    bootstrap: str
    kafka: Mapping[str, Any]


def examine(patient: Patient, seconds: float) -> Iterator[Finding]:
    """Yield what is wrong with a participant's deployment, what is wrong with its cluster last.

    What can't be asked is a finding, too. A store is looked at for about so many ``seconds`` at most, and the
    cluster must answer each question within five.
    """
    now = round(time.time() * 1000)
    found = list(condition(patient.store, seconds))
    yield from found
    recorded: Recorded | None = None
    if not any(each.level == "error" for each in found) and _is_there(patient.store):
        try:
            recorded = _recorded(patient.store)
            if recorded.participant in ("", patient.participant.name):
                yield from _release(patient, now)
            else:
                yield _of_another(patient.participant.name, recorded.participant)
                recorded = None
        except ChoreoError as error:
            yield Finding("error", shown(patient.store), error.message, error.hint)
    if patient.bootstrap:
        yield from _cluster(patient, recorded, now)


def _is_there(store: str) -> bool:
    return is_address(store) or (Path(store).exists() and is_store(store))


def _recorded(store: str) -> Recorded:
    with open_reader(store) as reader:
        return reader.recorded()


def _of_another(name: str, owner: str) -> Finding:
    why = f"it belongs to the participant {owner!r}"
    return Finding("error", f"store of {name}", why, "each participant needs a store of its own")


def _release(patient: Patient, now: int) -> Iterator[Finding]:
    """Yield why a start with the code of today would be refused."""
    participant = patient.participant
    today = declared(participant, AvroCodec(participant.events, [patient.schemas]).schemas())
    with open_reader(patient.store) as reader:
        comparison = compare(reader, reader.newest_release(), today)
        try:
            to_retire(reader, comparison, (), now)
        except ChoreoError as error:
            yield Finding("error", f"release of {participant.name}", error.message, error.hint)


def _cluster(patient: Patient, recorded: Recorded | None, now: int) -> Iterator[Finding]:
    name = patient.participant.name
    needs = topic_needs([patient.participant])
    try:
        topics = [need.topic for need in needs]
        facts = cluster_facts(patient.bootstrap, name, topics, patient.kafka)
    except LogError as error:
        hint = error.hint or "does a broker answer? An embedded one does not tell such things"
        yield Finding("error", "cluster", error.message, hint)
    except ChoreoError as error:
        hint = (
            error.hint or "see --kafka, CHOREO_KAFKA, [tool.choreo.kafka], and librdkafka's CONFIGURATION.md"
        )
        yield Finding("error", "settings", error.message, hint)
    else:
        yield from cluster_findings(name, needs, facts, recorded, now)
