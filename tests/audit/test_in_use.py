"""Keeping the log of a store in use: another process writes as fast as it can, and nobody is in the way."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from itertools import islice
from pathlib import Path

from choreo.audit.export import Origin, records_of
from choreo.audit.formats import write_json_lines
from choreo.audit.heads import heads_of
from choreo.audit.restore import check_export
from choreo.audit.retention import erase, prune
from choreo.audit.verification import Verification, all_sagas
from choreo.chain import PRUNED, first_broken_link
from choreo.store.sqlite.store import SQLiteStore

SAGAS = 800

BUSY = """
import sys, time
from choreo.store.sqlite.store import SQLiteStore
from tests.store.conformance import ended, entry, unpublished
store = SQLiteStore(sys.argv[1])
longest = 0.0
for number in range(0, SAGAS, 10):
    began = time.monotonic()
    with store.turn():
        store.acknowledge(row.seq for row in store.unpublished(0, 100))
        for saga in (f"s{n:05d}" for n in range(number, number + 10)):
            store.history(saga)
            store.append([entry(saga, payload=b"p" * 300), entry(saga, note="2")])
            store.enqueue([unpublished()._replace(saga_id=saga)])
        old = [f"s{n:05d}" for n in range(max(number - 200, 0), max(number - 190, 0))]
        store.append(ended(saga, payload=b"end") for saga in old)
    longest = max(longest, time.monotonic() - began)
print(longest)
"""


def test_everything_works_while_a_worker_writes(tmp_path: Path) -> None:
    """No chain breaks, no row is lost; the worker never waits long, and never in vain."""
    path = tmp_path / "shop.db"
    store = SQLiteStore(path)
    program = BUSY.replace("SAGAS", str(SAGAS))
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    ) as busy:
        rounds = 0
        while busy.poll() is None:
            known = list(islice(all_sagas(store.saga_log), 300))
            ids = [saga.saga_id for saga in known]
            check = Verification(store.saga_log)
            assert not [found for found in map(check.check, known) if found]
            kept = list(heads_of(store.saga_log, store.store_id, known))
            file = BytesIO()
            write_json_lines(records_of(Origin("", store.store_id, 0, 0), store.saga_log, ids), file)
            check_export(BytesIO(file.getvalue()))
            list(erase(store, ids[::2]))
            list(prune(store, 2_000, 9))
            store.saga_log.scrub()
            assert not [found for found in map(check.check_head, kept) if found]
            rounds += 1
        assert busy.returncode == 0
        assert busy.stdout is not None
        assert float(busy.stdout.read()) < 3
    assert rounds > 1
    log = store.saga_log
    list(prune(store, 2_000, 9))
    sagas = {saga: log.chain(*saga) for saga in all_sagas(log)}
    assert len(sagas) == SAGAS
    assert not [rows for rows in sagas.values() if first_broken_link(rows)]
    pruned = [rows for rows in sagas.values() if rows[0].entry.input == PRUNED]
    assert all(rows[0].entry.note.startswith("3 rows, since ") for rows in pruned)
    assert all(len(rows) > 1 for rows in sagas.values() if rows not in pruned)
    store.close()
