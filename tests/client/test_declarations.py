"""``choreo.connect`` in the module that declares: it reads nothing before the first use."""

from __future__ import annotations

from pathlib import Path

import pytest

from choreo import connect
from choreo.errors import DeclarationError, ManifestError
from choreo.project.modules import load_participant
from tests.cli.command import invoke
from tests.project.conftest import folder, shop

__all__ = ["folder", "shop"]

CONNECTS = {
    "no lock": 'choreo.connect(stock, "stock.db")',
    "a lock": 'choreo.connect(stock, "stock.db", lock="choreography.json")',
    "a lock elsewhere": 'choreo.connect(stock, "stock.db", lock="elsewhere/lock.json")',
}
SEND = """

def send(order_id):
    with stock.transaction() as tx:
        return tx.start(Ordered(order_id), saga_id=order_id)
"""


@pytest.fixture(params=CONNECTS)
def connects(request: pytest.FixtureRequest, shop: str, folder: Path) -> str:
    """A project that connects at module level, before its handlers are declared, in one way."""
    how: str = request.param
    module = folder / shop / "stock.py"
    made, rest = module.read_text().split("stock = Participant", 1)
    first, rest = rest.split("\n", 1)
    source = f"import choreo\n{made}stock = Participant{first}\n{CONNECTS[how]}\n{rest}{SEND}"
    module.write_text(source)
    (folder / "pyproject.toml").write_text(f'[tool.choreo]\nmodules = ["{shop}.stock", "{shop}.till"]\n')
    return how


def test_a_module_that_connects_can_be_verified_and_locked(connects: str, shop: str, folder: Path) -> None:
    """Where there is no lock yet, one that can't be read, and one that is out of date."""
    lock = folder / "choreography.json"
    for content in (None, "{", '{"choreo-lock": 1}'):
        if content is not None:
            lock.write_text(content)
        done = invoke("verify", "--lock")
        assert done.exit_code == 0, done.output
    assert not (folder / "stock.db").exists()
    assert (
        load_participant(f"{shop}.stock:stock").status("o-1") is None
        if connects != "a lock elsewhere"
        else True
    )


def test_the_first_use_derives_as_documented(connects: str, shop: str, folder: Path) -> None:
    """By the lock that is given, by the project's, or by its modules; else it says what is missing."""
    stock = load_participant(f"{shop}.stock:stock")
    if connects == "no lock":
        assert stock.status("o-1") is None
        return
    with pytest.raises(ManifestError, match="can't be read"):
        stock.status("o-1")
    assert invoke("verify", "--lock").exit_code == 0
    if connects == "a lock elsewhere":
        (folder / "elsewhere").mkdir()
        (folder / "choreography.json").rename(folder / "elsewhere/lock.json")
    assert stock.status("o-1") is None


def test_without_lock_and_modules_the_first_use_says_what_is_missing(shop: str, folder: Path) -> None:
    stock = load_participant(f"{shop}.stock:stock")
    with connect(stock, folder / "stock.db"):
        with pytest.raises(DeclarationError, match="no choreography says"):
            stock.status("o-1")
        assert not (folder / "stock.db").exists()


def test_run_takes_a_lock(shop: str, folder: Path) -> None:
    """Which wins over all others, and has to be there."""
    target = f"{shop}.stock:stock"
    done = invoke("run", target, "--embedded", "--lock", "missing.json")
    assert (done.exit_code, "missing.json: can't be read" in done.output) == (2, True)
    (folder / "broken.json").write_text("{")
    done = invoke("run", target, "--embedded", "--lock", "broken.json")
    assert (done.exit_code, "broken.json" in done.output) == (2, True)
