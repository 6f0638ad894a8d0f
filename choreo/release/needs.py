"""What sagas in flight still need of a participant that a release has no handler for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from choreo.manifest import HandlerEntry, Manifest
from choreo.outcome import START
from choreo.protocol import serves
from choreo.records import Many, Work
from choreo.saga import ALL_VERSIONS

RETIRED = "retired"
"""The reason of a dead letter of work that a release has given up, as it has no handler for it."""

_HANDLER_OF = {"answer": "action", "outcome": "action"}
"""The task of the handler that other work of a step belongs to."""


class Need(NamedTuple):
    """What so many sagas need of one step, observer or deadline; ``oldest`` began first, at ``since``.

    ``is_letter``: dead letters of it are open.
    """

    name: str
    what: str
    is_letter: bool
    sagas: int
    oldest: str
    since: int


class Handlers:
    """The handlers of a manifest, by the names under which a store may hold work for them."""

    def __init__(self, manifest: Manifest) -> None:
        self._versions = {saga.name: saga.version for saga in manifest.sagas}
        self._handlers: dict[tuple[str, str, str], list[HandlerEntry]] = {}
        names = {each.step: each.names for each in manifest.handlers if each.task == "action"}
        for each in manifest.handlers:
            known = names.get(each.step, (each.step,)) if each.task == "compensation" else each.names
            for name in {*known, each.known_as}:
                self._handlers.setdefault((each.saga, each.task, name), []).append(each)

    def may_lack(self, saga_type: str, task: str, name: str, result: str = "") -> bool:
        """Whether work of a task may have no handler, in some version, or for the result of a step."""
        return not any(
            each.versions == ALL_VERSIONS and (serves(each, result) if result else not each.results)
            for each in self._of(saga_type, task, name)
        )

    def serve(self, work: Work) -> bool:
        """Whether a handler is there for some work. A saga whose start is not known counts as the first.

        What sagas of a version that is not known need is held until it is known again. What undoes an attempt
        that returned nothing has no result to be chosen by: it must be the only one.
        """
        if work.saga_version > self._versions.get(work.saga_type, work.saga_version):
            return True
        of_version = [
            each
            for each in self._of(work.saga_type, work.task, work.name)
            if each.versions.includes(max(work.saga_version, 1))
        ]
        if work.task != "compensation":
            return bool(of_version)
        if not work.result:
            return len({each.name for each in of_version}) == 1
        return any(serves(each, work.result) for each in of_version)

    def act(self, work: Work) -> bool:
        """Whether the step of some work is declared."""
        return bool(self._of(work.saga_type, "action", work.name))

    def have(self, name: str) -> bool:
        """Whether any handler has, or had, a name."""
        return any(known == name for _, _, known in self._handlers)

    def taken(self, saga_type: str, name: str) -> frozenset[str] | None:
        """Return the events that an observer of that name takes, None where there is no such observer."""
        found = self._of(saga_type, "observer", name)
        return frozenset[str]().union(*(each.trigger.types for each in found)) if found else None

    def _of(self, saga_type: str, task: str, name: str) -> Sequence[HandlerEntry]:
        # The start has no action: what is due of it is its compensation's.
        task = "compensation" if name == START else _HANDLER_OF.get(task, task)
        return self._handlers.get((saga_type, task, name), ())


def steps_at_risk(before: Manifest | None, today: Handlers) -> set[str] | None:
    """Return the steps whose compensation may be missing now; None where nothing is known of before."""
    if before is None:
        return None
    successes = {each.step: each.emits.successes for each in before.handlers if each.task == "action"}
    return {
        each.step
        for each in before.handlers
        if each.task == "compensation"
        for result in successes.get(each.step, tuple(each.results) or ("",))
        if serves(each, result) and today.may_lack(each.saga, each.task, each.step, result)
    }


def no_longer_taken(before: Manifest, today: Handlers) -> dict[tuple[str, str], frozenset[str]]:
    """Return the events that each observer took before and takes no more, by saga type and name."""
    found = {}
    for each in before.handlers:
        taken = today.taken(each.saga, each.known_as) if each.task == "observer" else None
        lost = frozenset[str]() if taken is None else each.trigger.types - taken
        if lost:
            found.update({(each.saga, name): lost for name in {*each.names, each.known_as}})
    return found


class Missing:
    """Says which work has no handler today, and is not given up.

    Unless it is known what was declared before, a step that is done is taken to be of today's kind until its
    success has come back. Given up is what an earlier release has made a letter of, or whose letter it left.
    """

    def __init__(self, today: Handlers, retired: Iterable[str], *, knows_before: bool) -> None:
        self._today = today
        self._retired = frozenset(retired)
        self._knows_before = knows_before

    def includes(self, work: Work) -> bool:
        """Whether some work is needed and can't be done."""
        return self._is_missing(work) and not self._is_given_up(work)

    def is_given_up(self, work: Work) -> bool:
        """Whether some work can't be done, and is not needed."""
        return self._is_missing(work) and self._is_given_up(work)

    def _is_given_up(self, work: Work) -> bool:
        return work.held == "letter" and (work.reason == RETIRED or work.name in self._retired)

    def _is_missing(self, work: Work) -> bool:
        if self._today.serve(work):
            return False
        is_of_today = work.held == "done" and not work.kind and not self._knows_before
        return not (is_of_today and self._today.act(work))


def needs_of(work: Iterable[Many]) -> list[Need]:
    """Return work as needs, by name and by what is needed."""
    found: dict[tuple[str, str], Need] = {}
    for each, sagas in work:
        what = _in_words(each)
        need = Need(each.name, what, each.held == "letter", sagas, each.saga_id, each.since)
        known = found.get((each.name, what))
        if known:
            oldest = min(known, need, key=lambda need: (need.since, need.oldest))
            need = oldest._replace(sagas=known.sagas + sagas)
        found[each.name, what] = need
    return [found[key] for key in sorted(found)]


def _in_words(work: Work) -> str:
    if work.held == "letter":
        return "a dead letter"
    if work.held == "done":
        return "its compensation"
    return {
        "action": "an attempt",
        "answer": "its answer",
        "compensation": "a compensation under way",
        "observer": "an event that waits for it",
        "deadline": "an armed deadline",
    }[work.task]
