"""Exports: the same rows in both formats, whole or refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest

from choreo.audit.export import Origin, Record, records_of
from choreo.audit.formats import read_export, whole_file, write_avro, write_json_lines
from choreo.audit.restore import check_export, import_export
from choreo.audit.verification import all_sagas, saga_ids
from choreo.chain import first_broken_link
from choreo.errors import ArchiveError, ChoreoError
from choreo.records import SagaKey
from choreo.store.sqlite.store import SQLiteStore
from tests.store.conformance import ended, entry

FORMATS = {"jsonl": write_json_lines, "avro": write_avro}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    """Return a log with all that may be in one: payloads, erased ones, a pruned saga, text of any kind."""
    store = SQLiteStore(tmp_path / "shop.db")
    store.bind("cluster", "shop")
    with store.turn():
        for number in range(40):
            store.append([entry(f"s{number % 7}", payload=bytes([number]) * number, note=f"— ✓\x1f{number}")])
        store.append([entry("s1", payload=None, offset=2**40), ended("s2"), ended("s3")])
    with store.turn():
        store.saga_log.erase(SagaKey("s2", "shop"))
        store.saga_log.prune(SagaKey("s3", "shop"), 9)
    yield store
    store.close()


def export(store: SQLiteStore, form: str, *sagas: str) -> bytes:
    log, file = store.saga_log, BytesIO()
    origin = Origin("shop", store.store_id, log.unchained, log.keyed_by_id)
    FORMATS[form](records_of(origin, log, sagas or saga_ids(log)), file)
    return file.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_a_round_trip_is_equal(store: SQLiteStore, tmp_path: Path, form: str) -> None:
    """Row by row, ids, salts and links too; and exported again it is the same."""
    told = export(store, form)
    origin = import_export(BytesIO(told), tmp_path / "copy.db")
    assert origin == Origin("shop", store.store_id, 0, 0)
    copy = SQLiteStore(tmp_path / "copy.db")
    for saga in all_sagas(store.saga_log):
        assert copy.saga_log.chain(*saga) == store.saga_log.chain(*saga)
        assert copy.history(*saga) == store.history(*saga)
        assert first_broken_link(copy.saga_log.chain(*saga)) is None
    assert export(copy, "jsonl") == export(store, "jsonl")
    copy.close()
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == ["copy.db"]


@pytest.mark.parametrize("form", FORMATS)
def test_some_sagas_alone(store: SQLiteStore, form: str) -> None:
    """In the order that was asked for."""
    _, rows = read_export(BytesIO(export(store, form, "s4", "s0")))
    assert list(dict.fromkeys(row.entry.saga_id for row in rows)) == ["s4", "s0"]


@pytest.mark.parametrize("form", FORMATS)
def test_half_an_export_is_refused_wherever_it_ends(store: SQLiteStore, tmp_path: Path, form: str) -> None:
    """Also at the end of a line or of a block; no store is made."""
    told = export(store, form)
    cuts = {*range(0, len(told) - 1, 97), *(n for n, byte in enumerate(told[:-1], 1) if byte == 10)}
    for number, cut in enumerate(sorted(cuts - {len(told) - 1})):
        with pytest.raises(ArchiveError) as refusal:
            check_export(BytesIO(told[:cut]))
        assert refusal.value.hint
        if number % 20 == 0:
            with pytest.raises(ArchiveError):
                import_export(BytesIO(told[:cut]), tmp_path / "copy.db")
    assert not [path for path in tmp_path.iterdir() if "copy" in path.name]


Spoil = Callable[[list[dict[str, dict[str, object]]]], object]

SPOILT: dict[str, tuple[Spoil, str]] = {
    "no head": (lambda told: told.pop(0), "no export of a saga log"),
    "another version": (lambda told: told[0]["head"].update(version=4), "version 4"),
    "no store id": (lambda told: told[0]["head"].update(store_id=1), "head can't be read"),
    "a row less": (lambda told: told.pop(5), "not those that it says it has"),
    "a row twice": (lambda told: told.insert(5, told[5]), "not those that it says it has"),
    "a row changed": (lambda told: told[5]["row"].update(note="x"), "not those that it says"),
    "a payload changed": (lambda told: told[5]["row"].update(payload="AAAA"), "not those that it says"),
    "a field less": (lambda told: told[5]["row"].pop("note"), "row 5 can't be read"),
    "a field more": (lambda told: told[5]["row"].update(colour="red"), "row 5 can't be read"),
    "a text for a number": (lambda told: told[5]["row"].update(partition="1"), "row 5 can't be read"),
    "a truth for a number": (lambda told: told[5]["row"].update(partition=True), "row 5 can't be read"),
    "a number too long": (lambda told: told[5]["row"].update(offset=2**70), "row 5 can't be read"),
    "no base64": (lambda told: told[5]["row"].update(payload="*"), "line 6 can't be read"),
    "a list": (lambda told: told.insert(3, []), "line 4 can't be read"),  # type: ignore[arg-type]
    "another kind": (lambda told: told.insert(3, {"cow": {}}), "row 3 can't be read"),
    "more after the end": (lambda told: told.append(told[5]), "more comes after its end"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_no_export_is_refused(store: SQLiteStore, tmp_path: Path, name: str) -> None:
    """In one clear line; nothing is made."""
    spoil, words = SPOILT[name]
    told = [json.loads(line) for line in export(store, "jsonl").splitlines()]
    spoil(told)
    file = BytesIO("".join(json.dumps(each) + "\n" for each in told).encode())
    with pytest.raises(ArchiveError, match=words):
        import_export(file, tmp_path / "copy.db")
    assert not [path for path in tmp_path.iterdir() if "copy" in path.name]


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"Obj\x01", b"Obj\x01rubbish" * 9, b"\x00\xff", b"[" * 99_999]
)
def test_rubbish_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever it begins with."""
    with pytest.raises(ArchiveError):
        check_export(BytesIO(content))


def test_every_bit_of_a_container_may_flip(store: SQLiteStore, tmp_path: Path) -> None:
    """It is refused, or nothing that counts was changed; never another error."""
    told = bytearray(export(store, "avro", "s1", "s2"))
    whole = list(read_export(BytesIO(bytes(told)))[1])
    for place in range(0, len(told), 11):
        told[place] ^= 1 << place % 8
        with suppress(ChoreoError):
            assert list(read_export(BytesIO(bytes(told)))[1]) == whole
        told[place] ^= 1 << place % 8


def test_an_import_makes_a_store_of_its_own(store: SQLiteStore, tmp_path: Path) -> None:
    """What is there already is not touched."""
    with pytest.raises(ArchiveError, match=r"shop\.db is there already"):
        import_export(BytesIO(export(store, "jsonl")), tmp_path / "shop.db")


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    """And what was there before stays until then."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"old")

    def broken() -> Iterator[Record]:
        yield "head", {}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        write_json_lines(broken(), file)
    assert path.read_bytes() == b"old"
    with whole_file(path) as file:
        file.write(b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["log.jsonl"]
    assert path.read_bytes() == b"new"
