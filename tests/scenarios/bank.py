"""The bank transfer of the examples on a stage, and transfers that fail at a chosen step."""

from __future__ import annotations

from pathlib import Path

from choreo.graph import derive
from examples.bank.contract import TransferRequested
from examples.bank.destination import destination
from examples.bank.ledger import LIMIT, ledger
from examples.bank.source import source
from examples.scenarios.bank import MONEY
from tests.broker.any_broker import AnyBroker
from tests.scenarios.stage import Change, Stage

PARTICIPANTS = (source, ledger, destination)
derive(PARTICIPANTS)

STEPS = ("debit_source", "create_transfer_record", "credit_destination", "settle")
"""Those that can fail."""


def transfer(transfer_id: str, amount: int, fails_at: str = "") -> TransferRequested:
    """Return a transfer from alice to carol, or as little different from it as makes a step fail.

    Where the ledger is to refuse it, the amount is larger by the ledger's limit: alice has enough for all
    that are under way at the same time.
    """
    return TransferRequested(
        transfer_id,
        "nobody" if fails_at == "debit_source" else "alice",
        {"credit_destination": "nobody", "settle": "mallory"}.get(fails_at, "carol"),
        amount + LIMIT if fails_at == "create_transfer_record" else amount,
    )


class Bank(Stage):
    """The bank transfer on a stage."""

    def __init__(self, any_broker: AnyBroker, folder: Path, topic: str, change: Change | None = None) -> None:
        super().__init__(any_broker, folder, topic, PARTICIPANTS, change=change)

    def sent(self) -> int:
        """Return what has left the sender's bank."""
        return MONEY - int(self.value("source", "select sum(balance) from accounts"))

    def received(self) -> int:
        """Return what has come to the receiver's bank."""
        return int(self.value("destination", "select sum(balance) from accounts"))
