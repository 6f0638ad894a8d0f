"""What calls a compensation that names no event: the lock says it, or else the project's modules do."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from choreo.errors import DeclarationError, ManifestError
from choreo.participant import Participant
from choreo.project.lock import derived
from choreo.project.modules import load_participant
from tests.cli.command import Running, invoke

FROM_MODULES = "rollback derived from the modules of [tool.choreo]"


def project(folder: Path, *modules: str) -> None:
    names = ", ".join(f'"{name}"' for name in modules)
    (folder / "pyproject.toml").write_text(f"[tool.choreo]\nmodules = [{names}]\n")


def triggers(stock: Participant) -> set[str]:
    """Return the events that call the compensation of the stock's action."""
    (compensation,) = stock.roles()["order"].action["stock.reserve"].compensations
    return set(compensation.trigger.types)


def test_without_a_lock_the_modules_of_the_project_say_it(
    shop: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project(folder, shop)
    with caplog.at_level(logging.INFO):
        stock = derived(load_participant(f"{shop}.stock:stock"))

    assert triggers(stock) == {"shop.NotPaid"}
    (record,) = caplog.records
    assert record.getMessage() == f"stock: {FROM_MODULES}: no choreography.json"


def test_a_lock_wins_over_the_modules(shop: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    project(folder, shop)
    assert invoke("verify", "--lock").exit_code == 0
    with caplog.at_level(logging.INFO):
        assert triggers(derived(load_participant(f"{shop}.stock:stock"))) == {"shop.NotPaid"}
    assert caplog.records == []

    lock = folder / "choreography.json"
    lock.write_text(lock.read_text().replace('"stock"', '"store"'))
    with pytest.raises(ManifestError):
        derived(load_participant(f"{shop}.stock:stock"))


@pytest.mark.parametrize("missing", ["till", "stock"])
def test_modules_that_do_not_hold_the_whole_choreography_say_nothing(
    shop: str, folder: Path, missing: str
) -> None:
    """Without the till nobody completes the saga; without the stock itself nothing is known of it."""
    project(folder, f"{shop}.{'stock' if missing == 'till' else 'till'}")
    with pytest.raises(DeclarationError, match="choreo verify --lock"):
        derived(load_participant(f"{shop}.stock:stock"))


def test_a_module_that_cannot_be_imported_leaves_the_error_with_its_hint(shop: str, folder: Path) -> None:
    project(folder, shop, "elsewhere.payments")
    with pytest.raises(DeclarationError, match="choreo verify --lock"):
        derived(load_participant(f"{shop}.stock:stock"))


def test_a_project_without_modules_leaves_the_error_with_its_hint(shop: str) -> None:
    with pytest.raises(DeclarationError, match="choreo verify --lock"):
        derived(load_participant(f"{shop}.stock:stock"))


def test_a_participant_that_names_its_events_needs_neither(
    shop: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project(folder, "elsewhere.payments")
    with caplog.at_level(logging.INFO):
        assert derived(load_participant(f"{shop}.till:till")).name == "till"
    assert caplog.records == []


def test_choreo_run_says_where_it_found_the_choreography(shop: str, folder: Path) -> None:
    project(folder, shop)
    with Running("run", f"{shop}.stock:stock", "--embedded", folder=folder) as run:
        run.wait_for("stock is live")
        assert f"INFO stock: {FROM_MODULES}: no choreography.json" in run.stderr
