"""What differs between two releases of one participant, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set

from choreo.manifest import HandlerEntry, Manifest

_MOST = 8
"""The changes that a line names; the others are counted."""

_FACETS = {
    "trigger": "what calls it",
    "emits": "its events",
    "kind": "its kind",
    "versions": "its versions",
    "results": "what it undoes",
    "timeout_ms": "its timeout",
    "within_ms": "its time",
    "retry": "its retries",
    "runs": "where it runs",
    "partial": "partial",
    "earlier": "what it reads",
    "step": "its step",
    "parameters": "its parameters",
}


def changes(before: Manifest, today: Manifest) -> list[str]:
    """Return what differs, a few words each: sagas, renames, what is new, gone or declared otherwise."""
    old, new = _by_identity(before, today), _by_identity(today, before)
    return [
        *_of_sagas(before, today),
        *(line for key in sorted(old.keys() & new.keys()) for line in _of_handler(old[key], new[key])),
        *(f"{_short(new[key])} is new" for key in _apart(new.keys() - old.keys())),
        *(f"{_short(old[key])} is gone" for key in _apart(old.keys() - new.keys())),
        *_of_schemas(before, today),
    ]


def in_one_line(found: Sequence[str]) -> str:
    """Return changes as one line.

    >>> in_one_line(["charge renamed to take_payment", "check is new"])
    'charge renamed to take_payment, check is new'
    """
    more = len(found) - _MOST
    return ", ".join(found[:_MOST]) + (f", and {more} more" if more > 0 else "")


def new_handlers(before: Manifest, today: Manifest) -> list[HandlerEntry]:
    """Return the handlers that the release before did not have; a new step stands for its compensation."""
    old, new = _by_identity(before, today), _by_identity(today, before)
    return [entry for key in _apart(new.keys() - old.keys()) for entry in new[key]]


def recalled(before: Manifest, today: Manifest) -> list[tuple[HandlerEntry, Sequence[HandlerEntry]]]:
    """Return the handlers that other events call than in the release before, with those of that time."""
    old, new = _by_identity(before, today), _by_identity(today, before)
    return [
        (entry, old[key])
        for key in sorted(old.keys() & new.keys())
        for entry in new[key]
        if all(entry.trigger != each.trigger for each in old[key])
    ]


def renames(before: Manifest, today: Manifest) -> dict[str, str]:
    """Return the new name of each action or observer that seems to be renamed, by its full name of before.

    It is gone, and one that is new is called by the same and emits the same.
    """
    old, new = _by_identity(before, today), _by_identity(today, before)
    gone = [old[key][0] for key in sorted(old.keys() - new.keys())]
    come = [new[key][0] for key in sorted(new.keys() - old.keys())]
    found: dict[str, str] = {}
    for each in gone:
        alike = [other for other in come if _does(other) == _does(each)]
        if each.task in ("action", "observer", "deadline") and len(alike) == 1:
            found[each.known_as] = alike[0].name
    return found


def _does(entry: HandlerEntry) -> object:
    watched = entry.step if entry.task == "deadline" else ""
    return entry.task, entry.saga, entry.trigger, entry.emits, watched


_Key = tuple[str, str, str]


def _by_identity(manifest: Manifest, other: Manifest) -> dict[_Key, list[HandlerEntry]]:
    """Return the handlers by their identities; a release between may have used a later name as one."""
    identities = {
        alias: each.names[-1] for each in (*manifest.handlers, *other.handlers) for alias in each.aliases
    }
    found: dict[_Key, list[HandlerEntry]] = {}
    for each in manifest.handlers:
        # The compensations of a step are told apart by what they undo, whatever their functions are called.
        known_as = identities.get(each.known_as, each.known_as)
        found.setdefault((each.saga, known_as, each.task), []).append(each)
    return found


def _apart(keys: Set[_Key]) -> list[_Key]:
    """Return keys, but not those of compensations whose action is among them, too."""
    return sorted(key for key in keys if key[2] != "compensation" or (*key[:2], "action") not in keys)


def _short(entries: Sequence[HandlerEntry]) -> str:
    first = entries[0]
    name = first.name.partition(".")[2]
    return f"{name} (compensation of {first.step})" if first.task == "compensation" else name


def _of_sagas(before: Manifest, today: Manifest) -> Iterator[str]:
    old, new = ({each.name: each for each in manifest.sagas} for manifest in (before, today))
    for name in sorted(new.keys() - old.keys()):
        yield f"takes part in {name}"
    for name in sorted(old.keys() - new.keys()):
        yield f"takes no part in {name} any more"
    for name in sorted(old.keys() & new.keys()):
        if old[name].version != new[name].version:
            yield f"version {old[name].version} of {name} is now {new[name].version}"
        elif old[name] != new[name]:
            yield f"{name} has another contract"


def _of_handler(old: Sequence[HandlerEntry], new: Sequence[HandlerEntry]) -> Iterator[str]:
    if old[0].name != new[0].name:
        yield f"{_short(old)} renamed to {new[0].name.partition('.')[2]}"
    differing = [words for facet, words in _FACETS.items() if _texts(old, facet) != _texts(new, facet)]
    if differing:
        yield f"{_short(new)} has changed ({', '.join(differing)})"


def _texts(entries: Iterable[HandlerEntry], facet: str) -> list[str]:
    values = (getattr(each, facet) for each in entries)
    return sorted(str(sorted(value) if isinstance(value, frozenset) else value) for value in values)


def _of_schemas(before: Manifest, today: Manifest) -> Iterator[str]:
    for name in sorted(before.schemas.keys() & today.schemas.keys()):
        if before.schemas[name].fingerprint != today.schemas[name].fingerprint:
            yield f"{name} has another schema"
