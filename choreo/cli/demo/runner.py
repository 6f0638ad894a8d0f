"""``Runner``: runs an example's participants on an embedded broker, each with its own database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from choreo.client.connection import connect
from choreo.errors import ChoreoError
from choreo.graph import derive
from choreo.kafka import KafkaLog
from choreo.participant import Participant
from choreo.store.opening import open_store
from choreo.store.tables import TableStore
from choreo.timeline.participant_view import ParticipantView
from choreo.worker import Worker
from choreo.worker.composition import open_worker

_LOOK_EVERY = 0.01
"""Seconds between two looks at the stores."""

_ENDED = ("completed", "failed")


class DemoFailed(ChoreoError):
    """Raised when a demo does not end in time, or its participants do not agree."""

    exit_code = 1


class Runner:
    """Participants that run inside a block, each with its store; ``deadline`` (s) bounds every wait."""

    def __init__(
        self,
        participants: Sequence[Participant],
        bootstrap: str,
        places: Mapping[str, str | Path],
        deadline: float,
    ) -> None:
        self._bootstrap = bootstrap
        self._deadline = deadline
        self._places = places
        self._threads = [threading.Thread(target=self._run, args=(each,)) for each in participants]
        self._participants = participants
        derive(participants)
        self._workers: dict[str, Worker] = {}
        self._failure: Exception | None = None
        self._failed = threading.Event()
        self._leaving = threading.Event()
        self._stores: dict[str, TableStore] = {}

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        try:
            self._wait(self._is_live, "the participants are not ready")
            self._stores = {name: open_store(path) for name, path in self._places.items()}
            for each in self._participants:
                connect(each, self._places[each.name])
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    @property
    def databases(self) -> Mapping[str, Any]:
        """Every participant's database, by its name."""
        return {name: store.db for name, store in self._stores.items()}

    def views(self, saga_id: str) -> list[ParticipantView]:
        """Return every participant's view of a saga."""
        return [ParticipantView(name, store.history(saga_id)) for name, store in self._stores.items()]

    def wait_for_end(self, saga_id: str) -> str:
        """Return the state of a saga once it has ended in every participant's log.

        Raises `DemoFailed` when it does not end in time, or when the participants do not agree.
        """
        self._wait(lambda: self._states(saga_id) <= set(_ENDED), f"saga {saga_id} has not ended")
        states = self._states(saga_id)
        if len(states) != 1:
            raise DemoFailed(f"saga {saga_id}: the participants do not agree on its end: {sorted(states)}")
        return states.pop()

    def _states(self, saga_id: str) -> set[str]:
        return {each.entries[-1].saga_state if each.entries else "unknown" for each in self.views(saga_id)}

    def _is_live(self) -> bool:
        return len(self._workers) == len(self._threads) and all(w.is_live for w in self._workers.values())

    def _wait(self, reached: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + self._deadline
        while not reached():
            if self._failed.wait(_LOOK_EVERY) and self._failure:
                raise self._failure
            if time.monotonic() > deadline:
                raise DemoFailed(
                    f"{otherwise} after {self._deadline:g} s", hint="is the machine very busy? try again"
                )

    def _run(self, participant: Participant) -> None:
        try:
            records = KafkaLog(self._bootstrap, participant.name, embedded=True)
            with open_worker(participant, self._places[participant.name], records) as worker:
                self._workers[participant.name] = worker
                if self._leaving.is_set():
                    worker.stop()
                worker.run()
        except Exception as error:
            self._failure = self._failure or error
            self._failed.set()

    def _leave(self) -> None:
        self._leaving.set()
        for worker in list(self._workers.values()):
            worker.stop()
        for thread in self._threads:
            thread.join(self._deadline)
        for each in self._participants:
            each.close()
        for store in self._stores.values():
            store.close()
