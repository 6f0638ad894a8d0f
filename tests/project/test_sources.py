"""Whatever source Python imports is read alike: what is found in it, and at which line."""

from __future__ import annotations

import codecs
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from choreo.errors import ConfigurationError
from choreo.manifest import Manifest
from choreo.project.choreography import manifests_declared
from choreo.project.manifests import manifest_from
from choreo.project.modules import load_module
from choreo.verify.source import module
from tests.project.conftest import CONTRACT, TILL

examining = sys.modules["choreo.verify.source.examine"]
"""The module; the package's attribute of that name is the function."""

SOURCE = '''
import random

# für {letter} \f
{title}
@till.action(kind="pivot", fails=NotPaid)
def pay(event: Reserved, ctx: Context) -> Paid | NotPaid:
    # choreo: ignore[CHO606] {letter} is drawn
    """{letter}\x0b\x1c\x85"""\x0c
    return Paid(f"{{random.random()}}")
'''

LETTERS = {"utf-8": "ø ß ж", "latin-1": "ø ß", "cp1251": "ж", "iso-8859-15": "ø €", "shift_jis": "日本"}
# A cookie is looked for in lines that end with a line feed.
SOURCES = [*product(LETTERS, ("\n", "\r\n")), ("utf-8", "\r")]


def text(encoding: str, cookie: str) -> str:
    head, _, _ = TILL.partition("@till.action")
    body = SOURCE.format(letter=LETTERS[encoding], title=head.replace("from .contract", "from {contract}"))
    # Characters that some encodings lack, and that only some line splitters heed.
    for each in "ü\x85":
        try:
            each.encode(encoding)
        except UnicodeEncodeError:
            body = body.replace(each, "")
    return cookie + body


def manifest(folder: Path, content: bytes) -> Manifest:
    """Write a module with this content, and return the manifest of its participant."""
    contract, name = (f"module_{uuid4().hex[:8]}" for _ in range(2))
    (folder / f"{contract}.py").write_text(CONTRACT)
    (folder / f"{name}.py").write_bytes(content.replace(b"{contract}", contract.encode()))
    (found,) = manifests_declared([name], manifest_from)
    return found


def found_in(of: Manifest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the lines of the remarks and of the suppressions."""
    remarks = tuple(each.where.place.rpartition(":")[2] for each in of.remarks if each.rule == "CHO606")
    return remarks, tuple(each.place.rpartition(":")[2] for each in of.suppressions)


@pytest.mark.parametrize(("encoding", "end"), SOURCES)
def test_a_source_in_any_encoding_is_read_as_python_reads_it(encoding: str, end: str, folder: Path) -> None:
    cookie = "" if encoding == "utf-8" else f"# -*- coding: {encoding} -*-\n"
    content = text(encoding, cookie).replace("\n", end).encode(encoding)
    lines = [str(number + bool(cookie)) for number in line_numbers()]
    assert found_in(manifest(folder, content)) == ((lines[1],), (lines[0],))


@pytest.mark.parametrize(
    "cookie", ["", "# coding: utf-8\n", "#!/usr/bin/env python\n# vim: set fileencoding=utf-8 :\n"]
)
def test_a_byte_order_mark_is_no_part_of_it(cookie: str, folder: Path) -> None:
    content = codecs.BOM_UTF8 + text("utf-8", cookie).encode()
    lines = [str(number + cookie.count("\n")) for number in line_numbers()]
    assert found_in(manifest(folder, content)) == ((lines[1],), (lines[0],))


def line_numbers() -> tuple[int, int]:
    """Return the lines of the decorator and of the effect, in a source without a cookie."""
    lines = text("utf-8", "").split("\n")
    decorator = next(n for n, line in enumerate(lines, 1) if line.startswith("@till.action"))
    return decorator, next(n for n, line in enumerate(lines, 1) if "random()" in line)


def test_a_source_in_an_archive_is_read(folder: Path) -> None:
    package = folder / f"shop_{uuid4().hex[:8]}"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "contract.py").write_text(CONTRACT)
    (package / "till.py").write_text(text("utf-8", "").replace("{contract}", ".contract"))
    shutil.make_archive(str(package), "zip", folder, package.name)
    shutil.rmtree(package)
    sys.path.insert(0, f"{package}.zip")
    (found,) = manifests_declared([package.name], manifest_from)
    decorator, effect = line_numbers()
    assert found_in(found) == ((str(effect),), (str(decorator),))


def test_a_source_that_changed_its_encoding_since_it_was_imported_is_one_line(folder: Path) -> None:
    contract, name = (f"module_{uuid4().hex[:8]}" for _ in range(2))
    (folder / f"{contract}.py").write_text(CONTRACT)
    source = text("utf-8", "").replace("{contract}", contract)
    (folder / f"{name}.py").write_text(source)
    load_module(name)
    (folder / f"{name}.py").write_bytes(b"# coding: latin-2000\n")
    with pytest.raises(ConfigurationError, match="can't be read"):
        list(manifests_declared([name], manifest_from))


@pytest.mark.parametrize("count", [10, 40])
def test_a_module_is_read_once_for_all_of_its_participants(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: its text, its syntax tree, its functions and its comments."""
    contract, name = (f"module_{uuid4().hex[:8]}" for _ in range(2))
    (tmp_path / f"{contract}.py").write_text(CONTRACT)
    head = f"from choreo import Context, Participant\nfrom {contract} import Ordered, order\n"
    body = "\n".join(
        f'p{n} = Participant("p{n}", sagas=[order])\n@p{n}.observer\ndef look{n}(event: Ordered) -> None: ...'
        for n in range(count)
    )
    (tmp_path / f"{name}.py").write_text(head + body + "\n# choreo: ignore[CHO103] for the count")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    read: Counter[str] = Counter()
    for of, function in ((module, "_parsed"), (examining, "functions_by_line"), (examining, "suppressions")):
        monkeypatch.setattr(of, function, _counted(getattr(of, function), read, function))

    assert len(manifests_declared([name], manifest_from)) == count
    assert read["functions_by_line"] == read["suppressions"] == 1
    assert read["_parsed"] <= 2


def _counted(function: Callable[..., Any], calls: Counter[str], name: str) -> Callable[..., Any]:
    def counted(*given: Any) -> Any:
        calls[name] += 1
        return function(*given)

    return counted
