"""Where a setting comes from: option, environment, pyproject.toml, default."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from choreo.cli import options
from choreo.cli.options import Time
from choreo.cli.stores import stores
from choreo.errors import ConfigurationError

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@click.command()
@options.store
@options.cluster
@options.embedded
@options.start
@options.partitions
@options.drain
@click.pass_context
def show(context: click.Context, /, **values: Any) -> None:
    cluster = options.chosen_cluster(context)
    click.echo(json.dumps({**values, **cluster._asdict()}, default=str))


def shown(*arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    result = CliRunner().invoke(show, list(arguments), env=env, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def project(folder: Path) -> Path:
    """Write a project whose file sets everything."""
    (folder / "pyproject.toml").write_text(
        "[tool.choreo]\n"
        "store = 'data/{participant}.db'\nbootstrap = 'file:9092'\npartitions = 3\ndrain = 9\n"
        "from = 2026-01-31T12:00:00Z\n"
        "kafka = {'security.protocol' = 'SSL', 'linger.ms' = 5}\n"
    )
    return folder


def test_an_option_wins_over_the_environment_and_that_over_the_file(project: Path) -> None:
    env = {"CHOREO_BOOTSTRAP": "environment:9092"}
    assert shown("--bootstrap", "option:9092", env=env)["bootstrap"] == "option:9092"
    assert shown(env=env)["bootstrap"] == "environment:9092"
    assert shown()["bootstrap"] == "file:9092"
    assert shown("--drain", "7", env={"CHOREO_DRAIN": "8"})["drain"] == 7
    assert shown(env={"CHOREO_DRAIN": "8"})["drain"] == 8
    assert shown()["drain"] == 9


def test_a_default_comes_last() -> None:
    found = shown("--bootstrap", "x:1")
    assert found["store"] == "{participant}.db"
    assert found["partitions"] == 12
    assert found["drain"] == 5
    assert found["start"] == "earliest"


def test_the_file_gives_everything_that_is_not_said(project: Path) -> None:
    found = shown()
    assert found["partitions"] == 3
    assert found["start"] == "2026-01-31 12:00:00+00:00"
    assert found["store"] == "data/{participant}.db"


def test_a_time_is_one_wherever_it_is_given() -> None:
    """With any zone, to the second or not; what has the form in the file is one there, too."""
    for text in ("2026-01-31T12:00:00Z", "2026-01-31T13:00+01:00", "2026-01-31 12:00:00.000Z"):
        assert datetime.fromisoformat(shown("--bootstrap", "x:1", "--from", text)["start"]) == NOON
        assert Time().convert(text, None, None) == NOON
    assert Time("latest").convert(NOON, None, None) == NOON
    assert Time("latest").convert("latest", None, None) == "latest"
    assert shown("--bootstrap", "x:1", env={"CHOREO_FROM": "latest"})["start"] == "latest"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("soon", "{} is not {}a time like 2026-01-31T12:00:00Z"),
        ("", "{} is not {}a time like 2026-01-31T12:00:00Z"),
        ("2026-02-30T12:00:00Z", "{} is not {}a time like 2026-01-31T12:00:00Z"),
        ("1769860800", "{} is not {}a time like 2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00", "{} has no time zone: write 2026-01-31T12:00:00Z"),
        ("2026-01-31", "{} has no time zone: write 2026-01-31T12:00:00Z"),
        ("1969-12-31T23:59:59.999Z", "{} is too early: write 2026-01-31T12:00:00Z"),
        ("1970-01-01T00:00:00Z", "{} is too early: write 2026-01-31T12:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "{} is too early: write 2026-01-31T12:00:00Z"),
    ],
)
def test_a_text_that_is_no_time_is_refused_in_the_same_words(text: str, why: str) -> None:
    """Whose noon is meant would depend on the machine; to Kafka, -1 is the end of a partition."""
    for kind, words in ((Time(), ""), (options.START, "earliest, latest or ")):
        with pytest.raises(click.BadParameter) as caught:
            kind.convert(text, None, None)
        assert caught.value.message == why.format(repr(text), words)


def test_a_time_in_the_file_names_its_zone_too(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool.choreo]\nfrom = 2026-01-31T12:00:00\n")
    result = CliRunner().invoke(show, ["--bootstrap", "x:1"])
    assert "'2026-01-31T12:00:00' has no time zone" in result.output


def test_a_path_in_the_file_is_relative_to_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = project / "src" / "shop"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert shown()["store"] == "../../data/{participant}.db"
    assert shown("--store", "here.db")["store"] == "here.db"


def test_librdkafka_settings_add_up(project: Path) -> None:
    found = shown("--kafka", "linger.ms=1", "--kafka", "sasl.password=a=b")
    assert found["kafka"] == {"security.protocol": "SSL", "linger.ms": "1", "sasl.password": "a=b"}


def test_the_environment_gives_librdkafka_settings_too() -> None:
    found = shown("--bootstrap", "x:1", env={"CHOREO_KAFKA": "linger.ms=1 client.id=me"})
    assert found["kafka"] == {"linger.ms": "1", "client.id": "me"}


SPACES = (
    "correct horse",
    " leading",
    "trailing ",
    "two  spaces",
    "a\ttab",
    "a=b c",
    "ß 漢",
    "'quoted words'",
)


@pytest.mark.parametrize("value", SPACES)
@pytest.mark.parametrize("key", ["sasl.password", "client.id", "ssl.key.password"])
def test_a_setting_in_the_environment_may_hold_spaces(key: str, value: str) -> None:
    lines = shown("--bootstrap", "x:1", env={"CHOREO_KAFKA": f"{key}={value}\nlinger.ms=5\n"})
    assert lines["kafka"] == {key: value, "linger.ms": "5"}
    if value == value.strip():
        alone = shown("--bootstrap", "x:1", env={"CHOREO_KAFKA": f"{key}={value}"})
        assert alone["kafka"] == {key: value}
        one_line = shown("--bootstrap", "x:1", env={"CHOREO_KAFKA": f"{key}={value} linger.ms=5  debug=all"})
        assert one_line["kafka"] == {key: value, "linger.ms": "5", "debug": "all"}


def test_an_option_adds_to_the_settings_of_the_environment_and_the_file(project: Path) -> None:
    env = {"CHOREO_KAFKA": "linger.ms=1 client.id=me"}
    found = shown("--kafka", "client.id=you", "--kafka", "debug=all", env=env)
    assert found["kafka"] == {
        "security.protocol": "SSL",
        "linger.ms": "1",
        "client.id": "you",
        "debug": "all",
    }


@pytest.mark.parametrize("pair", ["hunter2", "=hunter2", "hunter2\nlinger.ms=5"])
def test_a_setting_of_no_form_is_not_repeated(pair: str) -> None:
    """It may be the half of a password."""
    for arguments, env in (([], {"CHOREO_KAFKA": pair}), (["--kafka", pair.split("\n")[0]], {})):
        result = CliRunner().invoke(show, ["--bootstrap", "x:1", *arguments], env=env)
        assert isinstance(result.exception, ConfigurationError)
        assert "hunter2" not in str(result.exception)


@pytest.mark.parametrize(
    "name", ["my stores/a.db", "a b.db", " a.db", "a.db ", "a  b.db", "a\tb.db", "ä b.db"]
)
def test_a_store_in_the_environment_may_hold_spaces(name: str, folder: Path) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).touch()
    (folder / "other.db").touch()

    @click.command()
    @stores
    def named(stores: tuple[str, ...]) -> None:
        click.echo(json.dumps(stores))

    def listed(text: str, *arguments: str) -> list[str]:
        result = CliRunner().invoke(named, arguments, env={"CHOREO_STORE": text}, catch_exceptions=False)
        found: list[str] = json.loads(result.stdout)
        return found

    assert listed(name) == [name]
    assert listed(name.replace("a", "{participant}", 1)) == [name.replace("a", "{participant}", 1)]
    assert listed(f"{name}\nother.db\n") == [name, "other.db"]
    assert listed("other.db other.db") == ["other.db", "other.db"]
    assert listed(name, "--store", "other.db") == ["other.db"]


@pytest.mark.parametrize(
    ("arguments", "env", "expected"),
    [
        (("--embedded",), {}, ("", True)),
        ((), {"CHOREO_EMBEDDED": "1"}, ("", True)),
        (("--bootstrap", "x:1"), {"CHOREO_EMBEDDED": "1"}, ("x:1", False)),
        (("--bootstrap", "x:1", "--embedded"), {}, ("x:1", True)),
    ],
)
def test_embedded_or_an_address_whichever_is_said_closer(
    project: Path, arguments: tuple[str, ...], env: dict[str, str], expected: tuple[str, bool]
) -> None:
    found = shown(*arguments, env=env)
    assert (found["bootstrap"], found["embedded"]) == expected
