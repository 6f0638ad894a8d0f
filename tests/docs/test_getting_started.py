"""The newcomer's way: the files of getting-started, verified, tested and run, by the letter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.cli.command import Running, execute
from tests.docs.manual import PAGES, README

TIMES = re.compile(r"\d+\.\d\d s")


def shown(command: str) -> str:
    """Return what the page prints below a command."""
    found = re.search(
        rf"^\$ {re.escape(command)}\n((?:(?!\$ |```).*\n)*)", PAGES["getting-started"].text, re.MULTILINE
    )
    assert found, command
    return found[1]


def python(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    repository = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (repository, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [sys.executable, *words], cwd=project, env=environment, capture_output=True, text=True, timeout=60
    )


def test_it_is_verified(project: Path) -> None:
    """What is printed is what the page shows, and the README too."""
    done = execute("verify", folder=project)

    assert done.returncode == 0
    printed = TIMES.sub("", done.stdout)
    assert printed == TIMES.sub("", shown("choreo verify"))
    assert printed in TIMES.sub("", README.text)


def test_a_compensation_that_is_missing_is_found(project: Path) -> None:
    """The page lets its reader delete a decorator."""
    page = PAGES["getting-started"].text
    ((line, _), (_, rule)) = re.findall(r"`(@payments\.compensation.*?)`|`choreo rule (CHO\d+)`", page)
    payments = project / "shop" / "payments.py"
    payments.write_text(payments.read_text().replace(f"{line}\n", ""))

    done = execute("verify", folder=project)

    assert done.returncode == 1
    assert f"error[{rule}]" in done.stdout


def test_its_tests_pass(project: Path) -> None:
    """As many as the page says."""
    (count,) = re.findall(r"(\d+) tests", PAGES["getting-started"].text)

    done = python(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(project))

    assert f"{count} passed" in done.stdout, done.stdout + done.stderr


def test_it_runs(project: Path) -> None:
    """Three workers on an embedded broker, with the lock; one order is shipped, one is undone."""
    assert execute("verify", "--lock", folder=project).returncode == 0
    assert (project / "choreography.json").is_file()
    with Running("run", "shop.orders:orders", "--embedded", folder=project, name="orders") as orders:
        orders.wait_for("orders is live")
        address = orders.stdout.partition("--bootstrap ")[2].split()[0]
        embedded = ("--embedded", "--bootstrap", address)
        with (
            Running("run", "shop.payments:payments", *embedded, folder=project, name="payments") as payments,
            Running("run", "shop.shipping:shipping", *embedded, folder=project, name="shipping") as shipping,
        ):
            payments.wait_for("payments is live")
            shipping.wait_for("shipping is live")
            for order in ("o-1 500", "o-2 500000"):
                done = python(project, "place.py", *order.split())
                assert done.stdout == shown(f"python place.py {order}"), done.stderr
            timeline = execute("trace", "o-2", folder=project).stdout
            assert _without_times(timeline) == _without_times(shown("choreo trace o-2"))
            assert shown("choreo trace o-2") in README.text


def test_run_needs_no_lock_where_all_modules_can_be_imported(project: Path) -> None:
    """As the page says in parentheses."""
    with Running("run", "shop.orders:orders", "--embedded", folder=project) as orders:
        orders.wait_for("orders is live")


def _without_times(timeline: str) -> list[str]:
    return re.sub(r"\+?\d+(\.\d+)? m?s", "", timeline).split()
