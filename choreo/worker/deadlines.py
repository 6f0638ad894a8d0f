"""Deadlines of one saga, extended and revoked by hand, from any process with access to the store.

A deadline that runs is a row of the schedule. One transaction moves it, or removes it, and adds a row to the
saga log that says who did so, and why. It excludes the worker meanwhile, so whichever came first counts,
whether a worker runs or not. The protocol is the same: an extension only changes when the deadline passes,
and a revoked one is over as if its dead letter had been discarded.

A worker on SQLite that has the saga in memory may go on to take a revoked deadline for armed. As no row is
left that could be due, nothing follows from that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from choreo.errors import ConfigurationError
from choreo.events import short_name
from choreo.manifest import HandlerEntry, Manifest
from choreo.ports import Store
from choreo.protocol import Instance, Role
from choreo.protocol.recorded_inputs import EXTENDED, REVOKED, rebuild
from choreo.protocol.renaming import name_in, role_for
from choreo.records import LATEST, Entry, SagaKey, Scheduled, moment, version_of
from choreo.release import readable
from choreo.release.in_force import role_in
from choreo.worker.pending import pending_of, unsettled


class Deadline(NamedTuple):
    """One time limit of a saga's step at one participant; times are in milliseconds since the epoch.

    ``step`` is the step that is to have an outcome by ``due``. ``is_own``: it is the timeout of the
    participant's own step, which has no row of its own, and can't be changed by hand.
    """

    name: str
    step: str
    due: int
    is_own: bool = False


class Change(NamedTuple):
    """What is done with a deadline: it is given ``more`` milliseconds, or ``until`` then; else it is revoked.

    ``by`` is who does it, and ``because`` the reason.
    """

    by: str
    because: str
    more: int = 0
    until: int = 0

    @property
    def is_revocation(self) -> bool:
        """Whether the deadline is revoked."""
        return not (self.more or self.until)

    @property
    def done(self) -> str:
        """What was done with the deadline, in a word."""
        return REVOKED if self.is_revocation else EXTENDED


class Changed(NamedTuple):
    """A deadline that was changed: when it was due ``before``, and is ``after``; 0 where it was revoked."""

    name: str
    step: str
    before: int
    after: int


class Unchangeable(ConfigurationError):
    """Raised where a deadline can't be changed, or no more."""


def deadlines_in(rows: Iterable[Scheduled], manifest: Manifest | None) -> Iterator[Deadline]:
    """Yield the deadlines among a saga's rows of the schedule, and the timeouts of its own steps.

    A timeout is known where the step is called outside of a transaction.
    """
    for row in rows:
        if row.task == "deadline":
            entry = declared_in(manifest, row.saga_type, row.name) if manifest else None
            yield Deadline(row.name, entry.step if entry else "", row.due)
        elif row.task == "action" and row.until > 1:
            yield Deadline(row.name, row.name, row.until, is_own=True)


def declared_in(manifest: Manifest, saga_type: str, name: str) -> HandlerEntry | None:
    """Return the deadline of a saga type by one of its names, None where none is declared."""
    return next((each for each in deadlines_of(manifest, saga_type) if name in each.names), None)


def deadlines_of(manifest: Manifest, saga_type: str) -> Iterator[HandlerEntry]:
    """Yield the deadlines that are declared for a saga type."""
    return (each for each in manifest.handlers if (each.saga, each.task) == (saga_type, "deadline"))


def extended_to(entries: Sequence[Entry], names: Collection[str]) -> int | None:
    """Return until when a deadline was extended last, by the rows of its saga; None where it was not."""
    found = (each for each in reversed(entries) if each.input == "deferred" and each.kind == EXTENDED)
    return next((each.event_time for each in found if each.step in names), None)


def change(
    store: Store,
    key: SagaKey,
    name: str,
    wanted: Change,
    now: int,
    *,
    seen: int = 0,
    dry_run: bool = False,
) -> Changed:
    """Change a deadline of one saga, in one transaction.

    ``seen`` is when it was due as far as is known, 0 where that doesn't matter. Raises `Unchangeable` where
    there is no such deadline that still runs, or it can't be changed so.
    """
    with nullcontext() if dry_run else store.turn():
        saga, role, entries = _saga(store, key)
        row, deadline = _running(store, key, name, saga, role, entries)
        if seen and row.due != seen:
            raise Unchangeable(f"{name} was changed meanwhile: it is due {_time(row.due)}", hint="look again")
        after = 0 if wanted.is_revocation else _extended(row, wanted, now)
        if not dry_run:
            if wanted.is_revocation:
                store.unschedule(*key, row.task, row.name)
            else:
                store.schedule((row._replace(due=after),))
            store.append((_entry(saga, key, deadline, row, wanted, after, now),))
        return Changed(deadline, role_for(role, saga).deadline[deadline].of, row.due, after)


def _saga(store: Store, key: SagaKey) -> tuple[Instance, Role, Sequence[Entry]]:
    """Return a saga as its rows say, the role in it, and the rows."""
    entries = store.history(*key)
    if not entries:
        raise Unchangeable(
            f"there is no saga {key.saga_id} of type {key.saga_type}", hint="see `choreo sagas`"
        )
    release = store.newest_release()
    manifest = readable(release) if release else None
    if manifest is None:
        raise Unchangeable(
            "it is not known what the service declares", hint="start its worker once with this choreo"
        )
    version = version_of(entries)
    role = role_in(manifest, key.saga_type, version)
    if role is None:
        raise Unchangeable(
            f"the service takes no part in {key.saga_type} any more", hint="see `choreo releases list`"
        )
    if version > role.contract.version:
        raise Unchangeable(
            f"version {version} of the saga is not known to the release that runs",
            hint="first deploy the one that knows it",
        )
    return rebuild(role, entries, pending_of(store, role, entries)), role, entries


def _running(
    store: Store, key: SagaKey, name: str, saga: Instance, role: Role, entries: Sequence[Entry]
) -> tuple[Scheduled, str]:
    """Return the row of a deadline that runs, and the name under which its saga knows it."""
    names = {name, *role.family.get(name, ())}
    rows = store.scheduled(*key)
    row = next((each for each in rows if each.task == "deadline" and each.name in names), None)
    known = name_in(role, saga, row.name if row else name)
    declared = role_for(role, saga).deadline
    if row is None:
        letters = unsettled(rows, store.letters_of(*key))
        letter = next((each for each in letters if each.task == "deadline" and each.name in names), None)
        if letter is not None:
            raise Unchangeable(
                f"{name} has passed, and is dead letter {letter.id}", hint="see `choreo dlq --help`"
            )
        why, hint = _over(known, saga, role, entries)
        raise Unchangeable(why, hint=hint)
    if known not in declared:
        raise Unchangeable(
            f"the release that runs does not declare {name} any more",
            hint="once it is due it becomes a dead letter, which can be discarded",
        )
    if row.lane == "out":
        raise Unchangeable(f"{name} has passed, and its handler is under way", hint="see `choreo trace`")
    return row, known


def _over(name: str, saga: Instance, role: Role, entries: Sequence[Entry]) -> tuple[str, str]:
    """Return why a deadline does not run, and a hint."""
    deadline, trace = role_for(role, saga).deadline.get(name), "see `choreo trace`"
    if saga.pruned:
        return f"the saga has {saga.end}, and its rows were removed", "nothing is due of it any more"
    if deadline is None:
        return f"the participant declares no deadline {name}", "see `choreo deadlines list`"
    if saga.deadlines.get(name) == "fired":
        return f"{name} has passed already: {deadline.of} has timed out", trace
    revoked = next((each for each in entries if (each.step, each.kind) == (name, REVOKED)), None)
    if revoked is not None:
        return f"{name} was revoked {_time(revoked.recorded_at)} ({revoked.note})", trace
    if deadline.of in saga.outcomes:
        outcome = saga.outcomes[deadline.of].replace("_", " ")
        return f"{name} is over: {deadline.of} has {outcome}", trace
    if saga.end:
        return f"{name} is over: the saga has {saga.end}", trace
    if saga.failing:
        return f"{name} is over: the saga is rolled back", trace
    after = ", ".join(short_name(each) for each in sorted(deadline.after.types))
    return f"{name} does not run yet", f"it counts from {after}"


def _extended(row: Scheduled, wanted: Change, now: int) -> int:
    """Return when a deadline is due after its extension."""
    due = wanted.until or row.due + wanted.more
    if due <= now:
        raise Unchangeable(f"{_time(due)} has passed already", hint="give it a time to come")
    if due <= row.due:
        raise Unchangeable(
            f"{row.name} is due {_time(row.due)}: an extension is later", hint="give it a later time"
        )
    if due > LATEST:
        raise Unchangeable(f"{_time(due)} is too late", hint="revoke a deadline that nobody waits for")
    return due


def _entry(
    saga: Instance, key: SagaKey, name: str, row: Scheduled, wanted: Change, after: int, now: int
) -> Entry:
    """Return the row of the saga log that explains a change."""
    state = saga.state_of(name)
    until = f"until {_time(after)}, " if after else ""
    who = f"by {wanted.by}: " if wanted.by else ""
    return Entry(
        *key,
        saga.version,
        saga.state,
        now,
        "deferred" if after else "discarded",
        name,
        state,
        state,
        kind=wanted.done,
        causation_id=row.event_id,
        event_time=after,
        note=f"{until}{who}{wanted.because}",
    )


def _time(at: int) -> str:
    return f"{moment(at):%Y-%m-%dT%H:%M:%SZ}"
