"""A web process of the orders: it places orders and cancels some, from threads and from forked children.

``python -m tests.programs.soak.web STORE JOURNAL NAME RATE SEED``; it runs until it is killed.

What it is about to do, and what has been committed, is a line of the journal each; `read` reads them. Where
handlers have sessions, it has its own, whose transactions it joins, and some of which it rolls back.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from typing import NamedTuple

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

import choreo
from choreo.errors import StoreError
from tests.programs.soak.market.contract import PLANS, POISONS, WITH_SESSIONS, OrderPlaced
from tests.programs.soak.market.orders import cancel, orders, place
from tests.stores import spell

THREADS = 2
_CANCELS, _POISONS, _FORKS, _ROLLBACKS = 0.1, 0.01, 0.02, 0.1
"""How probable it is that an order is cancelled, is poison, is placed by a child, is rolled back."""


class Journal(NamedTuple):
    """What web processes did: plans by order; ``begun`` has the orders of which no commit is on record."""

    placed: dict[str, str]
    begun: dict[str, str]
    cancelled: set[str]
    undone: set[str]
    locked_out: int
    forks: int


def read(lines: Iterable[str]) -> Journal:
    """Read the lines of a journal; a last line that is not whole is left out.

    >>> read(["begin w-1 fine\\n", "done w-1 fine\\n", "begin w-2 no money\\n"]).begun
    {'w-2': 'no money'}
    """
    journal = Journal({}, {}, set(), set(), 0, 0)
    locked_out = forks = 0
    for line in lines:
        if not line.endswith("\n"):
            continue
        what, order_id, plan = line[:-1].split(" ", 2)
        if what == "begin":
            journal.begun[order_id] = plan
        elif what == "done":
            journal.placed[order_id] = plan
            journal.begun.pop(order_id, None)
        elif what == "cancelled":
            journal.cancelled.add(order_id)
        elif what == "undone":
            journal.undone.add(order_id)
            journal.begun.pop(order_id, None)
        locked_out += what == "locked"
        forks += what == "fork"
    return journal._replace(locked_out=locked_out, forks=forks)


class _Undone(Exception):
    """Raised to roll a transaction back."""


class Web:
    """One thread's requests; ``engine`` is that of its sessions, where it has some."""

    def __init__(self, engine: Engine | None, journal: int, name: str, rate: float, seed: str) -> None:
        self._engine, self._journal, self._name, self._rate = engine, journal, name, rate
        self._chance = random.Random(seed)
        self._numbers = count()
        self._last = ""

    def serve(self) -> None:
        """Serve requests for ever."""
        while True:
            time.sleep(self._chance.expovariate(self._rate))
            if self._chance.random() < _FORKS:
                self._fork()
            else:
                self._request()

    def _fork(self) -> None:
        """Place orders in a child, which ends in one way or another."""
        number, way = next(self._numbers), self._chance.choice(("return", "exit", "kill"))
        self._say("fork", self._name)
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        self._name, self._numbers, self._last = f"{self._name}-{number}", count(), ""
        if self._engine is not None:
            self._engine.dispose(close=False)
        for _ in range(self._chance.randint(1, 3)):
            self._request()
        if way == "kill":
            os.kill(os.getpid(), 9)
        if way == "return":
            sys.exit()  # with all that is done at a process's end
        os._exit(0)

    def _request(self) -> None:
        order_id = f"{self._name}-{next(self._numbers)}"
        plan = self._chance.choice(POISONS if self._chance.random() < _POISONS else PLANS)
        is_undone = self._engine is not None and self._chance.random() < _ROLLBACKS
        self._say("begin", order_id, plan)
        try:
            self._commit(lambda session: place(OrderPlaced(order_id, plan), session), is_undone)
            self._say("undone" if is_undone else "done", order_id, plan)
            if self._last and self._chance.random() < _CANCELS:
                self._commit(lambda session: cancel(self._last, session))
                self._say("cancelled", self._last)
            if not is_undone:
                self._last = order_id
        except StoreError as error:
            self._say("locked", order_id, error.message)
        except SQLAlchemyError as error:
            self._say("locked", order_id, str(error))

    def _commit(self, work: Callable[[Session | None], None], is_undone: bool = False) -> None:
        """Do some work in a transaction, and commit it, or roll it back."""
        if self._engine is None:
            work(None)
            return
        with suppress(_Undone), Session(self._engine) as session, session.begin():
            work(session)
            if is_undone:
                session.flush()
                raise _Undone

    def _say(self, what: str, order_id: str, text: str = "-") -> None:
        os.write(self._journal, f"{what} {order_id} {' '.join(text.split())}\n".encode())


def main(store: str, journal: str, name: str, rate: float, seed: str) -> None:
    """Serve with some threads."""
    choreo.connect(orders, store)
    spell()
    url = store.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, pool_pre_ping=True) if WITH_SESSIONS else None
    file = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    threads = [
        threading.Thread(target=Web(engine, file, f"{name}.{n}", rate / THREADS, f"{seed}.{n}").serve)
        for n in range(THREADS)
    ]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main(*sys.argv[1:4], float(sys.argv[4]), sys.argv[5])
