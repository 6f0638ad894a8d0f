"""Schemas of an older revision are found wherever their folder lies, and from wherever they are asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from choreo.errors import ConfigurationError
from choreo.project.versions import versions_at

SCHEMA = '{"type": "record", "name": "shop.Sold", "fields": [{"name": "%s", "type": "string"}]}'


@pytest.fixture(autouse=True)
def no_outer_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("GIT_")]:
        monkeypatch.delenv(name)


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository whose tag v1 has one schema in ``contract/schemas``, and whose HEAD has another."""
    top = tmp_path_factory.mktemp("template")
    folder = top / "contract/schemas"
    folder.mkdir(parents=True)
    (top / "ci/jobs").mkdir(parents=True)
    (top / "ci/jobs/note").write_text("")
    git(top, "init", "-q", ".")
    commit(top, folder / "sold.avsc", "old")
    git(top, "tag", "v1")
    commit(top, folder / "sold.avsc", "new")
    return top


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "repository")


def commit(top: Path, file: Path, field: str) -> None:
    file.write_text(SCHEMA % field)
    git(top, "add", "-A")
    git(top, "commit", "-qm", field)


def fields_at(revision: str, folder: str | Path) -> list[str]:
    found = versions_at(revision, Path(folder))
    return [field["name"] for schema in found["shop.Sold"].values() for field in schema["fields"]]


def here(top: Path) -> tuple[Path, str]:
    return top, "contract/schemas"


def above(top: Path) -> tuple[Path, str]:
    return top / "ci/jobs", "../../contract/schemas"


def in_it(top: Path) -> tuple[Path, str]:
    return top / "contract/schemas", "."


def outside(top: Path) -> tuple[Path, str]:
    return top.parent, "repository/contract/schemas"


def absolute(top: Path) -> tuple[Path, str]:
    return Path("/"), str(top / "contract/schemas")


def through_a_link_to_the_repository(top: Path) -> tuple[Path, str]:
    (top.parent / "link").symlink_to(top)
    return top.parent / "link/ci", "../contract/schemas"


def through_a_link_in_it(top: Path) -> tuple[Path, str]:
    (top / "ci/schemas").symlink_to("../contract/schemas")
    return top / "ci", "schemas"


def through_a_link_above_it(top: Path) -> tuple[Path, str]:
    (top / "shared").symlink_to("contract")
    return top, "shared/schemas"


def in_a_worktree(top: Path) -> tuple[Path, str]:
    git(top, "worktree", "add", "-q", "../worktree")
    return top.parent / "worktree/ci", "../contract/schemas"


def in_a_bare_clone(top: Path) -> tuple[Path, str]:
    git(top.parent, "clone", "-q", "--bare", "repository", "bare.git")
    return top.parent / "bare.git", "contract/schemas"


def after_it_was_deleted(top: Path) -> tuple[Path, str]:
    shutil.rmtree(top / "contract")
    return top / "ci", "../contract/schemas"


def after_it_was_renamed(top: Path) -> tuple[Path, str]:
    commit(top, top / "contract/schemas/sold.avsc", "old")
    git(top, "mv", "contract", "agreed")
    git(top, "commit", "-qm", "renamed")
    return top / "ci", "../agreed/schemas"


def after_it_became_a_link(top: Path) -> tuple[Path, str]:
    git(top, "mv", "contract/schemas", "avro")
    (top / "contract").mkdir(exist_ok=True)
    (top / "contract/schemas").symlink_to("../avro")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "linked")
    return top, "contract/schemas"


@pytest.mark.parametrize(
    "place",
    [
        here,
        above,
        in_it,
        outside,
        absolute,
        through_a_link_to_the_repository,
        through_a_link_in_it,
        through_a_link_above_it,
        in_a_worktree,
        in_a_bare_clone,
        after_it_was_deleted,
        after_it_was_renamed,
        after_it_became_a_link,
    ],
    ids=lambda place: place.__name__,
)
def test_the_folder_is_found_from_everywhere(
    place: Callable[[Path], tuple[Path, str]], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, folder = place(repository)
    monkeypatch.chdir(where)
    assert fields_at("v1", folder) == ["old"]


@pytest.mark.parametrize("named", [".git", "/absolute"])
def test_a_hook_names_the_repository(named: str, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a path that is relative to the folder in which git runs the hook."""
    monkeypatch.chdir(repository)
    monkeypatch.setenv("GIT_DIR", named.replace("/absolute", str(repository / ".git")))
    assert fields_at("v1", "contract/schemas") == ["old"]


def test_a_link_of_the_revision_itself_is_followed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "avro").symlink_to("contract/schemas")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "linked")
    git(repository, "tag", "v2")
    (repository / "avro").unlink()
    monkeypatch.chdir(repository)
    assert fields_at("v2", "avro") == ["new"]


@pytest.mark.parametrize("name", ["sch[e]mas", "sch\u00e9mas", "sche mas", ":schemas", "sche\tmas"])
def test_a_folder_may_have_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q", ".")
    (tmp_path / "schemas").mkdir()
    (tmp_path / name).mkdir()
    commit(tmp_path, tmp_path / "schemas/sold.avsc", "other")
    commit(tmp_path, tmp_path / name / "sold.avsc", "right")
    monkeypatch.chdir(tmp_path)
    assert fields_at("HEAD", name) == ["right"]


def test_files_that_are_left_out_of_archives_are_read(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / ".gitattributes").write_text("*.avsc export-ignore\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "attributes")
    monkeypatch.chdir(repository)
    assert fields_at("HEAD", "contract/schemas") == ["new"]


def test_a_shallow_clone_says_that_it_is_one(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(repository.parent, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    monkeypatch.chdir(repository.parent / "shallow")
    with pytest.raises(ConfigurationError) as refused:
        versions_at("v1", Path("contract/schemas"))
    assert "v1" in refused.value.message
    assert "shallow" in refused.value.hint


@pytest.mark.parametrize("folder", ["elsewhere", "ci"])
def test_a_revision_without_the_folder_is_refused(
    folder: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing to compare with is no agreement."""
    monkeypatch.chdir(repository)
    with pytest.raises(ConfigurationError, match=rf"v1 has no {folder}"):
        versions_at("v1", Path(folder))
