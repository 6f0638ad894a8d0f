"""The ledger of a soak: what was placed, how it ended, and everything that is not as it must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from choreo.cloudevents import read
from choreo.envelope import Envelope
from choreo.records import Record
from choreo.store.sqlite.store import SQLiteStore

_ENDED = "select distinct saga_id, saga_state from saga_log where saga_state in ('completed', 'failed')"
_WAITING = "select (select count(*) from outbox) + (select count(*) from schedule)"
_FOLDED = "select event_id, partition, \"offset\" from saga_log where input = 'event'"

UNDONE = {"reserve": "release", "charge": "refund", "ship": "call_back"}


class Verdict(NamedTuple):
    """What a soak came to: how many ended how, and what was lost, done twice, stuck, or wrong otherwise."""

    completed: int
    failed: int
    repeated: int
    lost: list[str]
    double: list[str]
    stuck: list[str]
    wrong: list[str]

    @property
    def violations(self) -> list[str]:
        """Everything that is not as it must be."""
        return [*self.lost, *self.double, *self.stuck, *self.wrong]


class Ledger:
    """Looks at the market's databases, and at the world's file."""

    def __init__(self, stores: Mapping[str, SQLiteStore], world: Path) -> None:
        self._stores = stores
        self._world = world
        self.placed: dict[str, str] = {}
        self.cancelled: set[str] = set()

    def ended(self) -> int:
        """Count the sagas that have ended, as far as the orders know."""
        return len(self._ends("orders"))

    def is_quiet(self, log_ends: Mapping[int, int]) -> bool:
        """Whether all have ended for all, nothing waits, and each partition was folded to its end."""
        if any(store.db.execute(_WAITING).fetchone()[0] for store in self._stores.values()):
            return False
        if any(len(self._ends(name)) < len(self.placed) for name in self._stores):
            return False
        return all(
            {each.number: at for each, at in store.positions().items()} == log_ends
            for store in self._stores.values()
        )

    def verdict(self, records: Sequence[Record]) -> Verdict:
        """Go through it all; ``records`` is the whole topic."""
        firsts: dict[str, tuple[Envelope, tuple[int, int]]] = {}
        for record in records:
            envelope = read(record)
            firsts.setdefault(envelope.id, (envelope, (record.partition, record.offset)))
        ends = {name: self._ends(name) for name in self._stores}
        effects = self._effects()
        return Verdict(
            completed=sum(state == "completed" for state in ends["orders"].values()),
            failed=sum(state == "failed" for state in ends["orders"].values()),
            repeated=len(records) - len(firsts),
            lost=[*self._lost(firsts)],
            double=[f"{saga_id} {what} × {n}" for (saga_id, what), n in effects.items() if n > 1],
            stuck=[*self._stuck(ends)],
            wrong=[*self._wrong(ends, effects)],
        )

    def _ends(self, name: str) -> dict[str, str]:
        return dict(self._stores[name].db.execute(_ENDED).fetchall())

    def _effects(self) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for store in self._stores.values():
            found.update(store.db.execute("select saga_id, what from effects").fetchall())
        lines = self._world.read_text().splitlines() if self._world.exists() else []
        for _, saga_id, what in {tuple(line.split(" ")) for line in lines}:  # one for each key
            found[saga_id, what] += 1
        return found

    def _lost(self, firsts: Mapping[str, tuple[Envelope, tuple[int, int]]]) -> Iterator[str]:
        """Return the events that somebody never folded where they first came."""
        for name, store in self._stores.items():
            folded: dict[str, set[tuple[int, int]]] = {}
            for event_id, partition, offset in store.db.execute(_FOLDED).fetchall():
                folded.setdefault(event_id, set()).add((partition, offset))
            for event_id, (envelope, place) in firsts.items():
                if place not in folded.get(event_id, ()):
                    yield f"{name}: {envelope.saga_id} {envelope.type} at {place}"

    def _stuck(self, ends: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
        for name, known in ends.items():
            yield from (f"{name}: {saga_id} has not ended" for saga_id in self.placed.keys() - known.keys())
            waiting = self._stores[name].db.execute(_WAITING).fetchone()[0]
            if waiting:
                yield f"{name}: {waiting} rows wait"
            yield from (
                f"{name}: a dead letter of {each.saga_id}: {each.reason}"
                for each in self._stores[name].dead_letters()
            )

    def _wrong(
        self, ends: Mapping[str, Mapping[str, str]], effects: Mapping[tuple[str, str], int]
    ) -> Iterator[str]:
        for saga_id, plan in self.placed.items():
            states = {known[saga_id] for known in ends.values() if saga_id in known}
            if len(states) > 1:
                yield f"{saga_id}: ends as {states}"
            if plan not in ("fine", "slow") and states != {"failed"}:
                yield f"{saga_id}: {plan}, and ends as {states}"
            done = {what for (found, what) in _of(effects, saga_id)}
            yield from (f"{saga_id}: {said}" for said in _misdone(done, "completed" in states))


def _of(effects: Mapping[tuple[str, str], int], saga_id: str) -> Iterator[tuple[str, str]]:
    whats = (*UNDONE, *UNDONE.values(), "confirm", "failed", "late")
    return ((saga_id, what) for what in whats if (saga_id, what) in effects)


def _misdone(done: set[str], completed: bool) -> Iterator[str]:
    """Yield what is done and should not be, or the other way round; a refund may be of nothing."""
    if completed:
        if done != {*UNDONE, "confirm"} and done != {*UNDONE, "confirm", "late"}:
            yield f"completed, and did {sorted(done)}"
        return
    if "failed" not in done or "confirm" in done:
        yield f"failed, and did {sorted(done)}"
    for action, compensation in UNDONE.items():
        if action in done and compensation not in done:
            yield f"{action} was not undone"
        if compensation in done and action not in done and action != "charge":
            yield f"{compensation} without {action}"
