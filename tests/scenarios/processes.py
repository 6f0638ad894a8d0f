"""An example as a user deploys it: each participant a process of its own, on a real Kafka."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import choreo
from choreo.participant import Participant
from tests.scenarios.shop import Books
from tests.stores import exists, in_postgresql, is_at_rest, open_store, place

CHOREO = str(Path(sys.executable).with_name("choreo"))
ROOT = Path(__file__).parents[2]
TETHER = ROOT / "tests/broker/die_with_parent.py"


class Processes(Books):
    """Processes of ``choreo run``, which may be killed and started again.

    Each participant lives in the module of the package that has its name. The first one starts sagas,
    from the test's process. ``settings`` are librdkafka's, for every process; where ``embedded``, the broker
    is one of this process.
    """

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        package: str,
        participants: Sequence[Participant],
        settings: Sequence[str] = (),
        *,
        embedded: bool = False,
    ) -> None:
        super().__init__()
        self._bootstrap = bootstrap
        self._folder = folder
        self._package = package
        self._settings = [word for each in settings for word in ("--kafka", each)]
        self._settings += ["--embedded"] * embedded
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        starter = participants[0]
        create = [CHOREO, "topics", "create", self._target(starter.name), "--bootstrap", bootstrap]
        if not embedded:
            subprocess.run(create, cwd=ROOT, check=True, capture_output=True)
        for participant in participants:
            self.start(participant.name)
        lock = ROOT / "examples/choreography.json" if starter.is_derived else None
        choreo.connect(starter, place(self.store_path(starter.name)), lock=lock)
        self.until(lambda: all(exists(self.store_path(p.name)) for p in participants), 60)
        self.stores = {p.name: open_store(self.store_path(p.name)) for p in participants}

    def store_path(self, name: str) -> Path:
        """Return the path of a participant's database."""
        return self._folder / f"{name}.db"

    def command(self, name: str, arguments: list[str]) -> list[str]:
        """Return the command that runs ``choreo`` with these arguments for a participant."""
        if in_postgresql():
            return [sys.executable, "-m", "tests.postgresql.choreo", *arguments]
        return [CHOREO, *arguments]

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a participant's process.

        One that replaces a killed one is the same member of its group by its name; in PostgreSQL, where a
        participant may have several, partitions else wait for a session's timeout, and payments are late.
        """
        return {**os.environ, **({"CHOREO_INSTANCE": name} if in_postgresql() else {})}

    def start(self, name: str) -> None:
        """Start a participant's process."""
        store = place(self.store_path(name))
        run = ["run", self._target(name), "--bootstrap", self._bootstrap, "--store", store, *self._settings]
        command = [sys.executable, str(TETHER), str(os.getpid()), *self.command(name, run)]
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self.environment(name),
            )

    def kill(self, name: str) -> None:
        """Kill a participant's process, as ``kill -9`` does."""
        self._running[name].kill()
        self._running[name].wait()

    def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition holds; fail where a process has ended meanwhile."""
        deadline = time.monotonic() + seconds
        while not condition():
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise AssertionError(f"{name} ended: {self._log_of(name)}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {self.states()}")
            time.sleep(0.05)

    def until_quiet(self, saga_ids: Sequence[str], seconds: float) -> None:
        """Wait until everyone knows how each saga ended, and nothing waits."""
        waiting = set(saga_ids)

        def done() -> bool:
            waiting.difference_update([saga_id for saga_id in waiting if self.ends(saga_id)])
            return not waiting and all(map(is_at_rest, self.stores.values()))

        self.until(done, seconds)

    def close(self) -> None:
        """End the processes, and close the databases."""
        for process in self._running.values():
            process.kill()
            process.wait()
        super().close()

    def _target(self, name: str) -> str:
        return f"{self._package}.{name}:{name}"

    def _log_of(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()[-2000:]
