"""What a finding says to paste and to import, pasted into the source of a package: it compiles, and is right.

The participants are called otherwise than their variables, stand in modules of their own, and name events in
each way that Python has.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import sys
from collections.abc import Callable
from itertools import count, product
from pathlib import Path

import pytest

from choreo.graph import choreography_of
from choreo.manifest import read_manifest, write_manifest
from choreo.project.choreography import declared
from choreo.project.manifests import compare, manifest_from
from choreo.verify import Finding, verify
from choreo.verify.report.text import text

NUMBERS = count()
ROUNDS = 6

EVENTS = """
OrderPlaced OrderDone OrderFailed Reserved Unavailable Released Charged Declined Refunded
Packed NotPacked Unpacked Shipped NotShipped
"""

CONTRACT = "from choreo import Saga, event\n" + "".join(
    f'\n\n@event(namespace="shop")\nclass {name}:\n    key: str\n' for name in EVENTS.split()
)
SAGA = '\n\nthe_order = Saga("order-saga", starts=OrderPlaced, completes=OrderDone, fails=OrderFailed)\n'

FILES = {
    "sales": """
sales_team = Participant("sales-desk", sagas=[the_order])


@sales_team.compensation(of=the_order.start)
def give_up(event: Unavailable | Released, placed: OrderPlaced, ctx: Context) -> OrderFailed: ...


@sales_team.observer
def look(event: OrderDone | OrderFailed, ctx: Context) -> None: ...
""",
    "stock": """
store = Participant("stock", sagas=[the_order])


@store.action(fails=Unavailable)
def reserve(event: OrderPlaced, ctx: Context) -> Reserved: ...


@store.compensation(of=reserve)
def release(
    payment: Declined | Refunded, packing: NotPacked | Unpacked, reserved: Reserved, ctx: Context
) -> Released: ...
""",
    "money": """
till = Participant("payments", sagas=[the_order])


@till.action(fails=Declined)
async def charge(event: Reserved, ctx: Context) -> Charged: ...


@till.compensation(of=charge)
async def refund(event: NotShipped | Aborted, charged: Charged | None, ctx: Context) -> Refunded: ...
""",
    "packing": """
packers = Participant("packing", sagas=[the_order])


@packers.action(fails=NotPacked)
def pack(event: Reserved, ctx: Context) -> Packed: ...


@packers.compensation(of=pack)
def unpack(event: NotShipped, packed: Packed, ctx: Context) -> Unpacked: ...
""",
    "post": """
parcels = Participant("post", sagas=[the_order])


@parcels.action(kind="pivot", fails=NotShipped)
def ship(charged: Charged, packed: Packed, ctx: Context) -> Shipped: ...


@parcels.action(kind="retriable")
def close(event: Shipped, ctx: Context) -> OrderDone: ...
""",
}


def _named(body: str) -> str:
    known = {*EVENTS.split(), "the_order"}
    names = sorted({name for name in re.findall(r"\w+", body) if name in known})
    return f"from .contract import {', '.join(names)}\n{body}"


def _through_a_module(body: str) -> str:
    body = re.sub(rf"\b({'|'.join([*EVENTS.split(), 'the_order'])})\b", r"c.\1", body)
    return f"from . import contract as c\n{body}"


def _renamed(body: str) -> str:
    """Let every action have been called otherwise before."""
    return re.sub(r"\.action\((.*)\)\n(.*def (\w+))", r'.action(\1, formerly="former_\3")\n\2', body)


STYLES: dict[str, Callable[[str], str]] = {
    "by name": _named,
    "through the module": _through_a_module,
    "by a star": lambda body: f"from .contract import *\n{body}",
    "renamed": lambda body: _named(_renamed(body)),
}


def _cut(name: str) -> Callable[[str], str]:
    """Return what removes a compensation."""
    return lambda body: re.sub(
        rf"\n\n@\w+\.compensation\([^\n]*\n(async )?def {name}\((.|\n)*?\.\.\.\n", "", body
    )


def _instead(old: str, new: str) -> Callable[[str], str]:
    def changed(body: str) -> str:
        assert old in body
        return body.replace(old, new)

    return changed


SPOILT: dict[str, tuple[str, Callable[[str], str]]] = {
    "no compensation": ("packing", _cut("unpack")),
    "none of a step that may be half done": ("money", _cut("refund")),
    "none of the first step": ("stock", _cut("release")),
    "nothing ends it": ("sales", _cut("give_up")),
    "too early": ("stock", _instead("packing: NotPacked | Unpacked, ", "")),
    "by the failure behind": (
        "stock",
        _instead("payment: Declined | Refunded, packing: NotPacked | Unpacked", "event: NotShipped"),
    ),
    "one answer is missing": ("stock", _instead("Declined | Refunded", "Refunded")),
    "the start hears of one": ("sales", _instead("Unavailable | Released", "Released")),
    "what is on= overrides": (
        "stock",
        lambda body: _instead("of=reserve", "of=reserve, on=NotPacked | Unpacked")(
            _instead("payment: Declined | Refunded, packing: NotPacked | Unpacked, ", "")(body)
        ),
    ),
}


def write_package(folder: Path, style: str, spoilt: str) -> str:
    """Write a package with one mistake, and return its name."""
    name = f"mended_{next(NUMBERS)}"
    package = folder / name
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "contract.py").write_text(CONTRACT + SAGA)
    file, spoil = SPOILT[spoilt]
    for each, body in FILES.items():
        aborted = "Aborted, " if "Aborted" in body else ""
        head = f"from choreo import {aborted}Context, Participant"
        (package / f"{each}.py").write_text(f"{head}\n{STYLES[style](spoil(body) if each == file else body)}")
    return name


def findings(folder: Path, name: str, by_manifest: bool = False) -> list[Finding]:
    """Verify a package as it is written now, as it is imported or by the texts of its manifests."""
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[module]
    importlib.invalidate_caches()
    manifests = [manifest_from(each, folder, folder / "schemas") for each in declared(name)]
    if by_manifest:
        manifests = [read_manifest(write_manifest(each), each.participant) for each in manifests]
    verdict = verify(choreography_of(manifests), compare=compare, levels={"CHO301": "off"})
    assert all(line in text(verdict) for each in verdict.findings for line in each.imports)
    return list(verdict.findings)


def paste(folder: Path, finding: Finding) -> None:
    """Put the imports below those that are there, and the code in its place, or at the end."""
    place, _, line = finding.place.rpartition(":")
    path = folder / place
    source = path.read_text()
    tree = ast.parse(source)
    if finding.paste[0].startswith("@") and finding.rule == "CHO201":
        source = f"{source}\n\n" + "\n".join(finding.paste) + "\n"
    else:
        (found,) = (
            node
            for node in tree.body
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and node.decorator_list
            and node.decorator_list[0].lineno == int(line)
        )
        first = found.decorator_list[0].lineno if finding.paste[0].startswith("@") else found.lineno
        lines = source.splitlines()
        body = ["    " + ast.unparse(each) for each in found.body]
        code = "\n".join(finding.paste).splitlines()
        source = "\n".join([*lines[: first - 1], *code, *body, *lines[found.end_lineno or 0 :]]) + "\n"
    last = max(node.end_lineno or 0 for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom)))
    lines = source.splitlines()
    path.write_text("\n".join([*lines[:last], *finding.imports, *lines[last:]]) + "\n")


EVERY = list(product(SPOILT, STYLES, (False, True)))
SOME = [
    (spoilt, list(STYLES)[(n + 2 * by) % len(STYLES)], bool(by))
    for n, spoilt in enumerate(SPOILT)
    for by in (0, 1)
]


@pytest.mark.parametrize(("spoilt", "style", "by_manifest"), EVERY if os.environ.get("CHOREO_FUZZ") else SOME)
def test_what_is_pasted_compiles_and_mends(
    spoilt: str, style: str, by_manifest: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round by round, until nothing is found, and no finding comes back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = write_package(tmp_path, style, spoilt)
    seen: set[str] = set()
    found = findings(tmp_path, name, by_manifest)
    assert found
    for _ in range(ROUNDS):
        suggested = next((each for each in found if each.paste), None)
        if suggested is None:
            break
        assert suggested.fingerprint not in seen
        seen.add(suggested.fingerprint)
        paste(tmp_path, suggested)
        found = findings(tmp_path, name, by_manifest)
    assert not found, [each.message for each in found]
    assert seen


def test_a_package_as_it_should_be_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is found above is the mistake."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(SPOILT, "nothing", ("sales", lambda body: body))
    for style in STYLES:
        assert not findings(tmp_path, write_package(tmp_path, style, "nothing"))
