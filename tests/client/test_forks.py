"""Connections and ``fork()``: whatever is told as committed is in the file, whoever closes it and when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from choreo.testing.store import open_store

_SHOP = '''
import gc, json, os, signal, sqlite3, subprocess, sys, threading, time
import choreo
from tests.worker.services import agency
from tests.worker.trip import TripRequested
path = sys.argv[1]
shop = agency()
told = []
def start(saga_id):
    with shop.transaction() as tx:
        tx.start(TripRequested("t"), saga_id)
    told.append(saga_id)
def others():
    """Another process uses the store, and is the last to close it where nobody else has it open."""
    look = f"import sqlite3; c = sqlite3.connect({path!r}); c.execute('select id from saga_log').fetchall()"
    subprocess.run([sys.executable, "-I", "-S", "-c", look], check=True)
def forked(child):
    """Run a function in a forked process; return its process id, and what its parent is told by it."""
    here, there = os.pipe()
    pid = os.fork()
    if pid:
        os.close(there)
        return pid, here
    os.close(here)
    told.clear()
    said = child()
    os.write(there, json.dumps([said, told]).encode())
    leave()
def joined(pid, out):
    text = b"".join(iter(lambda: os.read(out, 4096), b""))
    os.close(out)
    said, its = json.loads(text)
    os.waitpid(pid, 0)
    told.extend(its)
    return said
def refused(call):
    try:
        call()
    except choreo.ChoreoError as error:
        return str(error)
def leave():
    LEAVE
choreo.connect(shop, path)
said = None
'''

_LEAVE = {
    "exits": "sys.exit(0)",
    "exits at once": "os._exit(0)",
    "collects garbage": "gc.collect(); sys.exit(0)",
}
"""How a child ends."""

_USES = {
    "nothing": "",
    "a transaction": 'start("before")',
    "a status": 'shop.status("before")',
    "a thread's transaction": "t = threading.Thread(target=start, args=('before',)); t.start(); t.join()",
}
"""How the store was used before the fork."""

_CHILDREN = {
    "the child goes on after its parent has closed": """
def child():
    while not shop_is_closed.is_set():
        time.sleep(0.01)
    start("c1"); others(); start("c2"); others()
import multiprocessing
shop_is_closed = multiprocessing.get_context("fork").Event()
pid, out = forked(child)
start("p1")
shop.close()
shop_is_closed.set()
joined(pid, out)
""",
    "a daemon whose launcher leaves": """
mother = os.getpid()
if os.fork():
    leave()
while os.getppid() == mother:
    time.sleep(0.01)
told.clear()
for number in range(3):
    start(f"d{number}"); others()
print(json.dumps({"said": said, "told": told}), flush=True)
os._exit(0)  # killed, say: what is told by then is in the file, not only in memory
""",
    "both write in turn": """
def child():
    for number in range(3):
        start(f"c{number}"); others()
pid, out = forked(child)
for number in range(3):
    start(f"p{number}"); others()
joined(pid, out)
""",
    "a grandchild": """
def child():
    start("c1")
    joined(*forked(lambda: (start("g1"), others(), start("g2")) and None))
pid, out = forked(child)
start("p1")
joined(pid, out)
others()
start("p2")
""",
    "many at once": """
children = [forked(lambda n=n: [start(f"c{n}-{i}") for i in range(3)] and None) for n in range(4)]
start("p1")
for each in children:
    joined(*each)
others()
""",
}


def run(path: Path, program: str, leave: str = "os._exit(0)") -> dict[str, Any]:
    """Run a program in which a process forks; return what it said, and what it was told as committed."""
    source = _SHOP.replace("LEAVE", leave) + program + "\nprint(json.dumps({'said': said, 'told': told}))"
    command = [sys.executable, "-W", "error", "-c", source, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def kept(path: Path) -> set[str]:
    """Return the ids of the sagas in a store."""
    store = open_store(path.parent, path.stem)
    try:
        return {entry.saga_id for _, entry in store.rows(0, 1000)}
    finally:
        store.close()


_ALL = [(before, children) for before in _USES for children in _CHILDREN]
_SOME = [pair for number, pair in enumerate(_ALL) if number % 5 == 0]


@pytest.mark.parametrize(("before", "children"), _ALL if os.environ.get("CHOREO_FUZZ") else _SOME)
def test_nothing_that_was_told_as_committed_is_lost(tmp_path: Path, before: str, children: str) -> None:
    """Whatever was open before the fork, and whoever closes the file as the last one."""
    path = tmp_path / "shop.db"
    ways = list(_LEAVE.values())
    leave = ways[(list(_USES).index(before) + list(_CHILDREN).index(children)) % len(ways)]
    told = run(path, _USES[before] + _CHILDREN[children], leave)["told"]
    assert set(told) <= kept(path)
    assert len(told) >= 3


@pytest.mark.parametrize("leave", _LEAVE)
def test_a_transaction_belongs_to_the_process_that_opened_it(tmp_path: Path, leave: str) -> None:
    """A child's copy is refused, and says what to do; its parent's goes on."""
    found = run(
        tmp_path / "shop.db",
        """
start("before")
with shop.transaction() as tx:
    tx.start(TripRequested("t"), "p1")
    def child():
        tries = {
            "start": lambda: tx.start(TripRequested("t"), "c1"),
            "write": lambda: tx.db.execute("create table mine (id)"),
            "status": lambda: shop.status("before"),
            "open": lambda: start("c2"),
        }
        return {name: refused(call) for name, call in tries.items()}
    pid, out = forked(child)
    said = joined(pid, out)
    tx.start(TripRequested("t"), "p2")
told += ["p1", "p2"]
others()
start("p3")
""",
        _LEAVE[leave],
    )
    assert kept(tmp_path / "shop.db") == set(found["told"]) == {"before", "p1", "p2", "p3"}
    for name, said in found["said"].items():
        assert said, name
        assert "fork" in said, name
        assert "spawn" in said, name


def test_a_child_that_leaves_an_inherited_block_commits_nothing(tmp_path: Path) -> None:
    """By its end, or by an exception."""
    found = run(
        tmp_path / "shop.db",
        """
said = []
for way in ("end", "error"):
    pid = 0
    try:
        with shop.transaction() as tx:
            tx.start(TripRequested("t"), way)
            pid = os.fork()
            if not pid and way == "error":
                raise ZeroDivisionError
    except (choreo.ChoreoError, ZeroDivisionError) as error:
        os._exit(0 if "fork" in str(error) or way == "error" else 1)
    finally:
        if not pid:
            os._exit(2 if sys.exc_info()[0] is None else 0)
    said.append(os.waitpid(pid, 0)[1])
    told.append(way)
start("after")
""",
    )
    assert found["said"] == [0, 0]
    assert kept(tmp_path / "shop.db") == {"end", "error", "after"}


def test_a_fork_waits_for_the_transactions_of_other_threads(tmp_path: Path) -> None:
    """So that the child has no lock of theirs."""
    found = run(
        tmp_path / "shop.db",
        """
inside, over = threading.Event(), threading.Event()
def other():
    with shop.transaction() as tx:
        tx.start(TripRequested("t"), "other")
        inside.set()
        over.wait(0.2)
    told.append("other")
threads = [threading.Thread(target=other)]
threads[0].start()
inside.wait()
pid, out = forked(lambda: start("child"))
threads[0].join()
joined(pid, out)
""",
    )
    assert kept(tmp_path / "shop.db") == set(found["told"]) == {"other", "child"}


def test_a_fork_does_not_wait_for_ever(tmp_path: Path) -> None:
    """For a transaction that goes on meanwhile: its parent's is kept, and the child is refused the store."""
    found = run(
        tmp_path / "shop.db",
        """
import choreo.store.sqlite.pool
choreo.store.sqlite.pool._FORK_SECONDS = 0.05
inside, over = threading.Event(), threading.Event()
def other():
    with shop.transaction() as tx:
        tx.start(TripRequested("t"), "other")
        inside.set()
        over.wait()
    told.append("other")
threads = [threading.Thread(target=other)]
threads[0].start()
inside.wait()
pid, out = forked(lambda: refused(lambda: start("child")))
said = joined(pid, out)
over.set()
threads[0].join()
start("after")
""",
    )
    assert "fork" in found["said"]
    assert "spawn" in found["said"]
    assert kept(tmp_path / "shop.db") == set(found["told"]) == {"other", "after"}


@pytest.mark.parametrize("way", ["Process", "Pool", "ProcessPoolExecutor"])
def test_multiprocessing_by_fork(tmp_path: Path, way: str) -> None:
    """Each process starts sagas of its own."""
    made = {
        "Process": "ps = [mp.Process(target=start, args=(f'c{n}',)) for n in range(3)]\n"
        "[p.start() for p in ps]; [p.join() for p in ps]",
        "Pool": "pool = mp.Pool(2); pool.map(start, ['c0', 'c1', 'c2']); pool.close(); pool.join()",
        "ProcessPoolExecutor": "pool = ProcessPoolExecutor(2, mp_context=mp)\n"
        "list(pool.map(start, ['c0', 'c1', 'c2'])); pool.shutdown()",
    }
    run(
        tmp_path / "shop.db",
        f"""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
mp = multiprocessing.get_context("fork")
start("before")
{made[way]}
others()
start("after")
""",
    )
    assert kept(tmp_path / "shop.db") == {"before", "c0", "c1", "c2", "after"}


def test_a_fork_that_python_is_not_told_of_is_noticed(tmp_path: Path) -> None:
    """A server in C forks without the hooks: its children are refused what they inherit."""
    found = run(
        tmp_path / "shop.db",
        """
import ctypes
start("before")
here, there = os.pipe()
pid = ctypes.PyDLL(None).fork()
if not pid:
    os.write(there, str(refused(lambda: start("child"))).encode())
    os._exit(0)
os.waitpid(pid, 0)
said = os.read(here, 1000).decode()
start("after")
""",
    )
    assert "fork" in found["said"]
    assert kept(tmp_path / "shop.db") == {"before", "after"}


def test_a_worker_that_a_handler_forks_ends_at_once(tmp_path: Path) -> None:
    """The copy publishes nothing, commits nothing and leaves no group."""
    found = run(
        tmp_path / "shop.db",
        """
from choreo.worker.composition import open_worker
from choreo.testing.broker import MemoryBroker
from tests.worker.rig import ManualClock
from tests.worker.services import hotel
broker = MemoryBroker(1, ManualClock())
mother, children = os.getpid(), []
def book(ctx):
    children.append(os.fork())
from choreo.cloudevents import headers_of
from choreo.avro import AvroCodec
from tests.worker.rig import envelope_of, NOON
service = hotel(book)
event = TripRequested("t")
headers = headers_of(envelope_of(event, "s1", NOON))
broker.append("trip", b"s1", headers, AvroCodec([TripRequested]).encode(event))
with open_worker(service, path, broker.log("hotel"), clock=ManualClock()) as worker:
    real = worker.turn
    def turn():
        real()
        if children:
            worker.stop()
    worker.turn = turn
    worker.run()
assert os.getpid() == mother
said = [os.waitpid(pid, 0)[1] != 0 for pid in children]
""",
    )
    assert found["said"] == [True]
    assert os.path.exists(tmp_path / "shop.db")
