"""Deadlines of one saga in several stores: found by name, listed, and changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from choreo.errors import ConfigurationError
from choreo.manifest import HandlerEntry, Manifest
from choreo.operations.stores import Opened
from choreo.records import Entry, Release, SagaKey, Scheduled
from choreo.release import readable
from choreo.render.wording import iso_time
from choreo.store.reader import TableReader
from choreo.timeline.selection import refuse_twice
from choreo.worker.deadlines import Deadline, deadlines_in, deadlines_of


class Releases(Protocol):
    """What knows the declarations that a participant's worker runs with."""

    def newest_release(self) -> Release | None:
        """Return the newest of them, None where there is none."""
        ...


class Found(NamedTuple):
    """A deadline that is named: the store of its participant, its saga and its name there."""

    opened: Opened
    key: SagaKey
    name: str


class Listed(NamedTuple):
    """A deadline that runs: the participant that holds it, the saga's type, and the deadline."""

    participant: str
    saga_type: str
    deadline: Deadline

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        given = self.deadline
        return {
            "participant": self.participant,
            "saga_type": self.saga_type,
            "deadline": given.name,
            "step": given.step,
            "due": iso_time(given.due),
            "own_timeout": given.is_own,
        }


def listed(participant: str, releases: Releases, rows: Sequence[Scheduled]) -> Iterator[Listed]:
    """Yield the deadlines among a saga's rows of the schedule of one participant, the first due first."""
    timed = [row for row in rows if row.task in ("action", "deadline")]
    manifest = _manifest(releases) if timed else None
    for row in sorted(timed, key=lambda each: each.until if each.task == "action" else each.due):
        for each in deadlines_in((row,), manifest):
            yield Listed(participant, row.saga_type, each)


def deadlines_of_saga(
    readers: Sequence[TableReader], saga_id: str, participant: str = "", saga_type: str = ""
) -> list[Listed]:
    """Return the deadlines of a saga that run. Raises `ConfigurationError` where no store knows the saga."""
    sides = [
        (reader, view)
        for reader in readers
        if participant in ("", reader.participant)
        for of_type, view in reader.views(saga_id).items()
        if saga_type in ("", of_type)
    ]
    if not sides:
        raise _unknown(saga_id, readers)
    refuse_twice(dict.fromkeys(reader for reader, _ in sides))
    return [each for reader, view in sides for each in listed(reader.participant, reader, view.scheduled)]


def deadline_named(
    stores: Sequence[Opened], saga_id: str, name: str, participant: str = "", saga_type: str = ""
) -> Found:
    """Return the one deadline of a saga that a name, which may lack the participant's, is one of.

    Raises `ConfigurationError` where there is none, or where there are several.
    """
    sides = _knowing(stores, saga_id, participant, saga_type)
    found: list[Found] = []
    known: list[str] = []
    for opened, types in sides:
        for key in (SagaKey(saga_id, of_type) for of_type in types):
            names = _names(opened, key)
            known += names
            found += [Found(opened, key, one) for one in names if _is_called(one, name)]
    if not found:
        _refuse_own_timeout(sides, name)
        raise ConfigurationError(
            f"saga {saga_id} has no deadline {name}",
            hint=f"it may have {', '.join(dict.fromkeys(known))}" if known else "no participant sets it one",
        )
    if len({each.opened.path for each in found}) > 1:
        owners = ", ".join(dict.fromkeys(each.opened.participant for each in found))
        raise ConfigurationError(f"{owners} have a deadline {name} each", hint="say which with --participant")
    if len({each.key for each in found}) > 1:
        several = ", ".join(dict.fromkeys(each.key.saga_type for each in found))
        raise ConfigurationError(f"sagas of {several} have the id {saga_id}", hint="say which with --type")
    return found[0]


def _knowing(
    stores: Sequence[Opened], saga_id: str, participant: str, saga_type: str
) -> list[tuple[Opened, list[str]]]:
    """Return the stores that know a saga, each with the types of the sagas with that id."""
    sides = []
    for opened in stores:
        if participant in ("", opened.participant):
            types = dict.fromkeys(each.saga_type for each in _history(opened, saga_id))
            sides.append((opened, [each for each in types if saga_type in ("", each)]))
    sides = [each for each in sides if each[1]]
    if not sides:
        raise _unknown(saga_id, stores)
    refuse_twice(opened for opened, _ in sides)
    return sides


def _unknown(saga_id: str, stores: Sequence[Opened] | Sequence[TableReader]) -> ConfigurationError:
    return ConfigurationError(
        f"there is no saga {saga_id} in {', '.join(each.path for each in stores)}",
        hint="see `choreo sagas`, and name its participants' stores with --store",
    )


def _history(opened: Opened, saga_id: str) -> Sequence[Entry]:
    return opened.store.history(saga_id)


def _names(opened: Opened, key: SagaKey) -> list[str]:
    """Return the names of the deadlines that a saga may have at a participant: declared, or on the schedule.

    Of one that was renamed, it is the name on the schedule, if there is one.
    """
    manifest = _manifest(opened.store)
    declared = list(deadlines_of(manifest, key.saga_type)) if manifest else []
    rows = [row.name for row in opened.store.scheduled(*key) if row.task == "deadline"]
    return [*rows, *(each.known_as for each in declared if not set(each.names) & set(rows))]


def _refuse_own_timeout(sides: Sequence[tuple[Opened, list[str]]], name: str) -> None:
    for opened, types in sides:
        manifest = _manifest(opened.store)
        for each in manifest.handlers if manifest else ():
            if _has_timeout(each, types) and any(_is_called(known, name) for known in each.names):
                raise ConfigurationError(
                    f"the timeout of {each.step} is its own, and no deadline",
                    hint="its handler moves it: see `ctx.extend`",
                )


def _has_timeout(entry: HandlerEntry, types: Sequence[str]) -> bool:
    return entry.task == "action" and entry.timeout_ms is not None and entry.saga in types


def _manifest(releases: Releases) -> Manifest | None:
    release = releases.newest_release()
    return readable(release) if release else None


def _is_called(known: str, name: str) -> bool:
    return name in (known, known.partition(".")[2])
