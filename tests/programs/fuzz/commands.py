"""Runs commands on damaged files, in a process of its own whose memory and time are bounded.

``python -m tests.programs.fuzz.commands KIND FOLDER`` runs the commands of a kind on each file of a folder,
and prints a line of JSON for each: the file, and what was wrong, or an empty text. A file that takes too long
ends the process; it is the one after the last line.
"""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from click.testing import CliRunner

from choreo.avro import AvroCodec
from choreo.avro.json_encoding import body_of
from choreo.cli import main
from choreo.errors import ChoreoError
from examples.orders.contract import OrderCreated

SECONDS = 20
"""The longest that one file may take, in all commands together, on a slow machine."""
MEGABYTES = 400
"""The memory that the process may have beyond what it had when it was ready."""

ROOT = Path(__file__).parents[3]
BEFORE = ROOT / "tests/fixtures/before"
SAGA = "order-1"

COMMANDS: dict[str, list[list[str]]] = {
    "export": [["trace", SAGA, "--store", "FILE"], ["log", "import", "FILE", "--store", "made.db"]],
    "store": [
        ["sagas", "--store", "FILE"],
        ["trace", SAGA, "--store", "FILE"],
        ["dlq", "list", "--store", "FILE"],
        ["dlq", "show", "1", "--store", "FILE"],
        ["log", "verify", "--store", "FILE"],
        ["log", "export", "--store", "FILE", "--output", "out.jsonl"],
        ["replay", "fold", "examples.orders.inventory:inventory", SAGA, "--store", "FILE"],
    ],
    "heads": [["log", "verify", "--store", "inventory.db", "--heads", "FILE"]],
    "schema": [["schemas", "check", "examples.orders.contract", "--schemas", "schemas"]],
    "manifest": [["verify", "FILE", "--seconds", "3"], ["graph", "FILE"]],
    "lock": [["verify", "examples.orders.inventory", "--seconds", "3"], ["graph", "examples.orders"]],
    "run": [["simulate", "FILE", str(BEFORE / "manifests")]],
    "settings": [["sagas", "--store", "inventory.db"], ["graph", "examples.bank"]],
}
NAMES = {
    "export": "export.file",
    "store": "damaged.db",
    "heads": "heads.jsonl",
    "schema": "schemas/history/0011223344556677.avsc",
    "manifest": "one.choreo.json",
    "lock": "choreography.json",
    "run": "run.json",
    "settings": "pyproject.toml",
    "edit": "edit.json",
}


def why_wrong(kind: str, folder: Path) -> str:
    """Run the commands of a kind in a folder; return what was wrong, empty where nothing was."""
    if kind == "edit":
        return _edited(folder / NAMES[kind])
    for command in COMMANDS[kind]:
        arguments = [str(folder / NAMES[kind]) if each == "FILE" else each for each in command]
        result = CliRunner().invoke(main, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            return f"{' '.join(command)}: {''.join(traceback.format_exception(result.exception))[-1500:]}"
        if "MemoryError" in result.output:
            return f"{' '.join(command)}: too much memory"
        lines = result.stderr.splitlines()
        if result.exit_code == 2 and not any(line.startswith("error: ") for line in lines):
            return f"{' '.join(command)}: exit 2 and no error: {result.stderr[-500:]}"
    return _decoded(folder) if kind == "schema" else ""


def _edited(file: Path) -> str:
    try:
        body_of("shop.OrderCreated", file.read_text(errors="surrogateescape"), ROOT / "schemas")
    except ChoreoError:
        return ""
    except Exception:
        return traceback.format_exc()[-1500:]
    return ""


def _decoded(folder: Path) -> str:
    """Read bodies of the schemas in the history, as a worker does."""
    from choreo.avro.schema_files import SchemaFolders

    schemas = folder / "schemas"
    codec = AvroCodec([OrderCreated], [schemas])
    found = SchemaFolders([schemas])
    found.find("")
    for fingerprint in list(found._found):
        for rest in (b"", b"\x00" * 40, b"\xff" * 40, b"\x02a" * 20):
            try:
                codec.decode("shop.OrderCreated", b"\xc3\x01" + bytes.fromhex(fingerprint) + rest)
            except ChoreoError:
                continue
            except Exception:
                return traceback.format_exc()[-1500:]
    return ""


def prepare(folder: Path) -> None:
    """Make what the commands need beside the damaged file."""
    import gzip

    for file in (ROOT / "schemas").rglob("*.avsc"):
        if file.name.startswith("shop."):
            place = folder / file.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    (folder / "inventory.db").write_bytes(
        gzip.decompress((BEFORE / "stores/orders/inventory.db.gz").read_bytes())
    )


def run(kind: str, inputs: Path) -> None:
    """Run the commands on each file."""
    import os

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        prepare(folder)
        _bound_memory()
        for file in sorted(inputs.iterdir()):
            place = folder / NAMES[kind]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
            signal.setitimer(signal.ITIMER_REAL, SECONDS)  # whose default action ends the process
            why = why_wrong(kind, folder)
            signal.setitimer(signal.ITIMER_REAL, 0)
            print(json.dumps([file.name, why]), flush=True)
            for left in folder.glob("made.db*"):
                left.unlink()


def _bound_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    bound = used + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    run(sys.argv[1], Path(sys.argv[2]))
