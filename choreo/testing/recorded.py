"""``replay``: recorded sagas as test cases for the current code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from glob import glob
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from choreo.audit.export import Origin
from choreo.audit.formats import read_export
from choreo.audit.restore import fill
from choreo.avro import AvroCodec
from choreo.chain import PRUNED, Row
from choreo.errors import ArchiveError, ConfigurationError
from choreo.participant import Participant
from choreo.replay.what_if import Changed, WhatIf
from choreo.store.opening import MEMORY, open_store

_ENDED = ("completed", "failed")


class Recorded(NamedTuple):
    """One saga from the export of one participant's saga log, the file ``path``."""

    path: Path
    origin: Origin
    saga_id: str
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        return f"{self.path.stem}-{self.saga_id}"

    @property
    def participant(self) -> str:
        """The participant whose saga log it is."""
        return self.origin.participant

    def changes(self, participant: Participant, schemas: str | Path = "schemas") -> list[Changed]:
        """Return the differences of the current code: in the folded states, and in the handlers' results.

        Handlers run on the recorded events, with effects refused; those that run outside of a transaction are
        not called, and those that use ``ctx.db`` are skipped. ``schemas`` is the folder of the schemas with
        which older events were written. Raises `ConfigurationError` for the log of another participant.
        """
        if participant.name != self.participant:
            raise ConfigurationError(
                f"{self.path} is the log of {self.participant}, not of {participant.name}",
                hint="check it against the participant that recorded it",
            )
        codec = AvroCodec(participant.events, [Path(schemas)])
        with closing(open_store(MEMORY)) as record, closing(open_store(MEMORY)) as scratch:
            fill(record, self.origin, self.rows)
            with scratch.turn():
                whatif = WhatIf(participant, codec, record, scratch)
                whatif.take_saga(self.saga_id)
        # The pending work of a saga is in tables that are not exported.
        is_ended = self.rows[-1].entry.saga_state in _ENDED
        return [each for each in whatif.changes if each.row or is_ended]

    def check(self, participant: Participant, schemas: str | Path = "schemas") -> None:
        """Raise `AssertionError` where the current code behaves differently; see `changes`."""
        __tracebackhide__ = True
        changes = self.changes(participant, schemas)
        if changes:
            lines = "\n  ".join(str(each) for each in changes)
            raise AssertionError(f"{self.path}: today's code does not do what was recorded:\n  {lines}")


def replay(pattern: str) -> Callable[..., Recorded]:
    """Return a pytest fixture that is parametrized with each saga of the exports that match a glob pattern.

    The pattern is relative to the working directory. The exports are files of ``choreo log export``, JSON
    lines or Avro. In a test module::

        recorded = choreo.testing.replay("tests/recorded/*.jsonl")

        def test_todays_code_does_what_was_done(recorded):
            recorded.check(payments)

    Raises `ConfigurationError` where there is no file, and `ArchiveError` for one that isn't whole.
    """
    sagas = list(_load(pattern))

    @pytest.fixture(params=sagas, ids=str)
    def recorded(request: Any) -> Recorded:
        saga: Recorded = request.param
        return saga

    return recorded


def _load(pattern: str) -> Iterator[Recorded]:
    paths = sorted(glob(pattern, recursive=True))
    if not paths:
        raise ConfigurationError(f"there is no file {pattern}", hint="write one with `choreo log export`")
    for path in map(Path, paths):
        with path.open("rb") as file:
            try:
                origin, rows = read_export(file)
                for saga_id, of_saga in groupby(rows, lambda row: row.entry.saga_id):
                    saga = Recorded(path, origin, saga_id, tuple(of_saga))
                    if saga.rows[0].entry.input != PRUNED:
                        yield saga
            except ArchiveError as error:
                raise ArchiveError(f"{path}: {error.message}", hint=error.hint) from None
