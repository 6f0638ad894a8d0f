"""The roles that were in force when the rows of a saga log were written, by the store's releases (R9)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from choreo.manifest import HandlerEntry, Manifest, SagaEntry
from choreo.outcome import START
from choreo.participant import Roles
from choreo.protocol import Action, Compensation, Contract, Deadline, Observer, Role, Trigger
from choreo.records import Release
from choreo.release.declarations import declared_in
from choreo.saga import Versions, spans

RoleAt = Callable[[int], Role]
"""Returns the role in a saga that was in force when the row with a number was written."""


class InForce:
    """The declarations that a store's workers ran with, by the numbers of the rows of its saga log.

    Those of the first known release stand in for what was declared before.
    """

    def __init__(self, releases: Sequence[Release]) -> None:
        self._after = [release.after for release in releases]
        self._releases = releases
        self._manifests: dict[int, Manifest] = {}
        self._roles: dict[tuple[int, str, int], Role | None] = {}

    def release_at(self, number: int) -> int:
        """Return the place among the releases of the one that wrote a row; -1 where none is known."""
        return max(bisect_left(self._after, number) - 1, 0 if self._releases else -1)

    def is_older(self, number: int) -> bool:
        """Whether a row was not written by the newest release."""
        return self.release_at(number) < len(self._releases) - 1

    def roles(self, today: Role, version: int) -> RoleAt:
        """Return the roles in a saga of ``today``'s type; that is the role where no release is known."""

        def role_at(number: int) -> Role:
            place = self.release_at(number)
            if place < 0:
                return today
            return self._role(place, today.contract.saga, version) or _no_role(today)

        return role_at

    def _role(self, place: int, saga: str, version: int) -> Role | None:
        key = (place, saga, version)
        if key not in self._roles:
            manifest = self._manifests.get(place)
            if manifest is None:
                manifest = self._manifests[place] = declared_in(self._releases[place])
            self._roles[key] = role_in(manifest, saga, version)
        return self._roles[key]


def _no_role(today: Role) -> Role:
    """Return the role of a participant that took no part in a saga yet, and only had its topic."""
    return Role(today.participant, today.contract)


def role_in(manifest: Manifest, saga: str, version: int) -> Role | None:
    """Return a participant's role in a saga of a version, by its resolved manifest; None for another saga.

    A saga of version 0, whose start was not seen, has the role of the newest version.
    """
    entry = next((each for each in manifest.sagas if each.name == saga), None)
    if entry is None:
        return None
    of = min(version or entry.version, entry.version)
    own = [each for each in manifest.handlers if each.saga == saga and each.versions.includes(of)]
    undos: dict[str, list[Compensation]] = {}
    for each in own:
        if each.task == "compensation":
            undos.setdefault(each.step, []).append(
                Compensation(each.trigger, _first(each.emits.successes), each.results)
            )
    actions = [_action(each, undos) for each in own if each.task == "action"]
    if START in undos:
        actions.append(Action(START, Trigger(), "start", compensations=tuple(undos[START])))
    return Role(
        manifest.participant,
        _contract(entry),
        tuple(actions),
        tuple(Observer(each.known_as, each.trigger) for each in own if each.task == "observer"),
        tuple(
            Deadline(each.known_as, each.step, each.trigger, _first(each.emits.successes))
            for each in own
            if each.task == "deadline"
        ),
        frozenset(name for each in own for name in each.earlier),
        tuple(each.names for each in own if each.formerly),
    )


def roles_in(manifest: Manifest) -> Roles:
    """Return a participant's roles in each version of its sagas, by its resolved manifest."""
    found: dict[str, list[tuple[Versions, Role]]] = {}
    for saga in manifest.sagas:
        bounds = [each.versions for each in manifest.handlers if each.saga == saga.name]
        for span in spans(saga.version, bounds):
            role = role_in(manifest, saga.name, span.since)
            if role is not None:
                found.setdefault(saga.name, []).append((span, role))
    return Roles(found)


def _action(entry: HandlerEntry, undos: dict[str, list[Compensation]]) -> Action:
    failure = _first(entry.emits.failures)
    kind: str = entry.kind
    undo = tuple(undos.get(entry.step, ()))
    return Action(entry.step, entry.trigger, kind, failure, undo, entry.partial)  # type: ignore[arg-type]


def _contract(saga: SagaEntry) -> Contract:
    return Contract(saga.name, saga.starts, saga.completes, saga.fails, saga.aborts, saga.version)


def _first(names: Iterable[str]) -> str:
    return next(iter(names), "")
