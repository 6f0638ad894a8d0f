"""The eight defects of textbook sagas: each has a test that shows that it can't happen here."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from choreo.outcome import START
from choreo.ports import Publication
from choreo.records import Entry
from examples.bank.contract import bank_transfer
from examples.bank.source import request_transfer
from examples.orders.contract import order_fulfilment
from examples.orders.orders import orders
from tests.broker.any_broker import AnyBroker, InMemoryBroker
from tests.scenarios.bank import Bank, transfer
from tests.scenarios.scripted_saga import Acted, Job
from tests.scenarios.shop import PARTICIPANTS, Shop, compensated, scenarios, transitions
from tests.scenarios.stage import Stage, event_headers, header

CREDIT, RECORD, DEBIT = (
    "destination.credit_destination",
    "ledger.create_transfer_record",
    "source.debit_source",
)
UNDONE = [("pending", "completed"), ("completed", "compensating"), ("compensating", "compensated")]


class Held:
    """Keeps the publications of one event type until they are released."""

    def __init__(self, event_type: str) -> None:
        self._event_type = event_type
        self.kept: list[Publication] = []

    def __call__(self, publication: Publication) -> Iterable[Publication]:
        if header(publication, "ce_type") != self._event_type:
            return (publication,)
        self.kept.append(publication)
        return ()


@pytest.fixture
def on_topic(topic: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put the sagas of the bank and of the shop on a topic that nobody else uses."""
    monkeypatch.setattr(bank_transfer, "topic", topic)
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    return topic


@pytest.fixture
def in_memory_broker() -> Iterator[InMemoryBroker]:
    """Return a broker in memory."""
    memory = InMemoryBroker()
    yield memory
    memory.close()


def _events(history: Iterable[Entry], event_type: str) -> list[Entry]:
    return [entry for entry in history if entry.input == "event" and entry.event_type == event_type]


def test_defect_1_the_first_step_fails_and_the_saga_stays_compensating_for_ever(shop: Shop) -> None:
    """Nothing was done before the first step, so nothing waits for a compensation: the saga ends at once."""
    first = next(each for each in scenarios() if each.name == "reserve_inventory")
    saga_id = shop.place(first.order)
    shop.until_quiet([saga_id])

    assert shop.ends(saga_id) == {"failed"}
    for name in shop.stores:
        assert compensated(shop.history(name, saga_id)) == ["start"]
    assert transitions(shop.history("orders", saga_id), START) == UNDONE
    shop.assert_balance(fulfilled=0)


def test_defect_2_a_late_success_after_a_timeout_resurrects_the_saga(
    any_broker: AnyBroker, tmp_path: Path, on_topic: str
) -> None:
    """The log's first outcome wins for everyone: the late success is void, and its owner undoes it."""
    late = Held("bank.DestinationCredited")
    stage = Bank(any_broker, tmp_path, on_topic, late)
    saga_id = request_transfer(transfer("t-late", 40))
    stage.until(lambda: bool(late.kept))
    assert (stage.sent(), stage.received()) == (40, 40)

    timeout = event_headers(
        saga_id, "bank-transfer", CREDIT, "bank.CreditTimedOut", "timed_out", source="ledger"
    )
    place = stage.append(saga_id.encode(), timeout, b"")
    stage.until(lambda: stage.has_read(place))
    stage.wires["destination"].log.publish(late.kept)
    stage.until_quiet([saga_id])

    assert stage.ends(saga_id) == {"failed"}
    assert (stage.sent(), stage.received()) == (0, 0)
    for name in stage.stores:
        history = stage.history(name, saga_id)
        assert [entry.note for entry in _events(history, "bank.DestinationCredited")] == ["void"]
        assert compensated(history) == [CREDIT, RECORD, DEBIT, START]
        assert not any(entry.step == "ledger.settle" for entry in history)
    assert transitions(stage.history("destination", saga_id), CREDIT) == UNDONE
    stage.close()


def test_defect_3_a_duplicate_reply_advances_two_steps(
    any_broker: AnyBroker, tmp_path: Path, on_topic: str
) -> None:
    """Every record three times, and all of them again after the end: each step runs once."""
    published: list[Publication] = []

    def three_times(publication: Publication) -> Iterable[Publication]:
        published.append(publication)
        return (publication,) * 3

    stage = Bank(any_broker, tmp_path, on_topic, three_times)
    done, failed = (
        request_transfer(transfer("t-done", 40)),
        request_transfer(transfer("t-failed", 2, fails_at="settle")),
    )
    stage.until_quiet([done, failed])
    before = {(name, saga): stage.history(name, saga) for name in stage.stores for saga in (done, failed)}
    places = [stage.append(each.key, each.headers, each.value) for each in published]
    stage.until(lambda: all(stage.has_read(place) for place in places))

    assert stage.ends(done) == {"completed"}
    assert stage.ends(failed) == {"failed"}
    assert (stage.sent(), stage.received()) == (40, 40)
    assert stage.value("source", "select count(*) from movements") == 3
    assert stage.value("destination", "select count(*) from movements") == 3
    for (name, saga), history in before.items():
        assert stage.history(name, saga) == history
        assert max(Counter(entry.event_id for entry in history if entry.input == "event").values()) == 1
    stage.close()


def test_defect_4_all_compensations_are_published_at_once(
    any_broker: AnyBroker, tmp_path: Path, on_topic: str
) -> None:
    """A compensation begins when the one it waits for is confirmed in the log, and not before."""
    stage = Bank(any_broker, tmp_path, on_topic)
    saga_id = request_transfer(transfer("t-reverse", 40, fails_at="settle"))
    stage.until_quiet([saga_id])

    order = [CREDIT, RECORD, DEBIT, START]
    owners = {CREDIT: "destination", RECORD: "ledger", DEBIT: "source", START: "source"}
    (waited_for,) = _events(stage.history("destination", saga_id), "bank.SettlementRefused")
    for step in order:
        history = stage.history(owners[step], saga_id)
        (begun,) = [entry for entry in history if entry.step == step and entry.new_state == "compensating"]
        (confirmed,) = [
            entry
            for entry in history
            if entry.step == step and entry.input == "event" and entry.outcome == "compensated"
        ]
        assert begun.causation_id == waited_for.event_id
        assert confirmed.offset > waited_for.offset
        waited_for = confirmed
    for name in stage.stores:
        assert compensated(stage.history(name, saga_id)) == order
    stage.close()


def test_defect_5_a_poison_message_is_republished_for_ever(
    any_broker: AnyBroker, tmp_path: Path, topic: str
) -> None:
    """A handler that always fails is tried as often as it says, then its event waits in the dead letters."""
    published: Counter[str] = Counter()
    attempts: list[int] = []

    def count(publication: Publication) -> Iterable[Publication]:
        published[header(publication, "ce_id")] += 1
        return (publication,)

    def poison(event: object, ctx: object) -> None:
        attempts.append(ctx.attempt)  # type: ignore[attr-defined]
        raise ConnectionError("for ever")

    job = Job(any_broker, tmp_path, topic, look=poison, change=count)
    assert job.run("poisoned") == {"completed"}
    (letter,) = job.letters("asker")
    assert (letter.reason, letter.event_type, letter.attempt) == ("gave-up", "job.JobDone", 3)
    assert attempts == [1, 2, 3]

    job.restart(job.asker)
    assert job.run("next") == {"completed"}
    assert attempts == [1, 2, 3] * 2
    assert set(published.values()) == {1}
    assert [letter.saga_id for letter in job.letters("asker")] == ["poisoned", "next"]
    job.close()


@pytest.mark.parametrize("fails_at", ["create_transfer_record", "credit_destination", "settle"])
def test_defect_6_a_compensation_undoes_the_wrong_thing(
    in_memory_broker: InMemoryBroker, tmp_path: Path, on_topic: str, fails_at: str
) -> None:
    """Each account gets back what its own action took or gave, with the result of that action."""
    stage = Bank(in_memory_broker, tmp_path, on_topic)
    transfers = [transfer(f"t-{amount}", amount, fails_at=fails_at) for amount in (40, 2, 7)]
    stage.until_quiet([request_transfer(each) for each in transfers])

    assert (stage.sent(), stage.received()) == (0, 0)
    reached = {"source": -1, "destination": 1} if fails_at == "settle" else {"source": -1}
    for name, sign in reached.items():
        moved = stage.stores[name].db.execute("select transfer_id, amount from movements order by rowid")
        by_transfer: dict[str, list[int]] = {}
        for transfer_id, amount in moved:
            by_transfer.setdefault(transfer_id, []).append(amount)
        assert by_transfer == {
            each.transfer_id: [sign * each.amount, -sign * each.amount] for each in transfers
        }
    if fails_at != "settle":
        assert stage.value("destination", "select count(*) from movements") == 0
    stage.close()


def test_defect_7_alerts_that_nothing_feeds(
    in_memory_broker: InMemoryBroker, tmp_path: Path, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A compensation that is stuck shows: a dead letter, an ERROR in the log, and the saga's state."""

    def stuck(acted: Acted, ctx: object) -> None:
        raise ConnectionError("the other side is away")

    job = Job(in_memory_broker, tmp_path, topic, undo=stuck)
    job.ask("stuck", refused=True)
    with caplog.at_level(logging.ERROR, "choreo.worker"):
        job.until(lambda: bool(job.letters("doer")) and job.is_quiet())

    (letter,) = job.letters("doer")
    assert (letter.reason, letter.task, letter.name, letter.saga_id) == (
        "gave-up",
        "compensation",
        "doer.work",
        "stuck",
    )
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "saga_id=stuck" in caplog.text
    assert "step=doer.work" in caplog.text
    for name in job.stores:
        assert job.history(name, "stuck")[-1].saga_state == "compensating"
    assert transitions(job.history("doer", "stuck"), "doer.work") == UNDONE[:2]
    assert job.run("another") == {"completed"}
    job.close()


def test_defect_8_a_hidden_orchestrator_no_declaration_names_anothers_handler() -> None:
    """Each participant knows its own steps and the events, and none of them hears or says everything."""
    emitted: Counter[str] = Counter()
    for participant in PARTICIPANTS:
        emitted.update({name for handler in participant.handlers for name in handler.emits})
        for handler in participant.handlers:
            assert handler.step == START or handler.step.startswith(f"{participant.name}.")
    assert set(emitted.values()) == {1}
    for participant in PARTICIPANTS:
        handled = participant.roles()["order-fulfilment"].handles
        assert len(handled) <= len(emitted) / 3


def test_defect_8_a_hidden_orchestrator_the_saga_goes_on_without_who_started_it(
    any_broker: AnyBroker, tmp_path: Path, on_topic: str
) -> None:
    """With the orders worker stopped after the start the others finish; it hears of it when it is back."""
    stage = Stage(any_broker, tmp_path, on_topic, [orders])
    placed = {each.name: stage.place(each.order) for each in scenarios()}
    done, failed = placed["none"], placed["create_shipment"]
    stage.until(lambda: not stage.stores["orders"].unpublished(0, 1))
    stage.stop(orders)
    stage.open(*(each for each in PARTICIPANTS if each is not orders))
    stage.until(lambda: stage.ends(done) == {"completed"})
    reserve = "inventory.reserve_inventory"
    stage.until(lambda: reserve in compensated(stage.history("notifications", failed)))
    assert stage.history("inventory", failed)[-1].saga_state == "compensating"

    stage.open(orders)
    stage.until_quiet(list(placed.values()))
    assert stage.ends(failed) == {"failed"}
    stage.assert_balance(fulfilled=2)
    stage.close()
