"""What is verified: modules, manifests, folders, the project's own; and how they can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import assert_refused, execute, invoke

EXAMPLES = {
    "orders": ("orders", "inventory", "payments", "shipping", "notifications"),
    "bank": ("source", "destination", "ledger"),
    "travel": ("agency", "hotel", "flight", "car"),
}

GOOD = """
from choreo import Aborted, Participant, Saga, event

@event(namespace="n")
class Started:
    key: str
@event(namespace="n")
class Done:
    key: str
@event(namespace="n")
class NotDone:
    key: str
    reason: str
@event(namespace="n")
class Over:
    key: str

saga = Saga("short", starts=Started, completes=Done, fails=Over)
one = Participant("one", sagas=[saga])

@one.compensation(of=saga.start)
def over(event: NotDone) -> Over:
    return Over(event.key)
@one.action(kind="pivot", fails=NotDone)
def do(event: Started) -> Done:
    return Done(event.key)
"""


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_verify_clean(example: str) -> None:
    """As modules of one package."""
    result = invoke("verify", f"examples.{example}")
    assert result.exit_code == 0, result.stdout
    assert "0 errors" in result.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_verify_clean_from_manifests_in_folders_of_their_own(
    example: str, tmp_path: Path
) -> None:
    """Each service commits its manifest to its own repository; none of their code can be imported there."""
    folders = []
    for participant in EXAMPLES[example]:
        folder = tmp_path / participant
        target = f"examples.{example}.{participant}:{participant}"
        assert invoke("manifest", target, "--output", str(folder)).exit_code == 0
        folders.append(participant)
    assert [path.name for path in tmp_path.iterdir() if not any(path.iterdir())] == []
    whole = execute("verify", *folders, "--format", "json", folder=tmp_path)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    shown = json.loads(whole.stdout)
    assert shown["scope"]["participants"] == len(folders)
    assert shown["errors"] == 0


def test_modules_and_manifests_may_be_mixed(tmp_path: Path) -> None:
    """One's own code as it is, the others' as they have committed it."""
    for participant in EXAMPLES["bank"][1:]:
        target = f"examples.bank.{participant}:{participant}"
        assert invoke("manifest", target, "--output", str(tmp_path)).exit_code == 0
    result = invoke("verify", "examples.bank.source:source", str(tmp_path), "--strict")
    assert result.exit_code == 0, result.stdout


def test_a_manifest_is_the_same_twice_and_known_to_be_up_to_date(tmp_path: Path) -> None:
    """`--check` fails once a line has changed."""
    assert invoke("manifest", "examples.bank", "--output", str(tmp_path)).exit_code == 0
    assert invoke("manifest", "examples.bank", "--output", str(tmp_path), "--check").exit_code == 0
    path = tmp_path / "ledger.choreo.json"
    path.write_bytes(path.read_bytes().replace(b"ledger.py", b"changed.py"))
    result = invoke("manifest", "examples.bank", "--output", str(tmp_path), "--check")
    assert result.exit_code == 1
    assert f"{path}: not up to date" in result.stdout


def project(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def test_the_project_s_modules_are_verified_where_none_are_named(tmp_path: Path) -> None:
    """`modules` in `[tool.choreo]`."""
    (tmp_path / "pyproject.toml").write_text('[tool.choreo]\nmodules = ["good"]\n')
    result = execute("verify", "--strict", folder=project(tmp_path, good=GOOD))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "verified 1 participant, 1 saga" in result.stdout


def test_what_a_module_prints_is_none_of_the_output(tmp_path: Path) -> None:
    """A manifest on stdout stays JSON."""
    folder = project(tmp_path, loud=f"print('loud')\n{GOOD}")
    result = execute("manifest", "loud:one", folder=folder)
    assert json.loads(result.stdout)["participant"] == "one"
    assert "loud" in result.stderr


def test_the_lock_is_written_and_its_age_is_noticed(tmp_path: Path) -> None:
    """Only where nothing is wrong; a participant that changes afterwards makes it stale."""
    folder = project(tmp_path, good=GOOD)
    written = execute("verify", "good", "--lock", folder=folder)
    assert (written.returncode, (folder / "choreography.json").is_file()) == (0, True)
    assert execute("verify", "good", folder=folder).returncode == 0
    project(tmp_path, good=GOOD.replace('kind="pivot"', 'kind="pivot"').replace("def do(", "def work("))
    stale = execute("verify", "good", folder=folder)
    assert stale.returncode == 1
    assert "error[CHO701]" in stale.stdout
    assert execute("verify", "good", "--lock", folder=folder).returncode == 0
    assert execute("verify", "good", folder=folder).returncode == 0


BROKEN = {
    "raises": "raise RuntimeError('no\\nway')",
    "exits": "import sys\nsys.exit(0)",
    "no syntax": "def (",
    "is empty": "",
    "bad declaration": "from choreo import Participant\nParticipant('broken !', sagas=[])",
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("command", ["verify", "graph", "manifest"])
def test_a_module_that_can_t_be_used_is_one_line(command: str, what: str, tmp_path: Path) -> None:
    """Whatever it does when it is imported."""
    result = execute(command, "broken", folder=project(tmp_path, broken=BROKEN[what]))
    assert_refused(result.returncode, result.stderr, "broken")


def test_a_participant_defined_twice_is_one_line(tmp_path: Path) -> None:
    """In two modules: which of them is meant?"""
    folder = project(tmp_path, good=GOOD, other=GOOD)
    twice = execute("verify", "good", "other", folder=folder)
    assert_refused(twice.returncode, twice.stderr, "one is given twice", "good.py", "other.py")


MANIFESTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "binary": (bytes(range(256)), "not JSON"),
    "large": (b"[" + b" " * (50 * 1024 * 1024) + b"]", "larger than"),
    "deep": (b"[" * 100_000, "not JSON"),
    "other": (b'{"format": 7}', "upgrade choreo here"),
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_manifest_that_can_t_be_used_is_one_line(what: str, tmp_path: Path) -> None:
    """Data from outside is refused, and nothing of it is run."""
    content, words = MANIFESTS[what]
    (tmp_path / "x.choreo.json").write_bytes(content)
    for given in (str(tmp_path), str(tmp_path / "x.choreo.json")):
        result = invoke("verify", given)
        assert_refused(result.exit_code, result.stderr, "x.choreo.json", words)


@pytest.mark.parametrize("given", ["nowhere", "no/where.json", "nowhere.choreo.json", "good:none"])
def test_what_isn_t_there_is_one_line(given: str, tmp_path: Path) -> None:
    """A module, a file, a participant."""
    result = execute("verify", given, folder=project(tmp_path, good=GOOD))
    assert_refused(result.returncode, result.stderr)


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    """It holds no manifest."""
    result = invoke("verify", str(tmp_path))
    assert_refused(result.exit_code, result.stderr, "holds no manifest")


def test_a_limit_that_is_reached_exits_with_three() -> None:
    """Neither a pass nor a failure."""
    result = invoke("verify", "examples.travel", "--states", "10")
    assert result.exit_code == 3
    assert "CHO901" in result.stdout
    assert "inconclusive" in result.stdout


@pytest.mark.parametrize("moved", ["# a comment\n", "\n\n\n", '"""What it is."""\n'])
def test_a_manifest_is_up_to_date_when_only_lines_have_moved(moved: str, tmp_path: Path) -> None:
    """A commit that touches no declaration need not write it again; one that does must."""
    folder = project(tmp_path, good=GOOD)
    assert execute("manifest", "good", "--output", "out", folder=folder).returncode == 0
    project(tmp_path, good=moved + GOOD)
    assert execute("manifest", "good", "--output", "out", "--check", folder=folder).returncode == 0
    changed = GOOD.replace("def do(event: Started)", "def does(event: Started)")
    project(tmp_path, good=moved + changed)
    assert execute("manifest", "good", "--output", "out", "--check", folder=folder).returncode == 1


def test_the_repository_is_named_where_there_are_several(tmp_path: Path) -> None:
    """Files of one name in two repositories are told apart; those of one's own stay as they are."""
    for name in ("one-service", "other-service"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
        text = GOOD.replace("@one.compensation(of=saga.start)\n", "")
        if name.startswith("other"):
            text = text.replace('"n"', '"m"').replace('"short"', '"long"').replace('("one"', '("other"')
        project(folder, good=text)
        written = execute("manifest", "good", "--output", str(tmp_path / "manifests"), folder=folder)
        assert written.returncode == 0, written.stderr
    found = execute("verify", str(tmp_path / "manifests"), "--format", "json", folder=tmp_path)
    places = {each["where"]["place"].partition(":")[0] for each in json.loads(found.stdout)["findings"]}
    assert places == {"one-service/good.py", "other-service/good.py"}
    mine = execute(
        "verify", "good", str(tmp_path / "manifests" / "other.choreo.json"), "--format", "json",
        folder=tmp_path / "one-service",
    )  # fmt: skip
    places = {each["where"]["place"].partition(":")[0] for each in json.loads(mine.stdout)["findings"]}
    assert places == {"good.py", "other-service/good.py"}


@pytest.mark.parametrize("form", ["table", "mermaid", "dot", "json"])
def test_the_graph_shows_deadlines(form: str) -> None:
    """Whose they are, how long they wait, and after which event."""
    shown = invoke("graph", "examples.travel", "--format", form).stdout

    assert "agency.room_is_late" in shown
    if form == "json":
        (saga,) = json.loads(shown)
        assert {each["within_ms"] for each in saga["deadlines"]} == {2_000}
    else:
        assert "2 s after TripRequested" in shown
