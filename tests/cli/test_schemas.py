"""``choreo schemas``: a round trip, drift, incompatible changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import assert_refused, invoke
from tests.cli.conftest import WriteModule, quiz


@pytest.fixture
def written(write_module: WriteModule) -> str:
    """Return a module whose schemas have been written."""
    name = write_module(quiz())
    assert invoke("schemas", "write", name).exit_code == 0
    return name


def changed(write_module: WriteModule, old: str, new: str) -> str:
    """Return a later version of the module."""
    assert old in quiz()
    return write_module(quiz().replace(old, new))


def test_write_lists_what_it_wrote_and_check_is_content(write_module: WriteModule, folder: Path) -> None:
    name = write_module(quiz())
    result = invoke("schemas", "write", name)
    assert "wrote schemas/quiz.Asked.avsc" in result.stdout
    assert sorted(path.name for path in (folder / "schemas").glob("*.avsc")) == [
        "quiz.Answered.avsc",
        "quiz.Asked.avsc",
        "quiz.Unanswerable.avsc",
    ]
    assert len(list((folder / "schemas" / "history").iterdir())) == 3
    checked = invoke("schemas", "check", name)
    assert (checked.exit_code, checked.stdout) == (0, "3 events, 0 findings\n")


def test_writing_again_changes_nothing(written: str) -> None:
    assert invoke("schemas", "write", written).stdout == "3 events, 0 files changed\n"


def test_a_participant_has_the_events_of_its_sagas(written: str) -> None:
    assert invoke("schemas", "check", f"{written}:sage").exit_code == 0


def test_the_project_names_the_modules(written: str, folder: Path) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.choreo]\nmodules = ['{written}']\nschemas = 'schemas'\n")
    assert invoke("schemas", "check").exit_code == 0


def test_check_finds_drift(written: str, write_module: WriteModule) -> None:
    later = changed(write_module, "question: str", "question: str\n    asked_by: str = ''")
    result = invoke("schemas", "check", later)
    assert result.exit_code == 1
    assert "schemas/quiz.Asked.avsc: differs from quiz.Asked in the code" in result.stdout
    assert "(hint: choreo schemas write)" in result.stdout
    assert invoke("schemas", "write", later).exit_code == 0
    assert invoke("schemas", "check", later).exit_code == 0


def test_check_finds_a_missing_file(written: str, folder: Path) -> None:
    (folder / "schemas" / "quiz.Asked.avsc").unlink()
    result = invoke("schemas", "check", written)
    assert result.exit_code == 1
    assert "schemas/quiz.Asked.avsc: missing" in result.stdout


def test_write_refuses_an_incompatible_change(written: str, write_module: WriteModule) -> None:
    later = changed(write_module, "answer: int", "answer: bool")
    result = invoke("schemas", "write", later)
    assert_refused(result.exit_code, result.stderr, "incompatible", "quiz.Answered")
    assert invoke("schemas", "write", later, "--allow-incompatible").exit_code == 0
    assert invoke("schemas", "check", later).exit_code == 1


def test_a_module_without_events(write_module: WriteModule) -> None:
    name = write_module("from choreo import Aborted\n")
    result = invoke("schemas", "write", name)
    assert_refused(result.exit_code, result.stderr, "has no event")


def test_the_examples_schemas_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    result = invoke("schemas", "check")
    assert result.exit_code == 0, result.stdout


@pytest.mark.parametrize("others", [1, 3])
def test_files_of_other_services_in_a_shared_folder_stay(
    others: int, written: str, write_module: WriteModule, folder: Path
) -> None:
    """They are counted, not findings, and nothing advises to delete them."""
    text = quiz()
    for name in ("Asked", "Answered", "Unanswerable")[:others]:
        text = text.replace(name, f"Other{name}")
    assert invoke("schemas", "write", write_module(text)).exit_code == 0

    result = invoke("schemas", "check", written)

    assert result.exit_code == 0
    assert "3 events, 0 findings" in result.stdout
    assert "not declared here, and not checked" in result.stdout
    assert "delete" not in result.stdout
    assert len(list((folder / "schemas").glob("*.avsc"))) == 3 + others
