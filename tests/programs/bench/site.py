"""Where a benchmark runs: a broker, its topics, a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from uuid import uuid4

from confluent_kafka import Producer

from choreo.kafka import EmbeddedBroker, create_topics
from tests.broker.kafka import Broker


class Site(NamedTuple):
    """A broker by the name under which figures are printed, its address, and a folder for databases."""

    broker: str
    bootstrap: str
    folder: Path

    @property
    def embedded(self) -> bool:
        """Whether the broker is the embedded one."""
        return self.broker == "embedded"

    @property
    def consumer_settings(self) -> dict[str, Any]:
        """The librdkafka settings that the hand-written loop needs on this broker."""
        if self.embedded:
            return {"group.protocol": "consumer", "fetch.wait.max.ms": 2}
        return {}

    def new_folder(self) -> Path:
        """Make a folder for one database."""
        folder = self.folder / uuid4().hex[:8]
        folder.mkdir()
        return folder

    def topic(self) -> str:
        """Make a topic of four partitions."""
        name = f"bench-{uuid4().hex[:8]}"
        self.create(name)
        return name

    def create(self, topic: str) -> None:
        """Make a topic of that name; the embedded broker makes one, of four partitions, when asked for it."""
        if self.embedded:
            Producer({"bootstrap.servers": self.bootstrap}).list_topics(topic, timeout=10)
        else:
            create_topics(self.bootstrap, [topic], 4, 1)


@contextmanager
def site(broker: str) -> Iterator[Site]:
    """Start a broker, embedded or real, and give the place to measure at."""
    with TemporaryDirectory(prefix="choreo-bench-") as folder:
        path = Path(folder)
        if broker == "embedded":
            with EmbeddedBroker() as embedded:
                yield Site(broker, embedded.bootstrap, path)
            return
        real = Broker(path / "kafka")
        real.start()
        try:
            yield Site(broker, real.bootstrap, path)
        finally:
            real.stop()
