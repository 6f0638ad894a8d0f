"""The contract: the events of a bank transfer, and how the saga starts and ends. Amounts are in cents."""

from choreo import Saga, event


@event(namespace="bank")
class TransferRequested:
    """Somebody wants to send money to an account at another bank."""

    transfer_id: str
    source: str
    destination: str
    amount: int


@event(namespace="bank")
class SourceDebited:
    """The money has left the sender's account."""

    transfer_id: str
    source: str
    destination: str
    amount: int


@event(namespace="bank")
class DebitRefused:
    """The sender has no such account, or not enough on it."""

    transfer_id: str
    reason: str


@event(namespace="bank")
class SourceCreditedBack:
    """The sender has the money back."""

    transfer_id: str


@event(namespace="bank")
class TransferRecorded:
    """The transfer stands in the ledger."""

    transfer_id: str
    destination: str
    amount: int


@event(namespace="bank")
class RecordRefused:
    """The ledger takes no transfer of this kind."""

    transfer_id: str
    reason: str


@event(namespace="bank")
class TransferVoided:
    """The ledger's record is void."""

    transfer_id: str


@event(namespace="bank")
class DestinationCredited:
    """The money is on the receiver's account."""

    transfer_id: str
    destination: str
    amount: int


@event(namespace="bank")
class CreditRefused:
    """The receiver has no such account."""

    transfer_id: str
    reason: str


@event(namespace="bank")
class CreditTimedOut:
    """The receiver's bank has not answered in time."""

    transfer_id: str


@event(namespace="bank")
class DestinationDebitedBack:
    """The money has left the receiver's account again."""

    transfer_id: str


@event(namespace="bank")
class TransferSettled:
    """The point of no return: from here on the transfer only goes forward."""

    transfer_id: str


@event(namespace="bank")
class SettlementRefused:
    """The transfer must not be settled."""

    transfer_id: str
    reason: str


@event(namespace="bank")
class TransferDone:
    """The end, all well."""

    transfer_id: str


@event(namespace="bank")
class TransferFailed:
    """The end, everything undone."""

    transfer_id: str
    reason: str


bank_transfer = Saga("bank-transfer", starts=TransferRequested, completes=TransferDone, fails=TransferFailed)
