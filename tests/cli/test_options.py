"""Where a setting comes from: option, environment, pyproject.toml, default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from choreo.cli import options


@click.command()
@options.store
@options.cluster
@options.embedded
@options.start
@options.partitions
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
        "store = 'data/{participant}.db'\nbootstrap = 'file:9092'\npartitions = 3\n"
        "from = 2026-01-31T12:00:00Z\n"
        "kafka = {'security.protocol' = 'SSL', 'linger.ms' = 5}\n"
    )
    return folder


def test_an_option_wins_over_the_environment_and_that_over_the_file(project: Path) -> None:
    env = {"CHOREO_BOOTSTRAP": "environment:9092"}
    assert shown("--bootstrap", "option:9092", env=env)["bootstrap"] == "option:9092"
    assert shown(env=env)["bootstrap"] == "environment:9092"
    assert shown()["bootstrap"] == "file:9092"


def test_a_default_comes_last() -> None:
    found = shown("--bootstrap", "x:1")
    assert found["store"] == "{participant}.db"
    assert found["partitions"] == 12
    assert found["start"] == "earliest"


def test_the_file_gives_everything_that_is_not_said(project: Path) -> None:
    found = shown()
    assert found["partitions"] == 3
    assert found["start"] == "2026-01-31 12:00:00+00:00"
    assert found["store"] == "data/{participant}.db"


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
