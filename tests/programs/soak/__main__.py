"""A soak of the market: ``python -m tests.programs.soak --minutes 15``.

It prints how it goes, then one line of JSON.

Exits with 1 where something was lost, done twice or is stuck, with 3 where a broker can't be had.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from tests.broker.kafka import Broker, BrokerFailed
from tests.broker.kafka_jars import Unavailable
from tests.broker.topic_records import ends_of, records_of
from tests.programs.soak.disturbances import Disturbances
from tests.programs.soak.forgeries import Forger
from tests.programs.soak.ledger import Ledger, Verdict
from tests.programs.soak.market.contract import WITH_SESSIONS
from tests.programs.soak.processes import Processes
from tests.stores import in_postgresql, own_server

QUIET_SECONDS = 180.0
SAY_EVERY = 10.0


class Soak:
    """Lets web processes place orders for some minutes of bad weather, then waits for quiet."""

    def __init__(self, processes: Processes, ledger: Ledger, forger: Forger, seed: int) -> None:
        self._processes, self._ledger = processes, ledger
        self._disturbances = Disturbances(processes, forger, ledger.live, seed)
        self._began = time.monotonic()
        self._said = 0.0

    def run(self, seconds: float) -> bool:
        """Soak; return whether all came to rest afterwards, with no hand."""
        while self.now < seconds:
            self._disturbances.turn(self.now)
            self._say()
            time.sleep(0.02)
        self._disturbances.clear()
        self._processes.end_webs()
        return self._until(
            lambda: self._ledger.is_quiet(ends_of(self._processes.bootstrap, "market")), QUIET_SECONDS
        )

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def _until(self, holds: Callable[[], bool], seconds: float) -> bool:
        deadline = self.now + seconds
        while not holds():
            self._processes.revive()
            self._say()
            if self.now > deadline:
                return False
            time.sleep(0.1)
        return True

    def _say(self) -> None:
        if self.now - self._said < SAY_EVERY or self._processes.is_server_down:
            return  # nobody else would start the database that is asked
        self._said = self.now
        journal = self._ledger.read()
        counts = ", ".join(f"{count} {what}" for what, count in sorted(self._processes.counts.items()))
        said = f"{len(self._ledger.placed)} placed, {self._ledger.ended()} ended, {journal.forks} forks"
        print(f"{self.now:6.0f} s  {said}; {counts}", flush=True)


def main() -> int:
    """Soak, and print what came of it; give the exit code."""
    asked = _asked()
    print(f"soaking for {asked.minutes:g} minutes, seed {asked.seed}", flush=True)
    folder = Path(mkdtemp(prefix="choreo-soak-"))
    try:
        verdict = _soak(asked, folder)
    except (Unavailable, BrokerFailed) as error:
        print(f"no real Kafka here: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("interrupted: every process has been ended", file=sys.stderr)
        rmtree(folder)
        return 130
    for said in verdict.violations[:50]:
        print(f"VIOLATION {said}")
    if verdict.violations:
        print(f"what the processes said: {folder}")
        return 1
    rmtree(folder)
    return 0


def _soak(asked: argparse.Namespace, folder: Path) -> Verdict:
    with ExitStack() as stack:
        brokers = Broker(folder / "kafka"), Broker(folder / "second")
        brokers[1].join(brokers[0])
        for broker in brokers:
            broker.start()
            stack.callback(broker.kill)
        server = stack.enter_context(own_server())
        processes = stack.enter_context(
            closing(Processes(*brokers, folder, asked.rate, server, asked.replicas))
        )
        forger = Forger(processes.bootstrap, asked.seed + 1)
        ledger = Ledger(processes.stores, folder / "world", processes.journal, forger.touched)
        soak = Soak(processes, ledger, forger, asked.seed)
        quiet = soak.run(asked.minutes * 60)
        forger.close()
        verdict = ledger.verdict(records_of(broker.bootstrap, "market"))
        print(json.dumps(_line(asked, soak, processes, ledger, verdict) | {"quiet": quiet}), flush=True)
    return verdict


def _line(
    asked: argparse.Namespace, soak: Soak, processes: Processes, ledger: Ledger, verdict: Verdict
) -> dict[str, object]:
    found = {
        name: len(value) if isinstance(value, list) else value for name, value in verdict._asdict().items()
    }
    journal = ledger.read()
    return {
        "soak": "market",
        "minutes": asked.minutes,
        "seed": asked.seed,
        "replicas": asked.replicas,
        "seconds": round(soak.now),
        "sagas": len(ledger.placed),
        "sessions": WITH_SESSIONS,
        "undone": len(journal.undone),
        "cancelled": len(journal.cancelled),
        "locked_out": journal.locked_out,
        "forks": journal.forks,
        **dict(sorted(processes.counts.items())),
        "zombies": processes.zombies(),
        **found,
    }


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.programs.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long to place orders (5)")
    parser.add_argument("--seed", type=int, default=20261, help="of the disturbances and the orders (20261)")
    parser.add_argument("--rate", type=float, default=8.0, help="orders a second, on average (8)")
    parser.add_argument("--replicas", type=int, default=1, help="of each participant, in PostgreSQL (1)")
    asked = parser.parse_args()
    if asked.replicas > 1 and not in_postgresql():
        parser.error("--replicas needs STORE=postgresql")
    return asked


if __name__ == "__main__":
    sys.exit(main())
