"""Exports of before: imported, verified, told of, replayed, and written again as they were."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import choreo.testing
from choreo import Participant
from choreo.testing import Harness, Recorded
from tests.upgrade.world import BEFORE, EXAMPLES, SCHEMAS, told, unpacked

EXPORTS = sorted((BEFORE / "exports").glob("*/*.gz"))

recorded = choreo.testing.replay(str(BEFORE / "recorded" / "*"))


@pytest.mark.parametrize("packed", EXPORTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_export_is_imported_and_verified(packed: Path, folder: Path) -> None:
    """As JSON lines and as Avro; the store that it makes is exported as it was."""
    export = folder / packed.stem
    export.write_bytes(unpacked(packed))
    assert "would be there" in told("log", "import", export.name, "--store", "copy.db", "--dry-run")
    told("log", "import", export.name, "--store", "copy.db")
    assert told("log", "verify", "--store", "copy.db").endswith("no findings\n")
    lines = told("log", "export", "--store", "copy.db")
    if export.suffix == ".jsonl":
        assert lines == export.read_text()
    else:
        (folder / "lines.jsonl").write_text(lines)
        told("log", "import", "lines.jsonl", "--store", "again.db")
        assert told("log", "heads", "--store", "again.db") == told("log", "heads", "--store", "copy.db")


@pytest.mark.parametrize("example", EXAMPLES)
def test_both_formats_hold_the_same(example: str, folder: Path) -> None:
    """Link by link."""
    (lines,) = (path for path in EXPORTS if path.parent.name == example and _is_twice(path))
    for suffix in (".jsonl", ".avro"):
        name = lines.stem.removesuffix(".jsonl") + suffix
        (folder / name).write_bytes(unpacked(lines.with_name(f"{name}.gz")))
        told("log", "import", name, "--store", f"{suffix[1:]}.db")
    assert told("log", "heads", "--store", "jsonl.db") == told("log", "heads", "--store", "avro.db")


def test_an_export_is_as_good_as_a_store(folder: Path) -> None:
    """To tell a saga's story."""
    for path in (path for path in EXPORTS if path.parent.name == "orders"):
        (folder / path.stem).write_bytes(unpacked(path))
    stores = [part for name in ("inventory.jsonl", "orders.avro") for part in ("--store", name)]
    story = told("trace", "order-4", *stores)
    assert "order-4" in story
    assert "reserve_inventory" in story


@pytest.fixture(scope="module")
def participants() -> dict[str, Participant]:
    """Return all participants by their names; a harness tells those of one saga what calls them."""
    found: dict[str, Participant] = {}
    for example in EXAMPLES:
        together = import_module(f"examples.scenarios.{example}").scenario.participants
        with Harness(together):
            found |= {participant.name: participant for participant in together}
    return found


def test_todays_code_does_what_was_recorded(recorded: Recorded, participants: dict[str, Participant]) -> None:
    """Saga by saga: it folds the same, and its handlers return the same."""
    recorded.check(participants[recorded.participant], SCHEMAS)


def _is_twice(path: Path) -> bool:
    return path.stem.endswith(".jsonl") and path.with_name(path.name.replace(".jsonl", ".avro")).exists()
