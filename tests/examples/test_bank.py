"""A bank transfer: whatever goes wrong with whichever handler, no cent is lost or made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from choreo.testing import failure_matrix
from examples.bank.contract import TransferRequested
from examples.bank.source import request_transfer
from examples.scenarios.bank import balance, scenario


def money_is_conserved(databases: Mapping[str, Any]) -> None:
    """To the cent, in both banks together; and no transfer is half done."""
    assert [check for check in balance(databases) if not check.holds] == []


@failure_matrix(*scenario.participants, invariant=money_is_conserved)
def test_a_transfer() -> None:
    """One transfer, and one thing that goes wrong."""
    request_transfer(TransferRequested("transfer-1", "alice", "carol", 12_345))
