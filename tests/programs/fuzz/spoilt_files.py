"""Damaged and hostile files of every kind that choreo reads, made of valid ones."""

from __future__ import annotations

import copy
import gzip
import json
import random
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro

from choreo.manifest.document import hash_of
from tests.programs.fuzz.commands import BEFORE, ROOT
from tests.programs.fuzz.damage import LIES, long, noise

DEEP = "[" * 100_000
ODD: list[Any] = [
    None, True, 0, -1, 2**63, 10**300, 1.5, "", "\0", "\x1b[2J", "\u202e", "\ud800", "x" * 5_000, [], {},
    [[]], {"": {}}, [None], ["null", ["null"]], {"type": "array", "items": "null"},
]  # fmt: skip


def bytes_damaged(good: bytes, chance: random.Random, count: int) -> Iterator[bytes]:
    """Cut, flip, splice, repeat, and put in what lies."""
    for number in range(count):
        place, other = chance.randrange(len(good) + 1), chance.randrange(len(good))
        yield (
            good[:place],
            flipped(good, chance),
            good[:place] + chance.randbytes(chance.randrange(30)) + good[place:],
            good[:place] + good[other:],
            good[:place] + long(chance.choice(LIES)) + good[place + 1 :],
            good + good[:place],
        )[number % 6]
    yield from (b"", b"\0" * 100, b"\xff\xfe", b"\xef\xbb\xbf" + good, *noise(1, 5))


def flipped(good: bytes, chance: random.Random, begins: int = 0, most: int = 8) -> bytes:
    spoilt = bytearray(good)
    for _ in range(chance.randrange(1, most)):
        spoilt[chance.randrange(begins, len(good))] = chance.randrange(256)
    return bytes(spoilt)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a JSON value, as what holds it and the key there."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys: Any = (
            holder if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        )
        for key in keys:
            found.append((holder, key))
            waiting.append(holder[key])
    return found


def json_damaged(good: Any, chance: random.Random, count: int) -> Iterator[Any]:
    """Put another value, or one of elsewhere, in the place of one; leave one out; rename one."""
    for number in range(count):
        spoilt = copy.deepcopy(good)
        holder, key = chance.choice(places(spoilt))
        match number % 5:
            case 0 | 1:
                holder[key] = copy.deepcopy(chance.choice(ODD))
            case 2:
                other, there = chance.choice(places(spoilt))
                holder[key] = copy.deepcopy(other[there])
            case 3:
                del holder[key]
            case 4 if isinstance(holder, dict):
                holder[chance.choice(["", "\ud800", "type", "fields", "name", "x" * 3_000])] = holder.pop(key)
        yield spoilt


def texts(values: Iterator[Any]) -> Iterator[bytes]:
    for value in values:
        yield json.dumps(value).encode()


HOSTILE_TEXTS = [
    DEEP.encode(), (DEEP + "]" * 100_000).encode(), b'{"a":' * 50_000, b"[" + b"[]," * 2_000_000 + b"[]]",
    b"1" * 100_000, b'{"a": NaN}', b"null", b'"\\ud800"', b"{}",
]  # fmt: skip


def exports(chance: random.Random, count: int) -> Iterator[bytes]:
    """Exports in both formats; the Avro ones also with schemas and blocks of their own."""
    lines = (BEFORE / "recorded/orders.jsonl").read_bytes()
    avro = (BEFORE / "recorded/payments.avro").read_bytes()
    yield from bytes_damaged(lines, chance, count)
    yield from bytes_damaged(avro, chance, count)
    rows = [json.loads(line) for line in lines.splitlines()]
    for _ in range(count):
        spoilt = copy.deepcopy(rows)
        place = chance.randrange(len(rows))
        (spoilt[place],) = json_damaged(rows[place], chance, 1)
        yield b"\n".join(texts(iter(spoilt)))
    yield from (b'{"head": ' + text for text in HOSTILE_TEXTS)
    for kind, count_of in ((_array_of("null"), 2**40), (_array_of("null"), -(2**40)), ("null", 2**40)):
        yield container([_record("head", kind)], b"\x00" + long(count_of) * 3, count_of)
    yield container([_record("head", "string")], deflated_zeros(2**31), 1, "deflate")
    yield container([_record("head", _nested(200))], b"\x00", 1)
    for codec in ("snappy", "bzip2", "xz", "zstandard", "none\0"):
        yield container([_record("head", "string")], b"\x00", 1, codec)


def _record(name: str, kind: Any) -> Any:
    """Return the schema of an export's record, which begins with a field that no export has."""
    own = [{"name": each, "type": kind} for each, kind in HEAD.items()]
    return {
        "type": "record",
        "name": name,
        "namespace": "choreo.log",
        "fields": [{"name": "extra", "type": kind}, *own],
    }


HEAD = {"format": "string", "version": "long", "participant": "string", "store_id": "string"}


def _array_of(items: Any) -> Any:
    return {"type": "array", "items": items}


def _nested(levels: int) -> Any:
    kind: Any = "null"
    for _ in range(levels):
        kind = _array_of(kind)
    return kind


def deflated_zeros(count: int) -> bytes:
    """Return so many zeros compressed: of one piece, which is repeated as it is."""
    piece = 2**24
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    whole = squeeze.compress(b"\x00" * piece) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return whole * (count // piece) + squeeze.flush()


def container(schema: Any, block: bytes, count: int, codec: str = "null") -> bytes:
    """Return an Avro container file of one block."""
    header = BytesIO()
    metadata = {"avro.schema": json.dumps(schema).encode(), "avro.codec": codec.encode()}
    fastavro.schemaless_writer(header, {"type": "map", "values": "bytes"}, metadata)
    sync = b"s" * 16
    return b"Obj\x01" + header.getvalue() + sync + long(count) + long(len(block)) + block + sync


def schemas(chance: random.Random, count: int) -> Iterator[bytes]:
    good = json.loads((ROOT / "schemas/shop.OrderCreated.avsc").read_text())
    fields = [
        {
            "name": "u",
            "type": ["null", "string", {"type": "enum", "name": "E", "symbols": ["A"]}],
            "default": None,
        },
        {"name": "m", "type": {"type": "map", "values": {"type": "fixed", "name": "F", "size": 4}}},
        {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {
            "name": "r",
            "type": _array_of({"type": "record", "name": "R", "fields": [{"name": "x", "type": "long"}]}),
        },
    ]
    good["fields"] += fields
    yield from texts(json_damaged(good, chance, count * 3))
    yield from bytes_damaged(json.dumps(good).encode(), chance, count)
    yield from HOSTILE_TEXTS
    for kind in ODD:
        yield json.dumps(
            {"type": "record", "name": "shop.OrderCreated", "fields": [{"name": "x", "type": kind}]}
        ).encode()
        yield json.dumps(
            {"type": "record", "name": "shop.OrderCreated", "fields": [{"name": kind, "type": "int"}]}
        ).encode()


def documents(path: Path) -> Callable[[random.Random, int], Iterator[bytes]]:
    """Return the maker of a document that went wrong, with the hash that fits, and without."""

    def make(chance: random.Random, count: int) -> Iterator[bytes]:
        good = json.loads(path.read_bytes())
        for spoilt in json_damaged(good, chance, count * 2):
            spoilt.pop("hash", None)
            try:
                yield json.dumps({**spoilt, "hash": hash_of(spoilt)}).encode()
            except (TypeError, ValueError, UnicodeError):
                yield json.dumps(spoilt).encode()
        yield from bytes_damaged(path.read_bytes(), chance, count)
        yield from HOSTILE_TEXTS

    return make


def settings(chance: random.Random, count: int) -> Iterator[bytes]:
    good = b'[tool.choreo]\nstore = "a.db"\nmodules = ["examples.bank"]\n[tool.choreo.kafka]\n"a.b" = "x"\n'
    yield from bytes_damaged(good, chance, count * 2)
    yield from (b"a = " + DEEP.encode(), b"x = " + b"{a = " * 5_000, b"[tool]\nchoreo = 5", b"#" * 2_000_000)
    yield from (b"[tool.choreo]\nstore = " + json.dumps(odd).encode() for odd in ODD)


def heads(chance: random.Random, count: int) -> Iterator[bytes]:
    yield from bytes_damaged((BEFORE / "stores/orders/heads-earlier.jsonl").read_bytes(), chance, count)
    yield from HOSTILE_TEXTS


def edits(chance: random.Random, count: int) -> Iterator[bytes]:
    names = [
        each["name"] for each in json.loads((ROOT / "schemas/shop.OrderCreated.avsc").read_text())["fields"]
    ]
    good: dict[str, Any] = dict.fromkeys(names, "x")
    yield from texts(json_damaged(good, chance, count))
    yield from bytes_damaged(json.dumps(good).encode(), chance, count)
    yield from HOSTILE_TEXTS


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


def stores(chance: random.Random, count: int) -> Iterator[bytes]:
    """Databases damaged in their bytes, in their tables, and in their values."""
    good = gzip.decompress((BEFORE / "stores/orders/inventory.db.gz").read_bytes())
    yield from bytes_damaged(good, chance, count)
    for _ in range(count):  # in the pages, after the header
        yield flipped(good, chance, 100, 200)
    for change in changes(good, chance, count):
        yield changed(good, change)


@contextmanager
def opened(good: bytes) -> Iterator[sqlite3.Connection]:
    """Open a database in memory; that it was written with a write-ahead log stands in two of its bytes."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.deserialize(good[:18] + b"\x01\x01" + good[20:])
        yield connection


def changes(good: bytes, chance: random.Random, count: int) -> Iterator[str]:
    with opened(good) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        columns = {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info('{table}')")] for table in tables
        }
    own = [table for table in tables if not table.startswith("sqlite_")]
    odd = [
        "NULL",
        "x'ff'",
        "CAST(x'ff' AS TEXT)",
        "9e99",
        "-9223372036854775808",
        "''",
        "'a'",
        "zeroblob(1000000)",
    ]
    for table in own:
        yield f"DROP TABLE {table}"
        names = ", ".join(f"i AS {name}" for name in columns[table])
        yield f"DROP TABLE {table}; CREATE VIEW {table} AS {ENDLESS} SELECT {names} FROM n"
        yield f"DROP TABLE {table}; CREATE TABLE {table} (one)"
        yield f"DELETE FROM {table}"
    for _ in range(count):
        table = chance.choice(own)
        column = chance.choice(columns[table])
        yield f"UPDATE OR IGNORE {table} SET {column} = {chance.choice(odd)}"


def changed(good: bytes, sql: str) -> bytes:
    """Return a database after some SQL, as far as it can be done."""
    with opened(good) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in sql.split(";"):
            try:
                connection.execute(statement)
            except sqlite3.Error:
                continue
        return connection.serialize()


MAKERS: dict[str, Callable[[random.Random, int], Iterator[bytes]]] = {
    "export": exports,
    "store": stores,
    "heads": heads,
    "schema": schemas,
    "manifest": documents(BEFORE / "manifests/inventory.choreo.json"),
    "lock": documents(BEFORE / "choreography.json"),
    "run": documents(next((BEFORE / "verify/traces").iterdir())),
    "settings": settings,
    "edit": edits,
}
