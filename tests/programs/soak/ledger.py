"""The ledger of a soak: what was placed, how it ended, and everything that is not as it must be."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from choreo.cloudevents import read
from choreo.envelope import Envelope
from choreo.ports import Store
from choreo.records import Record
from tests.programs.soak.forgeries import MARK
from tests.programs.soak.market.contract import WITH_SESSIONS
from tests.programs.soak.web import Journal
from tests.stores import in_postgresql

_ENDED = "select distinct saga_id, saga_state from saga_log where saga_state in ('completed', 'failed')"
_WAITING = "select saga_id from outbox union all select saga_id from schedule"
_KNOWN = "select distinct saga_id from saga_log union select saga_id from outbox"
_LETTERS = "select distinct saga_id from dead_letters where state = 'open'"
_FOLDED = "select event_id, partition, \"offset\" from saga_log where input = 'event'"

_AWAY_SECONDS = 60.0
"""How long a database may be away."""

UNDONE = {"reserve": "release", "charge": "refund", "ship": "call_back"}


class Verdict(NamedTuple):
    """What a soak came to: how many ended how, and what was lost, done twice, stuck, or wrong otherwise."""

    completed: int
    failed: int
    repeated: int
    buried: int
    lost: list[str]
    double: list[str]
    stuck: list[str]
    wrong: list[str]

    @property
    def violations(self) -> list[str]:
        """Everything that is not as it must be."""
        return [*self.lost, *self.double, *self.stuck, *self.wrong]


class Ledger:
    """Looks at the market's databases, at the world's file, and at the journal of the web processes.

    A saga may stop with a dead letter where its order is poison or a forged record named it; every
    other one ends.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        world: Path,
        journal: Callable[[], Journal],
        touched: Collection[str],
    ) -> None:
        self._stores = stores
        self._world = world
        self._journal = journal
        self._touched = touched
        self.placed: dict[str, str] = {}

    def read(self) -> Journal:
        """Return the journal, and take what was placed from it, also by who died before it could say so."""
        journal = self._journal()
        self.placed = dict(journal.placed)
        if journal.begun:
            known = {saga_id for (saga_id,) in self._rows("orders", _KNOWN)}
            self.placed.update({each: plan for each, plan in journal.begun.items() if each in known})
        return journal

    def letters(self) -> set[str]:
        """Return the ids of the sagas that have a dead letter somewhere."""
        return {saga_id for name in self._stores for (saga_id,) in self._rows(name, _LETTERS)}

    def live(self) -> list[str]:
        """Return the ids of the last orders."""
        return list(self._journal().placed)[-20:]

    def ended(self) -> int:
        """Count the sagas that have ended, as far as the orders know."""
        return len(self._ends("orders"))

    def is_quiet(self, log_ends: Mapping[int, int]) -> bool:
        """Whether all have ended for all, nothing waits, and each partition was folded to its end."""
        self.read()
        if any(self._waiting(name) for name in self._stores):
            return False
        letters = self.letters()
        for name in self._stores:
            open_ones = self.placed.keys() - self._ends(name).keys()
            if any(not self._excused(saga_id) or saga_id not in letters for saga_id in open_ones):
                return False
        at = [self._rows(name, "select partition, next_offset from positions") for name in self._stores]
        return all(dict(positions) == log_ends for positions in at)

    def verdict(self, records: Sequence[Record]) -> Verdict:
        """Go through it all; ``records`` is the whole topic."""
        self.read()
        real = [record for record in records if MARK not in dict(record.headers)]
        firsts: dict[str, tuple[Envelope, tuple[int, int]]] = {}
        for record in real:
            envelope = read(record)
            firsts.setdefault(envelope.id, (envelope, (record.partition, record.offset)))
        ends = {name: self._ends(name) for name in self._stores}
        effects = self._effects()
        return Verdict(
            completed=sum(state == "completed" for state in ends["orders"].values()),
            failed=sum(state == "failed" for state in ends["orders"].values()),
            repeated=len(real) - len(firsts),
            buried=len(self.letters()),
            lost=[*self._lost(firsts)],
            double=[f"{saga_id} {what} × {n}" for (saga_id, what), n in effects.items() if n > 1],
            stuck=[*self._stuck(ends)],
            wrong=[*self._wrong(ends, effects)],
        )

    def _rows(self, name: str, sql: str) -> list[Any]:
        """Ask a participant's database, which may have been restarted meanwhile."""
        give_up = time.monotonic() + _AWAY_SECONDS
        while True:
            store = self._stores[name]
            try:
                store.positions()  # by a new connection, where the last one was lost
                return list(store.db.execute(sql).fetchall())
            except Exception:
                if not in_postgresql() or time.monotonic() > give_up:
                    raise
                time.sleep(0.1)

    def _ends(self, name: str) -> dict[str, str]:
        return dict(self._rows(name, _ENDED))

    def _effects(self) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for name in self._stores:
            found.update(self._rows(name, "select saga_id, what from effects"))
        lines = self._world.read_text().splitlines() if self._world.exists() else []
        for _, saga_id, what in {tuple(line.split(" ")) for line in lines}:  # one for each key
            found[saga_id, what] += 1
        return found

    def _lost(self, firsts: Mapping[str, tuple[Envelope, tuple[int, int]]]) -> Iterator[str]:
        """Return the events that somebody never folded where they first came."""
        for name in self._stores:
            folded: dict[str, set[tuple[int, int]]] = {}
            for event_id, partition, offset in self._rows(name, _FOLDED):
                folded.setdefault(event_id, set()).add((partition, offset))
            for event_id, (envelope, place) in firsts.items():
                if place not in folded.get(event_id, ()) and not self._excused(envelope.saga_id):
                    yield f"{name}: {envelope.saga_id} {envelope.type} at {place}"

    def _stuck(self, ends: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
        letters = self.letters()
        for name, known in ends.items():
            for saga_id in self.placed.keys() - known.keys():
                if not self._excused(saga_id) or saga_id not in letters:
                    yield f"{name}: {saga_id} ({self.placed[saga_id]}) has not ended"
            if waiting := self._waiting(name):
                yield f"{name}: {len(waiting)} rows wait, of {', '.join(sorted(set(waiting))[:5])}"
            for each in self._stores[name].dead_letters():
                if each.saga_id and not self._excused(each.saga_id):
                    yield f"{name}: a dead letter of {each.saga_id}: {each.reason}"

    def _waiting(self, name: str) -> list[str]:
        """Return the sagas of which something waits to be published or done, once for each row."""
        rows = self._rows(name, _WAITING)
        return [saga_id for (saga_id,) in rows if not self._excused(saga_id)]

    def _excused(self, saga_id: str) -> bool:
        return saga_id in self._touched or self.placed.get(saga_id, "").startswith("poison")

    def _wrong(
        self, ends: Mapping[str, Mapping[str, str]], effects: Mapping[tuple[str, str], int]
    ) -> Iterator[str]:
        if WITH_SESSIONS:
            yield from self._torn()
        for saga_id, plan in self.placed.items():
            if self._excused(saga_id):
                continue
            states = {known[saga_id] for known in ends.values() if saga_id in known}
            if len(states) > 1:
                yield f"{saga_id}: ends as {states}"
            if plan not in ("fine", "slow") and states != {"failed"}:
                yield f"{saga_id}: {plan}, and ends as {states}"
            done = {what for (found, what) in _of(effects, saga_id)}
            yield from (f"{saga_id}: {said}" for said in _misdone(done, "completed" in states))

    def _torn(self) -> Iterator[str]:
        """Yield the orders without a saga, and sagas without an order: of one transaction's both rows."""
        written = {order_id for (order_id,) in self._rows("orders", "select order_id from placed")}
        yield from (f"{each}: an order without a saga" for each in written - self.placed.keys())
        yield from (f"{each}: a saga without an order" for each in self.placed.keys() - written)
        for name in self._stores:
            known = {saga_id for (saga_id,) in self._rows(name, _KNOWN)} - set(self._touched)
            undone = self._journal().undone & known
            yield from (f"{name}: {each} was rolled back, and is known" for each in undone)


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
