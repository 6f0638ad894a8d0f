"""A world of before: the stores of an example's participants, their topic, and what was told of them."""

from __future__ import annotations

import gzip
import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from shutil import copy, copytree
from typing import Any, NamedTuple

from click.testing import Result

from choreo import Participant
from choreo.testing import Harness
from tests.cli.command import invoke

BEFORE = Path(__file__).parents[1] / "fixtures" / "before"
LOCK = Path(__file__).parents[2] / "examples"
SCHEMAS = Path(__file__).parents[2] / "schemas"

EXAMPLES = ("orders", "bank", "travel")
OLDER = ("schema-1", "schema-2", "schema-3", "schema-4")
"""Order fulfilment, too, in stores of each schema before the one of the examples' stores."""

LATER = 90_000
"""Milliseconds between the last thing that happened in a world and the moment at which it was told of."""


class World(NamedTuple):
    """One world, in a folder of the test's own."""

    name: str
    folder: Path

    @property
    def example(self) -> str:
        """The name of the example that it is of."""
        return "orders" if self.name in OLDER else self.name

    @property
    def participants(self) -> Sequence[Participant]:
        """The participants, as their modules declare them today."""
        found: Sequence[Participant] = self._scenario.participants
        return found

    def balance(self, databases: Mapping[str, Any]) -> Iterator[Any]:
        """Compare the business tables, as ``choreo demo`` does; the airline has what is booked."""
        if self.example != "travel":
            return iter(self._scenario.balance(databases))
        booked = "select trip_id, 'CH 1' from trips where status = 'booked'"
        bookings = dict(databases["agency"].execute(booked).fetchall())
        return iter(import_module("examples.scenarios.travel").balance(databases, lambda: bookings))

    @property
    def _scenario(self) -> Any:
        return import_module(f"examples.scenarios.{self.example}").scenario

    @property
    def now(self) -> int:
        """When the last thing happened, in milliseconds since the epoch."""
        return int(content(BEFORE / "stores" / self.name / "now"))

    def golden(self, name: str) -> str:
        """Return what the choreo of before told."""
        return content(BEFORE / "golden" / self.name / name)

    def sagas(self) -> list[str]:
        """Return the ids of all sagas that are told of."""
        return sorted(each["saga_id"] for each in json.loads(self.golden("sagas.json")))

    def fold(self, participant: str, sagas: Sequence[str]) -> Result:
        """Compare a participant's store with what its log says, by the handlers of today."""
        target = f"examples.{self.example}.{participant}:{participant}"
        return invoke("replay", "fold", target, *sagas, "--store", f"{participant}.db", "--format", "json")

    def tell_again(self, harness: Harness) -> None:
        """Append the topic's records to a harness's broker, each at its time; then it is now."""
        for line in content(BEFORE / "stores" / self.name / "topic.jsonl").splitlines():
            record = json.loads(line)
            harness.clock.advance_to(record["timestamp"])
            headers = [(name, _bytes(value)) for name, value in record["headers"]]
            appended = harness.broker.append(
                record["topic"], _bytes(record["key"]), headers, _bytes(record["value"])
            )
            assert (appended.partition, appended.offset) == (record["partition"], record["offset"])
        harness.clock.advance_to(self.now)


def content(path: Path) -> str:
    """Return a file's text, whether it is packed or not."""
    return path.read_text("utf-8") if path.exists() else unpacked(path.with_name(f"{path.name}.gz")).decode()


def unpacked(path: Path) -> bytes:
    """Return what is in a packed file."""
    return gzip.decompress(path.read_bytes())


def unpack(name: str, folder: Path) -> World:
    """Put the stores of a world into a folder, with the choreography's lock and its manifests."""
    for path in (BEFORE / "stores" / name).glob("*.db.gz"):
        (folder / path.stem).write_bytes(unpacked(path))
    # The handlers of today need the lock of today; those of the other examples declare what they did before.
    copy((LOCK if name == "orders" or name in OLDER else BEFORE) / "choreography.json", folder)
    copytree(BEFORE / "manifests", folder / "manifests")
    return World(name, folder)


def told(*arguments: str, code: int = 0) -> str:
    """Run a command that must end with an exit code, and give what it told."""
    result = invoke(*arguments)
    assert result.exit_code == code, (arguments, result.output, result.exception)
    return result.stdout


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)
