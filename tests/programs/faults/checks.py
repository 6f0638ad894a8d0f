"""What must be true of a site at the end, whatever struck: each sentence that isn't, is a violation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from choreo.avro import AvroCodec
from choreo.cloudevents import read
from choreo.envelope import Envelope
from choreo.errors import BodyError
from choreo.records import Record
from tests.broker.topic_records import ends_of, records_of
from tests.programs.faults.contract import JobAsked
from tests.programs.faults.participants import NAMES, participant, row
from tests.programs.faults.site import Site, calls
from tests.scenarios.shop import transitions

_WAITING = "select (select count(*) from outbox) + (select count(*) from schedule)"

EFFECTS = {
    "passes": {"doer": ("worked",), "checker": ("checked",), "asker": ("finished",)},
    "fails": {"doer": ("worked", "unworked"), "checker": (), "asker": ("given up",)},
    "never ends": {"doer": ("worked", "late", "unworked"), "checker": (), "asker": ("given up",)},
}
"""What each participant has done in the end, once: by how the check goes."""

_BACKWARDS = ("faults.WorkUndone", "faults.JobFailed")
"""A rollback's last events, in their order: what was done later is undone first."""


def is_quiet(site: Site, jobs: Sequence[JobAsked]) -> bool:
    """Whether all sagas have ended for all, nothing waits, and all that the log holds was folded."""
    for store in site.stores.values():
        if store.db.execute(_WAITING).fetchone()[0]:
            return False
        for job in jobs:
            history = store.history(job.name)
            if not history or history[-1].saga_state not in ("completed", "failed"):
                return False
    ends = ends_of(site.bootstrap, site.plan.topic)
    return all(
        {partition.number: at for partition, at in store.positions().items()} == ends
        for store in site.stores.values()
    )


def violations(site: Site, jobs: Sequence[JobAsked]) -> list[str]:
    """Compare the books with what must be true."""
    records = records_of(site.bootstrap, site.plan.topic)
    return [
        *(said for job in jobs for said in _of_saga(site, job)),
        *_of_topic(site, records),
        *_of_letters(site),
        *_of_sagas_in_flight(site),
    ]


def repeated(site: Site) -> int:
    """Count the records of the topic that came more than once: allowed, and of no effect."""
    ids = [read(record).id for record in records_of(site.bootstrap, site.plan.topic)]
    return len(ids) - len(set(ids))


def _of_saga(site: Site, job: JobAsked) -> Iterator[str]:
    end = "completed" if job.check == "passes" else "failed"
    for name, store in site.stores.items():
        history = store.history(job.name)
        if history[-1].saga_state != end:
            yield f"{job.name}: {name} says {history[-1].saga_state}, not {end}"
        for step in sorted({entry.step for entry in history}):
            moves = Counter(transitions(history, step))
            if moves and max(moves.values()) > 1:
                yield f"{job.name}: {name} moved {step} twice: {dict(moves)}"
        expected = Counter(_expected(site, name, job))
        found = Counter(_found(site, name, job))
        if found != expected:
            yield f"{job.name}: {name} did {dict(found)}, not {dict(expected)}"


def _expected(site: Site, name: str, job: JobAsked) -> Iterator[str]:
    """Return the effects of a saga; what the doer does in the turn comes in two halves."""
    for what in EFFECTS[job.check][name]:
        yield what
        if name == "doer" and (site.plan.runs == "turn" or what == "late"):
            yield f"{what}, all of it"


def _found(site: Site, name: str, job: JobAsked) -> Iterator[str]:
    rows = site.stores[name].db.execute("select what from effects where saga_id = ?", [job.name])
    yield from (what for (what,) in rows)
    if name == "doer":
        yield from (what for saga_id, what in calls(site.aim.world) if saga_id == job.name)


def _of_topic(site: Site, records: Sequence[Record]) -> Iterator[str]:
    """Every event can be read, ends once, comes in order, and was folded by all where it first came."""
    everything = {cls for name in NAMES for cls in participant(name, site.plan, row).events}
    codec = AvroCodec(everything)
    firsts: dict[str, tuple[Envelope, Record]] = {}
    for record in records:
        envelope = read(record)
        firsts.setdefault(envelope.id, (envelope, record))
        try:
            codec.decode(envelope.type, record.value)
        except BodyError as error:
            if record.value != b"spoilt":
                yield f"{envelope.saga_id}: {error}"
    yield from _of_order([envelope for envelope, _ in firsts.values()])
    for name, store in site.stores.items():
        for envelope, record in firsts.values():
            entries = store.history(envelope.saga_id)
            if not any(e.event_id == envelope.id and e.offset == record.offset for e in entries):
                yield f"{envelope.saga_id}: {name} lost {envelope.type} at {record.partition}@{record.offset}"


def _of_order(envelopes: Sequence[Envelope]) -> Iterator[str]:
    events: dict[str, list[str]] = {}
    for envelope in envelopes:
        events.setdefault(envelope.saga_id, []).append(envelope.type)
    for saga_id, types in events.items():
        if sum(types.count(end) for end in ("faults.JobDone", "faults.JobFailed")) != 1:
            yield f"{saga_id}: not one end: {types}"
        if "faults.JobFailed" in types and tuple(types[-2:]) != _BACKWARDS:
            yield f"{saga_id}: not undone in order: {types}"


def _of_letters(site: Site) -> Iterator[str]:
    for name, store in site.stores.items():
        for letter in store.dead_letters():
            if letter.state == "open":
                yield f"{letter.saga_id}: {name} has a dead letter: {letter.reason} {letter.detail}"


def _of_sagas_in_flight(site: Site) -> Iterator[str]:
    """There are none, as all have ended."""
    for name, store in site.stores.items():
        for (saga_id,) in store.db.execute("select saga_id from sagas_in_flight"):
            yield f"{saga_id}: {name} says that it goes on"
