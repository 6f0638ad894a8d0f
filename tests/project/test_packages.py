"""A participant counts wherever in its package it is declared, and what is left out is said."""

from __future__ import annotations

import compileall
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from choreo.errors import ChoreoError
from choreo.project.choreography import choreography_named, manifests_declared
from choreo.project.manifests import manifest_from
from choreo.project.modules import load_modules
from tests.cli.command import invoke
from tests.project.conftest import CONTRACT, STOCK, TILL

EVERYBODY = {"stock", "till"}

Move = Callable[[Path], object]


def in_a_package(folder: Path) -> None:
    moved(folder, "sales")
    (folder / "sales/__init__.py").write_text("")


def in_a_folder(folder: Path) -> None:
    moved(folder, "sales")


def deep_in_folders(folder: Path) -> None:
    moved(folder, "sales/north/daily", dots="....")


def in_a_package_in_a_folder(folder: Path) -> None:
    moved(folder, "sales/north", dots="...")
    (folder / "sales/north/__init__.py").write_text("")


def in_the_init_of_a_package(folder: Path) -> None:
    (folder / "sales").mkdir()
    (folder / "sales/__init__.py").write_text(TILL.replace("from .", "from .."))
    (folder / "till.py").unlink()


def in_a_linked_folder(folder: Path) -> None:
    moved(folder, "../elsewhere")
    (folder / "sales").symlink_to("../elsewhere")


def in_a_folder_with_a_link_to_itself(folder: Path) -> None:
    moved(folder, "sales")
    (folder / "sales/again").symlink_to("..")


def without_an_init_of_its_own(folder: Path) -> None:
    moved(folder, "sales")
    (folder / "__init__.py").unlink()


def without_any_source(folder: Path) -> None:
    moved(folder, "sales")
    compileall.compile_dir(folder, quiet=1, legacy=True)
    for file in folder.rglob("*.py"):
        file.unlink()


def in_an_archive(folder: Path) -> None:
    in_a_package(folder)
    moved(folder, "loose", name="stock")
    shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
    shutil.rmtree(folder)
    sys.path.insert(0, f"{folder}.zip")


def beside_its_manifest(folder: Path) -> None:
    """The till's manifest lies in the package; the stock has none yet."""
    target = f"{folder.name}.till:till"
    assert invoke("manifest", target, "--output", folder.name).exit_code == 0


def moved(folder: Path, to: str, name: str = "till", dots: str = "..") -> None:
    (folder / to).mkdir(parents=True)
    (folder / to / f"{name}.py").write_text(TILL if name == "till" else STOCK)
    source = (folder / to / f"{name}.py").read_text()
    (folder / to / f"{name}.py").write_text(source.replace("from .", f"from {dots}"))
    (folder / f"{name}.py").unlink()


@pytest.fixture
def package(folder: Path) -> Path:
    """Write a package of two participants under a name that nothing else has."""
    made = folder / f"shop_{uuid4().hex[:8]}"
    made.mkdir()
    for name, source in {"__init__": "", "contract": CONTRACT, "stock": STOCK, "till": TILL}.items():
        (made / f"{name}.py").write_text(source)
    return made


@pytest.mark.parametrize(
    "move",
    [
        in_a_package,
        in_a_folder,
        deep_in_folders,
        in_a_package_in_a_folder,
        in_the_init_of_a_package,
        in_a_linked_folder,
        in_a_folder_with_a_link_to_itself,
        without_an_init_of_its_own,
        without_any_source,
        in_an_archive,
        beside_its_manifest,
    ],
    ids=lambda move: move.__name__,
)
def test_a_participant_counts_wherever_it_is_declared(move: Move, package: Path) -> None:
    move(package)
    found = choreography_named([package.name], manifest_from)
    assert {each.participant for each in found.manifests} == EVERYBODY
    assert {each.participant for each in manifests_declared([package.name], manifest_from)} == EVERYBODY


ASIDE = ("test_till.py", "till_test.py", "conftest.py", "tests/till.py", "__main__.py", "old-till.py")


@pytest.mark.parametrize("file", ASIDE)
def test_programs_and_tests_are_not_imported_and_said_where_they_declare(
    file: str, package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = package / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{TILL}\nraise SystemExit('imported')\n")
    with caplog.at_level(logging.WARNING):
        found = choreography_named([package.name], manifest_from)
    assert {each.participant for each in found.manifests} == EVERYBODY
    (record,) = caplog.records
    name = ".".join([package.name, *path.relative_to(package).with_suffix("").parts])
    assert f"left out: {name}, which declares a participant" in record.getMessage()


def test_what_declares_nothing_is_left_out_without_a_word(
    package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file in ASIDE:
        (package / file).parent.mkdir(exist_ok=True)
        (package / file).write_text("raise SystemExit('imported')")
    for folder in ("node_modules", ".hidden", "data"):
        (package / folder).mkdir()
        (package / folder / ("note.txt" if folder == "data" else "note.py")).write_text("raise SystemExit")
    load_modules(package.name)
    assert not caplog.records


@pytest.mark.parametrize("broken", ["import nosuchmodule", "1 +", "raise SystemExit(0)", "raise KeyError"])
@pytest.mark.parametrize("file", ["broken.py", "loose/broken.py", "sub/__init__.py"])
def test_a_module_that_cannot_be_imported_is_named(broken: str, file: str, package: Path) -> None:
    (package / file).parent.mkdir(exist_ok=True)
    (package / file).write_text(broken)
    with pytest.raises(ChoreoError) as refused:
        choreography_named([package.name], manifest_from)
    place = f"{refused.value.message} {refused.value.hint}"
    assert "nosuchmodule" in place or file in place
    assert "name the modules" in refused.value.hint


def test_manifests_in_folders_within_a_folder_count(package: Path, tmp_path: Path) -> None:
    for who in sorted(EVERYBODY):
        target = f"{package.name}.{who}:{who}"
        assert invoke("manifest", target, "--output", str(tmp_path / "kept" / who)).exit_code == 0
    found = choreography_named([str(tmp_path / "kept")], manifest_from)
    assert {each.participant for each in found.manifests} == EVERYBODY
